package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// The waiting notifications of one user are deleted, in every state and on every
// page, and nobody else's.
func deleteWaiting(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	const others = 700 // more than a page
	for i := range others + 3 {
		to, at := fmt.Sprintf("oOther%d", i), time.Now().Add(time.Duration(i+1)*time.Minute)
		if i%300 == 7 {
			to = "oErased"
		}
		enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: to}, SendAt: at})
	}
	enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "oErased"}})                       // pending: the worker's
	enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "oErased"}, Priority: tasks.Bulk}) // archived below
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	pending, err := inspector.ListPendingTasks("wx1.bulk")
	if err != nil || len(pending) != 1 {
		t.Fatal(len(pending), err)
	}
	if err := inspector.ArchiveTask("wx1.bulk", pending[0].ID); err != nil {
		t.Fatal(err)
	}
	foreign := asynq.NewTask("mail:send", []byte("oErased"))
	if _, err := asynq.NewClientFromRedisClient(rdb).Enqueue(foreign, asynq.Queue("mail"), asynq.ProcessIn(time.Hour)); err != nil {
		t.Fatal(err)
	}

	n, err := c.DeleteWaiting(t.Context(), func(t tasks.Task) (bool, error) { return t.Envelope.To.OpenID == "oErased", nil })
	if err != nil || n != 4 {
		t.Fatalf("%d deleted, %v, want 3 scheduled and 1 archived", n, err)
	}
	info, err := inspector.GetQueueInfo("wx1.default")
	if err != nil || info.Scheduled != others || info.Pending != 1 {
		t.Errorf("%+v, %v, want %d scheduled and 1 pending", info, err, others)
	}
	if info, err := inspector.GetQueueInfo("mail"); err != nil || info.Scheduled != 1 {
		t.Errorf("another program's task is gone: %+v, %v", info, err)
	}
}

func deleteArchived(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "ns")
	enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o1"}})
	bury := asynq.NewServerFromRedisClient(rdb, asynq.Config{Queues: map[string]int{"ns.wx1.default": 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel})
	if err := bury.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		return fmt.Errorf("dead: %w", asynq.SkipRetry)
	})); err != nil {
		t.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	archived := func() int {
		info, err := inspector.GetQueueInfo("ns.wx1.default")
		if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
			t.Fatal(err)
		}
		return info.Archived
	}
	taskstest.Eventually(t, 10*time.Second, func() string {
		if archived() != 1 {
			return "not archived"
		}
		return ""
	})
	bury.Shutdown()
	for _, step := range []struct {
		before  time.Time
		deleted int
	}{{time.Now().Add(-time.Hour), 0}, {time.Now().Add(time.Hour), 1}, {time.Now().Add(time.Hour), 0}} {
		if n, err := c.DeleteArchived(t.Context(), step.before); err != nil || n != step.deleted {
			t.Errorf("before %v: %d deleted, %v, want %d", step.before, n, err, step.deleted)
		}
	}
	if n, err := tasks.NewClient(rdb, "other").DeleteArchived(t.Context(), time.Now().Add(time.Hour)); n != 0 || err != nil {
		t.Errorf("another namespace deleted %d, %v", n, err)
	}
}

func enqueue(t *testing.T, c *tasks.Client, n tasks.Notification) {
	t.Helper()
	n.TemplateID, n.Data = "t", map[string]string{"thing1": "x"}
	e, err := c.Seal(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Enqueue(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

// A push is stored once while it waits, and reads as it was written.
func eventsAreQueuedOnce(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	e := tasks.Event{
		App: "wx1", OpenID: "o1", Name: tasks.EventSent, At: time.Unix(1700000000, 0), Source: "s1",
		Items: []tasks.EventItem{{TemplateID: "t", MsgID: "1988810812324364291", ErrorCode: 7, ErrorStatus: "failed"}},
	}
	for range 3 {
		if err := c.EnqueueEvent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	list, err := asynq.NewInspectorFromRedisClient(rdb).ListPendingTasks("wx1.events")
	if err != nil || len(list) != 1 {
		t.Fatalf("%d tasks, %v, want 1", len(list), err)
	}
	got, err := tasks.DecodeEvent(list[0].Type, list[0].Payload)
	if err != nil || fmt.Sprint(got) != fmt.Sprint(e) {
		t.Errorf("%+v, %v, want %+v", got, err, e)
	}
	for payload, want := range map[string]error{
		`{"v":3,"items":"of a later version"}`:            tasks.ErrNewer,
		`{"v":1,"app":"wx1","to":"o1","at":1}`:            tasks.ErrGarbage,
		`{"v":1,"app":"wx1","to":"o 1","at":1,"src":"s"}`: tasks.ErrGarbage,
		`{"v":1,"app":"","to":"o1","at":1,"src":"s"}`:     tasks.ErrGarbage,
		`[]`: tasks.ErrGarbage,
		`{"v":1,"app":"wx1","to":"o1","at":"x","src":"s"}`: tasks.ErrGarbage,
	} {
		if _, err := tasks.DecodeEvent("wxnotify-event:subscribe_msg_sent_event", []byte(payload)); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", payload, err, want)
		}
	}
	for taskType, want := range map[string]error{"wxnotify-event:of_later": tasks.ErrNewer, "wxnotify:subscribe": tasks.ErrForeign} {
		if _, err := tasks.DecodeEvent(taskType, list[0].Payload); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", taskType, err, want)
		}
	}
}

// A task that a worker took since it was listed is the worker's.
func takenMeanwhileStays(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o1"}, SendAt: time.Now().Add(time.Hour)})
	taken, done := make(chan struct{}), make(chan struct{})
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{Queues: map[string]int{"wx1.default": 1}, TaskCheckInterval: 10 * time.Millisecond, LogLevel: asynq.FatalLevel})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		close(taken)
		<-done
		return nil
	})); err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	defer close(done)
	n, err := c.DeleteWaiting(t.Context(), func(task tasks.Task) (bool, error) {
		e := task.Envelope
		if err := asynq.NewInspectorFromRedisClient(rdb).RunTask("wx1.default", tasks.TaskID(e.App, e.ID)); err != nil {
			return false, err
		}
		<-taken
		return true, nil
	})
	if n != 0 || err != nil {
		t.Errorf("%d deleted, %v, want none and no error", n, err)
	}
}
