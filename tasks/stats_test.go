package tasks_test

import (
	"fmt"
	"testing"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestStats(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, func(t *testing.T, url string) {
		s := tasks.NewStats(connect(t, url), "ns")
		day := tasks.StatsDay{App: "wx1", Day: "2026-11-21"}
		field := func(template, outcome string) tasks.StatsField {
			return tasks.StatsField{Kind: tasks.KindSubscribe, TemplateID: template, Outcome: outcome}
		}
		add := func(writer string, batch int64, counts map[tasks.StatsField]int64) {
			t.Helper()
			if err := s.Add(t.Context(), day, writer, batch, counts); err != nil {
				t.Fatal(err)
			}
		}
		add("a", 1, map[tasks.StatsField]int64{field("T2", "accepted"): 5, field("T1", "dead"): 1})
		add("a", 1, map[tasks.StatsField]int64{field("T2", "accepted"): 5, field("T1", "dead"): 1})
		add("b", 1, map[tasks.StatsField]int64{field("T2", "accepted"): 2})
		add("a", 2, map[tasks.StatsField]int64{field("T1", "accepted"): 1})
		rows, err := s.Read(t.Context(), "wx1", []string{"2026-11-20", day.Day})
		want := "[{2026-11-21 subscribe T1 map[accepted:1 dead:1]} {2026-11-21 subscribe T2 map[accepted:7]}]"
		if err != nil || fmt.Sprint(rows) != want {
			t.Errorf("%v %v, want %v", rows, err, want)
		}
	})
}

// Template ids come from outside: a day does not grow without bound for them.
func TestStatsOfTooManyTemplates(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	s := tasks.NewStats(rdb, "")
	day := tasks.StatsDay{App: "wx1", Day: "2026-11-21"}
	for batch := range int64(7) {
		counts := make(map[tasks.StatsField]int64)
		for i := range 1000 {
			counts[tasks.StatsField{Kind: tasks.KindSubscribe, TemplateID: fmt.Sprint(batch, "-", i), Outcome: "rejected"}] = 1
		}
		if err := s.Add(t.Context(), day, "a", batch+1, counts); err != nil {
			t.Fatal(err)
		}
	}
	rows, err := s.Read(t.Context(), "wx1", []string{day.Day})
	if err != nil || len(rows) != 5001 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	if further := rows[0]; further.TemplateID != tasks.FurtherTemplates || further.Outcomes["rejected"] != 2000 {
		t.Errorf("%+v", further)
	}
	if ttl := rdb.TTL(t.Context(), "wxn:stats:{wx1}:"+day.Day).Val(); ttl <= 0 || ttl > tasks.StatsKept {
		t.Errorf("kept for %v", ttl)
	}
}
