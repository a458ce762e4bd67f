package worker

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// watcher is one worker's stuck, with a clock of its own.
type watcher struct {
	*stuck
	clock time.Time
	log   bytes.Buffer
}

func newWatcher(rdb redis.UniversalClient) *watcher {
	w := &watcher{clock: time.Now()}
	w.stuck = newStuck(tasks.NewClient(rdb, ""), metrics.New(metrics.Info{}), slog.New(slog.NewTextHandler(&w.log, nil)))
	w.now = func() time.Time { return w.clock }
	w.watch("wx1.default")
	w.watch("wx1.deleted")
	return w
}

// lookAfter is another look, some time later.
func (w *watcher) lookAfter(ctx context.Context, d time.Duration) {
	w.clock = w.clock.Add(d)
	w.look(ctx)
}

// wantCounted fails unless n tasks were counted and as many lines written.
func (w *watcher) wantCounted(t *testing.T, n string, lines int) {
	t.Helper()
	page := httptest.NewRecorder()
	ready := func(context.Context) error { return nil }
	metrics.AdminMux(w.metrics, ready).ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	if !strings.Contains(page.Body.String(), "\nwxnotify_stuck_tasks_total "+n+"\n") {
		t.Errorf("not %s in wxnotify_stuck_tasks_total", n)
	}
	if have := strings.Count(w.log.String(), "task="); have != lines {
		t.Errorf("%d lines about tasks, want %d:\n%s", have, lines, w.log.String())
	}
}

// A task without a lease at two looks a minute apart gets an old one, once, however
// many workers look; what was finished meanwhile or has a lease is left alone.
func TestStuckTasksGetAnOldLease(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	ctx, c := t.Context(), tasks.NewClient(rdb, "")
	const active, lease = "asynq:{wx1.default}:active", "asynq:{wx1.default}:lease"
	for _, id := range []string{"stuck", "finished", "held"} {
		e, err := c.Seal(tasks.Notification{App: "wx1", ID: id, Kind: tasks.KindSubscribe, To: tasks.Recipient{OpenID: "o1"},
			TemplateID: "t1", Data: map[string]string{"thing1": "x"}})
		if err == nil {
			err = c.Enqueue(ctx, e)
		}
		if err == nil {
			err = rdb.LMove(ctx, "asynq:{wx1.default}:pending", active, "RIGHT", "LEFT").Err()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := rdb.ZAdd(ctx, lease, redis.Z{Member: "wx1:held", Score: 42}).Err(); err != nil {
		t.Fatal(err)
	}

	a, b := newWatcher(rdb), newWatcher(rdb)
	a.look(ctx)
	b.look(ctx)
	a.lookAfter(ctx, stuckEvery/2) // a clock tick that came too soon is no second look
	if n, err := rdb.ZCard(ctx, lease).Result(); err != nil || n != 1 {
		t.Fatalf("%d leases after one look, %v, want the one that was there", n, err)
	}
	if err := rdb.LRem(ctx, active, 0, "wx1:finished").Err(); err != nil {
		t.Fatal(err)
	}
	a.lookAfter(ctx, stuckEvery/2)
	b.lookAfter(ctx, stuckEvery)
	have, err := rdb.ZRangeWithScores(ctx, lease, 0, -1).Result()
	if err != nil || len(have) != 2 || have[0] != (redis.Z{Member: "wx1:stuck"}) || have[1].Score != 42 {
		t.Errorf("%v, %v, want an old lease of wx1:stuck, and wx1:held's", have, err)
	}
	a.wantCounted(t, "1", 1)
	b.wantCounted(t, "0", 0)
}

// An entry without a task is left, counted and told once.
func TestStuckEntryWithoutATaskIsLeft(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	ctx := t.Context()
	if err := rdb.LPush(ctx, "asynq:{wx1.default}:active", "wx1:ghost").Err(); err != nil {
		t.Fatal(err)
	}
	w := newWatcher(rdb)
	for range 4 {
		w.lookAfter(ctx, stuckEvery)
	}
	if n, err := rdb.Exists(ctx, "asynq:{wx1.default}:lease").Result(); err != nil || n != 0 {
		t.Errorf("%d leases, %v, want none", n, err)
	}
	w.wantCounted(t, "1", 1)
}

// With Redis away a look ends with a warning, and the next one goes on.
func TestStuckWithRedisAway(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	w := newWatcher(server.Client(t))
	server.Stop(t)
	w.look(t.Context())
	if n := strings.Count(w.log.String(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want 1:\n%s", n, w.log.String())
	}
	server.Start(t)
	w.lookAfter(t.Context(), stuckEvery)
	w.wantCounted(t, "0", 0)
}
