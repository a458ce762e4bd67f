package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

const (
	stuckQueue  = "wx1.default"
	stuckActive = "asynq:{wx1.default}:active"
	stuckLease  = "asynq:{wx1.default}:lease"
)

// serve runs asynq's own server until the test ends.
func serve(t *testing.T, rdb redis.UniversalClient, h asynq.HandlerFunc) {
	t.Helper()
	s := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Concurrency: 2, Queues: map[string]int{stuckQueue: 1}, TaskCheckInterval: 20 * time.Millisecond,
		DelayedTaskCheckInterval: 100 * time.Millisecond, LogLevel: asynq.FatalLevel,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return 0 },
	})
	if err := s.Start(h); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
}

// loseLease leaves a pending task as asynq's dequeue does, but without a lease.
func loseLease(t *testing.T, rdb redis.UniversalClient, id string) {
	t.Helper()
	ctx := t.Context()
	moved, err := rdb.LMove(ctx, "asynq:{wx1.default}:pending", stuckActive, "RIGHT", "LEFT").Result()
	if err != nil || moved != id {
		t.Fatalf("%q, %v, want %q", moved, err, id)
	}
	if err := rdb.HSet(ctx, "asynq:{wx1.default}:t:"+id, "state", "active").Err(); err != nil {
		t.Fatal(err)
	}
}

func wantLeaseless(t *testing.T, c *tasks.Client, want ...string) {
	t.Helper()
	ids, err := c.Leaseless(t.Context(), stuckQueue)
	if err != nil || !slices.Equal(ids, want) {
		t.Errorf("%q without a lease, %v, want %q", ids, err, want)
	}
}

// What nobody works on any more is handled again by asynq itself; what somebody does
// work on stays theirs.
func TestExpireBringsBack(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c := tasks.NewClient(rdb, "")
	enqueue(t, c, tasks.Notification{App: "wx1", ID: "a", To: tasks.Recipient{OpenID: "o1"}})
	loseLease(t, rdb, "wx1:a")
	wantLeaseless(t, c, "wx1:a")

	for _, want := range []bool{true, false} { // the second is another worker, or a later look
		if done, err := c.Expire(t.Context(), stuckQueue, "wx1:a"); err != nil || done != want {
			t.Fatalf("%v, %v, want %v", done, err, want)
		}
	}
	wantLeaseless(t, c)
	handled := make(chan string, 8)
	serve(t, rdb, func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		handled <- id
		return nil
	})
	select {
	case id := <-handled:
		if id != "wx1:a" {
			t.Errorf("%q handled, want wx1:a", id)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("not handled again")
	}
	taskstest.Eventually(t, 10*time.Second, func() string {
		if n, err := rdb.Exists(t.Context(), "asynq:{wx1.default}:t:wx1:a", stuckActive, stuckLease).Result(); err != nil || n != 0 {
			return fmt.Sprintf("%d keys are left of it, %v", n, err)
		}
		return ""
	})
}

// The keys are asynq's: a running task is in both of them, and its worker keeps it.
func TestExpireLeavesARunningTaskToItsWorker(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c := tasks.NewClient(rdb, "")
	begun, end := make(chan struct{}, 8), make(chan struct{})
	serve(t, rdb, func(context.Context, *asynq.Task) error {
		begun <- struct{}{}
		<-end
		return nil
	})
	defer close(end)
	enqueue(t, c, tasks.Notification{App: "wx1", ID: "a", To: tasks.Recipient{OpenID: "o1"}})
	<-begun
	wantLeaseless(t, c)
	if done, err := c.Expire(t.Context(), stuckQueue, "wx1:a"); err != nil || done {
		t.Errorf("%v, %v, want nothing done to a task with a lease", done, err)
	}

	if n, err := rdb.ZRem(t.Context(), stuckLease, "wx1:a").Result(); err != nil || n != 1 {
		t.Fatalf("%d leases, %v, want 1", n, err)
	}
	wantLeaseless(t, c, "wx1:a")
	if done, err := c.Expire(t.Context(), stuckQueue, "wx1:a"); err != nil || !done {
		t.Errorf("%v, %v, want done", done, err)
	}
	taskstest.Eventually(t, 20*time.Second, func() string {
		until, err := rdb.ZScore(t.Context(), stuckLease, "wx1:a").Result()
		if err != nil || until <= float64(time.Now().Unix()) {
			return fmt.Sprintf("lease until %v, %v, want it extended", until, err)
		}
		return ""
	})
}

// What asynq could not read is left, or its recoverer would fail for the whole queue.
func TestExpireLeavesWhatIsBroken(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c, ctx := tasks.NewClient(rdb, ""), t.Context()
	wantLeaseless(t, c) // no queue at all
	enqueue(t, c, tasks.Notification{App: "wx1", ID: "pending", To: tasks.Recipient{OpenID: "o1"}})
	for _, err := range []error{
		rdb.LPush(ctx, stuckActive, "gone", "bare", "garbled").Err(),
		rdb.HSet(ctx, "asynq:{wx1.default}:t:bare", "state", "active").Err(),
		rdb.HSet(ctx, "asynq:{wx1.default}:t:garbled", "state", "active", "msg", "\xff\xff").Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantLeaseless(t, c, "garbled", "bare", "gone")
	for _, id := range []string{"gone", "bare", "garbled"} {
		if done, err := c.Expire(ctx, stuckQueue, id); done || !errors.Is(err, tasks.ErrBroken) {
			t.Errorf("%s: %v, %v, want ErrBroken", id, done, err)
		}
	}
	for _, id := range []string{"wx1:pending", "wx1:never-there"} {
		if done, err := c.Expire(ctx, stuckQueue, id); done || (err != nil) {
			t.Errorf("%s: %v, %v, want nothing done", id, done, err)
		}
	}
	if n, err := rdb.ZCard(ctx, stuckLease).Result(); err != nil || n != 0 {
		t.Errorf("%d leases, %v, want none", n, err)
	}
}

func TestExpireWithRedisAway(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	rdb, err := tasks.ConnectRedis(server.URL, tasks.RedisOptions{MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	server.Stop(t)
	c := tasks.NewClient(rdb, "")
	if _, err := c.Leaseless(t.Context(), stuckQueue); err == nil {
		t.Error("no error, want one")
	}
	if _, err := c.Expire(t.Context(), stuckQueue, "wx1:a"); err == nil || errors.Is(err, tasks.ErrBroken) {
		t.Errorf("%v, want Redis's error", err)
	}
}
