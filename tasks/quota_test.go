package tasks_test

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestQuotasAreKept(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	quotas := tasks.NewQuotas(rdb, "")
	known, now, err := quotas.Read(t.Context())
	if err != nil || len(known) != 0 || time.Since(now).Abs() > time.Hour {
		t.Fatal(known, now, err)
	}
	at := now.UTC()
	sends := tasks.QuotaKey{App: "wx1", API: "subscribe_send"}
	forms := tasks.QuotaKey{App: "wx1", API: "template_send"}
	want := map[tasks.QuotaKey]tasks.Quota{
		sends: {Limit: 10, Used: 4, Remain: 6, RateCalls: 5, RatePeriod: time.Minute, ReadAt: at, AskedAt: at},
		forms: {AskedAt: at, Trouble: "errcode 76022", Withheld: true},
	}
	for k, q := range want {
		if err := quotas.Store(t.Context(), k, tasks.Quota{Trouble: "replaced"}); err != nil {
			t.Fatal(err)
		}
		if err := quotas.Store(t.Context(), k, q); err != nil {
			t.Fatal(err)
		}
	}
	if err := tasks.NewQuotas(rdb, "other").Store(t.Context(), sends, tasks.Quota{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	// What cannot be read is as if it were not there.
	if err := rdb.HSet(t.Context(), "wxn:quota", "wx2;subscribe_send", `{"limit":"many"}`, "wx2", `{}`, "wx3;token", "nonsense").Err(); err != nil {
		t.Fatal(err)
	}
	known, _, err = quotas.Read(t.Context())
	if err != nil || len(known) != len(want) {
		t.Fatalf("%v, %v, want %v", known, err, want)
	}
	for k, q := range want {
		if known[k] != q {
			t.Errorf("%v is %+v, want %+v", k, known[k], q)
		}
	}
}

func TestQuotaIsKnownForAnHour(t *testing.T) {
	t.Parallel()
	now := time.Now()
	good := tasks.Quota{Limit: 10, Remain: 3, ReadAt: now}
	at := func(read time.Time) tasks.Quota {
		q := good
		q.ReadAt = read
		return q
	}
	for name, c := range map[string]struct {
		quota tasks.Quota
		want  bool
	}{
		"now":                {good, true},
		"an hour ago":        {at(now.Add(-time.Hour)), true},
		"longer ago":         {at(now.Add(-time.Hour - time.Second)), false},
		"a moment ahead":     {at(now.Add(time.Second)), true},
		"the clock was back": {at(now.Add(time.Hour)), false},
		"never":              {tasks.Quota{}, false},
		"no numbers":         {tasks.Quota{ReadAt: now}, false},
		"too much":           {tasks.Quota{Limit: 1, Remain: 2, ReadAt: now}, false},
		"negative":           {tasks.Quota{Limit: 1, Remain: -2, ReadAt: now}, false},
	} {
		if got := c.quota.Known(now); got != c.want {
			t.Errorf("%s: known %v, want %v", name, got, c.want)
		}
	}
}
