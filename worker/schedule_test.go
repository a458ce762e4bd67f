package worker

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// A slot is run once, whoever enqueued it again; a last run that lies in the
// future, or was written under another period, holds nothing up.
func TestJobsRunOncePerSlot(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	ran := 0
	j := &jobs{
		run:  map[string]func(context.Context, tasks.JobTask) error{tasks.JobRefreshToken: func(context.Context, tasks.JobTask) error { ran++; return nil }},
		runs: newRuns(rdb, ""),
		log:  slog.New(slog.DiscardHandler),
	}
	now := time.Now()
	for _, c := range []struct {
		slot time.Time
		want int
	}{
		{now.Add(-2 * time.Hour), 1}, {now.Add(-2 * time.Hour), 1}, {now.Add(-time.Hour), 2}, {now.Add(-90 * time.Minute), 2},
		{now.Add(24 * time.Hour), 3}, // by a clock that is ahead
		{now, 4}, {now, 4},
	} {
		if err := j.runOnce(t.Context(), tasks.JobTask{Job: tasks.JobRefreshToken, App: "wx1", Slot: c.slot.UnixMilli()}); err != nil {
			t.Fatal(err)
		}
		if ran != c.want {
			t.Fatalf("after slot %v: ran %d times, want %d", c.slot.Sub(now), ran, c.want)
		}
	}
	if err := rdb.HSet(t.Context(), "wxn:jobs", tasks.JobRefreshToken+":wx1", "nonsense").Err(); err != nil {
		t.Fatal(err)
	}
	if err := j.runOnce(t.Context(), tasks.JobTask{Job: tasks.JobRefreshToken, App: "wx1", Slot: now.UnixMilli()}); err != nil || ran != 5 {
		t.Fatal(ran, err)
	}
}

func TestWithin(t *testing.T) {
	t.Parallel()
	if !within(time.Minute, func() {}) {
		t.Error("it returned in time")
	}
	stop := make(chan struct{})
	defer close(stop)
	if within(time.Millisecond, func() { <-stop }) {
		t.Error("it did not return")
	}
}

// A Redis that began anew does not know the queues that a producer fills, which has told it
// once: what waits there could neither be found nor canceled.
func TestQueuesAreNotedAgain(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	producer := tasks.NewClient(rdb, "")
	enqueue := func(id string) {
		t.Helper()
		e, err := producer.Seal(tasks.Notification{
			App: "wx1", ID: id, To: tasks.Recipient{OpenID: "oA"}, TemplateID: "tmpl", Data: map[string]string{"thing1": "v"},
		})
		if err == nil {
			err = producer.Enqueue(t.Context(), e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	enqueue("before")
	if err := rdb.FlushDB(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	enqueue("after")
	w := &Worker{
		tasks: tasks.NewClient(rdb, ""), served: tasks.NewServed(rdb, ""),
		cfg: Config{Apps: []App{{AppID: "wx1"}}, Logger: slog.New(slog.DiscardHandler)},
	}
	w.announce(t.Context())
	if task, err := producer.Find(t.Context(), "wx1", "after"); err != nil {
		t.Errorf("%+v, %v", task, err)
	}
	if queues := rdb.SMembers(t.Context(), "asynq:queues").Val(); len(queues) != 1 {
		t.Errorf("noted are %v, want no queue that was never used: check tells by one whether WeChat ever pushed", queues)
	}
}
