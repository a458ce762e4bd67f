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

// graveyard is a client, and asynq's own eyes and hands.
type graveyard struct {
	*testing.T
	client    *tasks.Client
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

func newGraveyard(t *testing.T) *graveyard {
	t.Helper()
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	return &graveyard{t, tasks.NewClient(rdb, ""), rdb, asynq.NewInspectorFromRedisClient(rdb)}
}

func (g *graveyard) seal(id string, sendAt time.Time) tasks.Envelope {
	g.Helper()
	e, err := g.client.Seal(tasks.Notification{
		App: "wx1", ID: id, To: tasks.Recipient{OpenID: "o"}, TemplateID: "t", Data: map[string]string{"thing1": "x"}, SendAt: sendAt,
	})
	if err != nil {
		g.Fatal(err)
	}
	return e
}

func (g *graveyard) enqueue(e tasks.Envelope) {
	g.Helper()
	if err := g.client.Enqueue(g.Context(), e); err != nil {
		g.Fatal(err)
	}
}

func (g *graveyard) archive(id string) {
	g.Helper()
	if err := g.inspector.ArchiveTask("wx1.default", "wx1:"+id); err != nil {
		g.Fatal(err)
	}
}

func (g *graveyard) wantState(id string, want asynq.TaskState) {
	g.Helper()
	task, err := g.client.Find(g.Context(), "wx1", id)
	if want == 0 && errors.Is(err, tasks.ErrNoTask) {
		return
	}
	if err != nil || task.State != want {
		g.Errorf("%s: state %v, %v, want %v", id, task.State, err, want)
	}
}

// trim takes a task out of the archive as asynq does where a person archives more
// than fits: the task itself is left behind.
func (g *graveyard) trim(id string) {
	g.Helper()
	if n := g.rdb.ZRem(g.Context(), "asynq:{wx1.default}:archived", "wx1:"+id).Val(); n != 1 {
		g.Fatal(n, "trimmed")
	}
}

func TestReplay(t *testing.T) {
	g := newGraveyard(t)
	for id, prepare := range map[string]func(tasks.Envelope){
		"archived":  func(e tasks.Envelope) { g.enqueue(e); g.archive(e.ID) },
		"trimmed":   func(e tasks.Envelope) { g.enqueue(e); g.archive(e.ID); g.trim(e.ID) },
		"forgotten": func(tasks.Envelope) {},
		"queued":    g.enqueue,
	} {
		e := g.seal(id, time.Time{})
		prepare(e)
		for range 2 { // it may be repeated
			if err := g.client.Replay(t.Context(), e); err != nil {
				t.Errorf("%s: %v", id, err)
			}
		}
		g.wantState(id, asynq.TaskStatePending)
		task, err := g.client.Find(t.Context(), "wx1", id)
		if err != nil || task.Envelope.Hash != e.Hash || task.Envelope.EnqueuedAt.UnixMilli() != e.EnqueuedAt.UnixMilli() {
			t.Errorf("%s: %+v, %v, want the same notification", id, task.Envelope, err)
		}
	}
	later := g.seal("later", time.Now().Add(time.Hour))
	g.enqueue(later)
	if err := g.client.Replay(t.Context(), later); err != nil {
		t.Error(err)
	}
	g.wantState("later", asynq.TaskStateScheduled)
	if info, err := g.inspector.GetQueueInfo("wx1.default"); err != nil || info.Size != 5 || info.Pending != 4 {
		t.Errorf("%+v, %v, want 5 tasks, 4 pending", info, err)
	}
}

func TestDropArchived(t *testing.T) {
	g := newGraveyard(t)
	drop := func(id string) error { return g.client.DropArchived(t.Context(), "wx1", id, tasks.Default) }
	for _, id := range []string{"archived", "trimmed", "queued"} {
		g.enqueue(g.seal(id, time.Time{}))
	}
	g.archive("archived")
	g.archive("trimmed")
	g.trim("trimmed")
	for id, want := range map[string]error{"archived": nil, "trimmed": nil, "never": nil, "queued": tasks.ErrTaskMoved} {
		if err := drop(id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	g.wantState("archived", 0)
	g.wantState("trimmed", 0)
	g.wantState("queued", asynq.TaskStatePending)
}

// All archived notifications of the app are found, on every page, and nothing else.
func TestArchived(t *testing.T) {
	g := newGraveyard(t)
	const n = 700 // more than a page
	for i := range n {
		id := fmt.Sprint("id-", i)
		g.enqueue(g.seal(id, time.Time{}))
		g.archive(id)
	}
	g.enqueue(g.seal("queued", time.Time{}))
	foreign := asynq.NewTask("mail:send", nil)
	if _, err := asynq.NewClientFromRedisClient(g.rdb).Enqueue(foreign, asynq.Queue("wx1.default"), asynq.TaskID("mail")); err != nil {
		t.Fatal(err)
	}
	if err := g.inspector.ArchiveTask("wx1.default", "mail"); err != nil {
		t.Fatal(err)
	}
	found := map[string]bool{}
	err := g.client.Archived(t.Context(), "wx1", time.Time{}, func(page []tasks.Envelope) error {
		for _, e := range page {
			found[e.ID] = true
		}
		return nil
	})
	if err != nil || len(found) != n || found["queued"] {
		t.Errorf("%d found, %v, want %d", len(found), err, n)
	}
	if err := g.client.Archived(t.Context(), "wx2", time.Time{}, func([]tasks.Envelope) error { return errors.New("nothing is there") }); err != nil {
		t.Error(err)
	}
}

// What failed so long ago that the purge deletes it is passed over; what a person archived
// that never failed is not.
func TestArchivedLongAgo(t *testing.T) {
	g := newGraveyard(t)
	g.enqueue(g.seal("failed", time.Time{}))
	server := asynq.NewServerFromRedisClient(g.rdb, asynq.Config{Queues: map[string]int{"wx1.default": 1}, LogLevel: asynq.FatalLevel, TaskCheckInterval: 50 * time.Millisecond})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error { return asynq.SkipRetry })); err != nil {
		t.Fatal(err)
	}
	taskstest.Eventually(t, 10*time.Second, func() string {
		if archived, err := g.client.IsArchived(t.Context(), "wx1", "failed", tasks.Default); !archived || err != nil {
			return fmt.Sprint("it is not archived yet: ", err)
		}
		return ""
	})
	server.Shutdown()
	g.enqueue(g.seal("by-hand", time.Time{}))
	if archived, err := g.client.IsArchived(t.Context(), "wx1", "by-hand", tasks.Default); archived || err != nil {
		t.Error(archived, err)
	}
	g.archive("by-hand")
	if archived, err := g.client.IsArchived(t.Context(), "wx1", "unheard-of", tasks.Default); archived || err != nil {
		t.Error(archived, err)
	}
	for want, since := range map[int]time.Time{2: time.Now().Add(-time.Hour), 1: time.Now().Add(time.Hour)} {
		found := 0
		err := g.client.Archived(t.Context(), "wx1", since, func(page []tasks.Envelope) error {
			found += len(page)
			return nil
		})
		if err != nil || found != want {
			t.Errorf("since %v: %d found, %v, want %d", since, found, err, want)
		}
	}
}
