package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func newTestTally(rdb redis.UniversalClient, at time.Time) *tally {
	t := newTally(tasks.NewStats(rdb, ""), time.FixedZone("", 8*3600), slog.New(slog.DiscardHandler))
	t.now = func() time.Time { return at }
	return t
}

func wantCounted(t *testing.T, s *tasks.Stats, day string, want int64) {
	t.Helper()
	rows, err := s.Read(t.Context(), "wx1", []string{day})
	if err != nil {
		t.Fatal(err)
	}
	var have int64
	for _, row := range rows {
		have += row.Outcomes["accepted"]
	}
	if have != want {
		t.Errorf("%s: %d are counted, want %d", day, have, want)
	}
}

// Two workers' counts add up, each on the day it was made in the workers' zone.
func TestTally(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	late := time.Date(2026, 11, 20, 15, 59, 59, 0, time.UTC)
	a, b := newTestTally(rdb, late), newTestTally(rdb, late.Add(time.Second))
	accepted := tasks.StatsField{Kind: tasks.KindSubscribe, TemplateID: "T", Outcome: "accepted"}
	for range 3 {
		a.count("wx1", accepted)
		b.count("wx1", accepted)
		a.flush(t.Context())
	}
	b.count("wx2", accepted)
	b.flush(t.Context())
	b.flush(t.Context())
	wantCounted(t, a.stats, "2026-11-20", 3)
	wantCounted(t, a.stats, "2026-11-21", 3)
}

// A batch whose answer was lost is sent again and counts once; what was counted
// meanwhile follows.
func TestTallyOutlivesAnOutage(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	rdb := server.Client(t)
	at := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	y := newTestTally(rdb, at)
	accepted := tasks.StatsField{Kind: tasks.KindSubscribe, TemplateID: "T", Outcome: "accepted"}
	y.count("wx1", accepted)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	y.flush(ended)
	y.count("wx1", accepted)
	// As if the first had arrived all the same.
	for day, counts := range y.pending {
		if err := y.stats.Add(t.Context(), day, y.writer, y.number, counts); err != nil {
			t.Fatal(err)
		}
	}
	y.flush(t.Context()) // it may be the last one
	wantCounted(t, y.stats, "2026-11-21", 2)
}
