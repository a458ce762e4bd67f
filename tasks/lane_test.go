package tasks_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// Lanes reads keys of asynq's by their names; this holds the names against asynq.
func TestLanesAreWhatAsynqSays(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c := tasks.NewClient(rdb, "ns")
	bulk := tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o"}, Priority: tasks.Bulk}
	enqueue(t, c, bulk)
	failOne(t, rdb, "ns.wx1.bulk")
	enqueue(t, c, bulk)
	holdOne(t, rdb, "ns.wx1.bulk")
	later := bulk
	later.SendAt = time.Now().Add(time.Hour)
	for _, n := range []tasks.Notification{bulk, bulk, later, later, later} {
		enqueue(t, c, n)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	if err := inspector.PauseQueue("ns.wx1.bulk"); err != nil {
		t.Fatal(err)
	}

	lanes, err := c.Lanes(t.Context(), "wx1")
	if err != nil || len(lanes) != 3 || lanes[0] != (tasks.Lane{Priority: tasks.Critical}) || lanes[1] != (tasks.Lane{Priority: tasks.Default}) {
		t.Fatalf("%+v, %v", lanes, err)
	}
	got := lanes[2]
	if since := time.Since(got.PausedSince); !got.Paused || since < 0 || since > time.Minute {
		t.Errorf("%+v, want it paused just now", got)
	}
	info, err := inspector.GetQueueInfo("ns.wx1.bulk")
	if err != nil {
		t.Fatal(err)
	}
	if want := [...]int64{int64(info.Pending), int64(info.Active), int64(info.Scheduled), int64(info.Retry)}; want != [...]int64{2, 1, 3, 1} ||
		want != [...]int64{got.Pending, got.Active, got.Scheduled, got.Retry} {
		t.Errorf("%+v, asynq says %v", got, want)
	}
	if err := inspector.UnpauseQueue("ns.wx1.bulk"); err != nil {
		t.Fatal(err)
	}
	if lanes, err := c.Lanes(t.Context(), "wx1"); err != nil || lanes[2].Paused || !lanes[2].PausedSince.IsZero() {
		t.Errorf("%+v, %v, want none paused", lanes, err)
	}
}

// holdOne has a worker take one task of a queue and keep it in its hands.
func holdOne(t *testing.T, rdb redis.UniversalClient, queue string) {
	t.Helper()
	taken, release := make(chan struct{}), make(chan struct{})
	take := sync.OnceFunc(func() { close(taken) })
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{Queues: map[string]int{queue: 1}, Concurrency: 1, LogLevel: asynq.FatalLevel})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		take()
		<-release
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		close(release)
		server.Shutdown()
	})
	<-taken
}
