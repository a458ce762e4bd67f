package tasks_test

import (
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestCanary(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c, ctx, now := tasks.NewClient(rdb, ""), t.Context(), time.Now()
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	turn := func() { // a minute passes
		if err := rdb.Del(ctx, "wxn:canary:wx1:default").Err(); err != nil {
			t.Fatal(err)
		}
	}
	send := func() {
		t.Helper()
		if err := c.EnqueueCanary(ctx, "wx1", tasks.Default, now); err != nil {
			t.Fatal(err)
		}
	}
	want := func(n int) []*asynq.TaskInfo {
		t.Helper()
		pending, err := inspector.ListPendingTasks("wx1.default")
		if err != nil || len(pending) != n {
			t.Fatalf("%d pending, %v, want %d", len(pending), err, n)
		}
		return pending
	}

	send()
	turn()
	send() // the first one still waits
	task := want(1)[0]
	if sent, canary := tasks.DecodeCanary(task.Type, task.Payload); !canary || sent.UnixMilli() != now.UnixMilli() {
		t.Errorf("%v, %v, want a canary of %v", sent, canary, now)
	}
	if task.Type != "wxnotify-canary:1" || tasks.Foreign(task.Type) {
		t.Errorf("type %q, foreign: %v", task.Type, tasks.Foreign(task.Type))
	}
	if err := inspector.DeleteTask("wx1.default", task.ID); err != nil {
		t.Fatal(err)
	}
	send() // another worker has just sent one
	want(0)
	turn()
	if err := inspector.PauseQueue("wx1.default"); err != nil {
		t.Fatal(err)
	}
	send()
	want(0)
	if err := inspector.UnpauseQueue("wx1.default"); err != nil {
		t.Fatal(err)
	}
	send()
	want(1)
}

func TestDecodeCanary(t *testing.T) {
	t.Parallel()
	for taskType, want := range map[string]bool{"wxnotify-canary:1": true, "wxnotify-canary:7": true, "wxnotify:subscribe": false, "canary": false} {
		if sent, canary := tasks.DecodeCanary(taskType, []byte("garbage")); canary != want || !sent.IsZero() {
			t.Errorf("%s: %v, %v, want %v and no time", taskType, sent, canary, want)
		}
	}
}
