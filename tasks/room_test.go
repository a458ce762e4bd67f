package tasks_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func sealed(t testing.TB, c *tasks.Client, id string) tasks.Envelope {
	t.Helper()
	n := valid()
	n.ID = id
	e, err := c.Seal(n)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// maxMemory sets maxmemory so that used_memory is the given share of it.
func maxMemory(t *testing.T, rdb redis.UniversalClient, share float64) {
	t.Helper()
	if err := rdb.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	// Beside this, what connections come and go with weighs little.
	if err := rdb.SetRange(t.Context(), "ballast", 16<<20, "x").Err(); err != nil {
		t.Fatal(err)
	}
	m, err := tasks.ReadMemory(t.Context(), rdb)
	if err != nil || m.Used == 0 {
		t.Fatal(m, err)
	}
	if err := rdb.ConfigSet(t.Context(), "maxmemory", fmt.Sprint(int64(float64(m.Used)/share))).Err(); err != nil {
		t.Fatal(err)
	}
}

func TestRoomGoesByMemory(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c := tasks.NewClient(rdb, "")
	e := sealed(t, c, "a")
	for _, tt := range []struct {
		share               float64
		send, consent, push error
	}{
		{0.5, nil, nil, nil}, {0.9, tasks.ErrMemoryFull, nil, nil}, {0.96, tasks.ErrMemoryFull, tasks.ErrMemoryFull, nil},
		{1.1, tasks.ErrMemoryFull, tasks.ErrMemoryFull, tasks.ErrMemoryFull},
	} {
		maxMemory(t, rdb, tt.share)
		room := tasks.NewRoom(c, 0)
		if send, consent := room.ForNotification(t.Context(), e, nothing), room.ForConsent(t.Context(), nothing); !errors.Is(send, tt.send) || !errors.Is(consent, tt.consent) {
			t.Errorf("at %v: %v and %v", tt.share, send, consent)
		}
		if push := room.ForPush(t.Context(), nothing); !errors.Is(push, tt.push) {
			t.Errorf("at %v: %v", tt.share, push)
		}
	}
}

// nothing is what there was room for.
func nothing() error { return nil }

// Where memory has no limit, or INFO is refused or tells nothing, there is always room.
func TestRoomWithoutALimit(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	none := server.Client(t)
	maxMemory(t, none, 2)
	if err := none.Do(t.Context(), "ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "-info").Err(); err != nil {
		t.Fatal(err)
	}
	refused := connect(t, "redis://app:pass@"+server.Addr)
	var reply redis.Error
	if _, err := tasks.ReadMemory(t.Context(), refused); !errors.As(err, &reply) {
		t.Fatal(err)
	}
	embedded := connect(t, "redis://"+miniredis.RunT(t).Addr())
	unlimited := taskstest.StartRedis(t).Client(t)
	for name, rdb := range map[string]redis.UniversalClient{"refused": refused, "embedded": embedded, "unlimited": unlimited} {
		c := tasks.NewClient(rdb, "")
		if err := tasks.NewRoom(c, 0).ForNotification(t.Context(), sealed(t, c, "a"), nothing); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A Cluster is asked master by master, and an app's lanes may lie on several.
func TestRoomOfACluster(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t, "--cluster-enabled", "yes")
	node := server.Client(t)
	if err := node.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	rdb := connect(t, "redis-cluster://"+server.Addr)
	taskstest.Eventually(t, 20*time.Second, func() string {
		if err := rdb.Set(t.Context(), "k", 1, 0).Err(); err != nil {
			return err.Error()
		}
		return ""
	})
	c := tasks.NewClient(rdb, "")
	if n, err := c.Waiting(t.Context(), "wx1"); err != nil || n != 0 {
		t.Error(n, err)
	}
	maxMemory(t, node, 0.9)
	if err := tasks.NewRoom(c, 0).ForNotification(t.Context(), sealed(t, c, "a"), nothing); !errors.Is(err, tasks.ErrMemoryFull) {
		t.Error(err)
	}
	server.Kill()
	if m, err := tasks.ReadMemory(t.Context(), rdb); err == nil {
		t.Error(m)
	}
}

func connect(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// Waiting reads keys of asynq's by their names; this holds the names against asynq.
func TestWaitingCountsEveryLaneAndState(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c := tasks.NewClient(rdb, "ns")
	for _, lane := range tasks.Priorities() {
		n := tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o"}, Priority: lane}
		enqueue(t, c, n)
		n.SendAt = time.Now().Add(time.Hour)
		enqueue(t, c, n)
		n.App = "wx2"
		enqueue(t, c, n)
	}
	failOne(t, rdb, "ns.wx1.bulk")
	enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o"}, Priority: tasks.Bulk})
	for app, want := range map[string]int64{"wx1": 7, "wx2": 3, "wx3": 0} {
		if n, err := c.Waiting(t.Context(), app); err != nil || n != want {
			t.Errorf("%s: %d wait, %v, want %d", app, n, err, want)
		}
	}
}

// failOne lets a worker fail at the task of a queue, which then waits for a retry.
func failOne(t *testing.T, rdb redis.UniversalClient, queue string) {
	t.Helper()
	failed := make(chan struct{})
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{Queues: map[string]int{queue: 1}, Concurrency: 1, LogLevel: asynq.FatalLevel})
	if err := server.Start(asynq.HandlerFunc(func(context.Context, *asynq.Task) error {
		close(failed)
		return errors.New("not today")
	})); err != nil {
		t.Fatal(err)
	}
	<-failed
	server.Shutdown()
	if info, err := asynq.NewInspectorFromRedisClient(rdb).GetQueueInfo(queue); err != nil || info.Retry != 1 {
		t.Fatalf("%+v %v", info, err)
	}
}

func TestRoomGoesByTheAppsQueues(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	c := tasks.NewClient(rdb, "")
	room := tasks.NewRoom(c, 3)
	for i := range 3 {
		e := sealed(t, c, fmt.Sprint(i))
		if err := room.ForNotification(t.Context(), e, func() error { return c.Enqueue(t.Context(), e) }); err != nil {
			t.Fatal(err)
		}
	}
	e := sealed(t, c, "more")
	if err := room.ForNotification(t.Context(), e, nothing); !errors.Is(err, tasks.ErrQueueFull) {
		t.Fatal(err)
	}
	other := e
	other.App = "wx0000000000000000"
	if err := room.ForNotification(t.Context(), other, nothing); err != nil {
		t.Fatal("another app's queues:", err)
	}
	if _, err := asynq.NewInspectorFromRedisClient(rdb).DeleteAllPendingTasks(e.App + ".default"); err != nil {
		t.Fatal(err)
	}
	taskstest.Eventually(t, 10*time.Second, func() string {
		if err := room.ForNotification(t.Context(), e, nothing); err != nil {
			return err.Error()
		}
		return ""
	})
}

// What Redis says at its limit, on the way of a task, of a push and of a script.
func TestOutOfMemory(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	maxMemory(t, rdb, 1.5)
	c := tasks.NewClient(rdb, "")
	if err := c.Enqueue(t.Context(), sealed(t, c, "a")); !tasks.OutOfMemory(err) {
		t.Error(err)
	}
	push := tasks.Event{App: "wx1", OpenID: "o1", Name: tasks.EventSent, At: time.Now(), Source: "s1"}
	if err := c.EnqueueEvent(t.Context(), push); !tasks.OutOfMemory(err) {
		t.Error(err)
	}
	if err := redis.NewScript(`return redis.call("SET", KEYS[1], 1)`).Run(t.Context(), rdb, []string{"k"}).Err(); !tasks.OutOfMemory(err) {
		t.Error(err)
	}
	if keys, err := rdb.DBSize(t.Context()).Result(); err != nil || keys != 1 { // the ballast
		t.Error(keys, err)
	}
	const before7 = "ERR Error running script (call to f_0): @user_script:1: -OOM command not allowed when used memory > 'maxmemory'."
	if !tasks.OutOfMemory(errors.New(before7)) || tasks.OutOfMemory(nil) || tasks.OutOfMemory(errors.New(strings.ToLower(before7))) {
		t.Error("texts")
	}
}
