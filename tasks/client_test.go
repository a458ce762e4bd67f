package tasks_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func enqueueAndFind(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "ns")
	n := valid()
	n.Page, n.Priority, n.OnUnknown, n.Lang = new(""), tasks.Critical, tasks.Drop, "en_US"
	n.Data["thing1"] = "a&b<c>"
	n.NotAfter = time.Now().Add(time.Hour).Truncate(time.Millisecond)
	e, err := c.Seal(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Enqueue(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if err := c.Enqueue(t.Context(), e); !errors.Is(err, tasks.ErrDuplicate) {
		t.Fatal("a second task with the same id:", err)
	}
	found, err := c.Find(t.Context(), n.App, n.ID)
	if err != nil || found.State != asynq.TaskStatePending || found.Failed {
		t.Fatalf("%+v, %v", found, err)
	}
	got := found.Envelope
	if got.Hash != e.Hash || got.ContentHash() != e.Hash || got.Priority != tasks.Critical || got.OnUnknown != tasks.Drop ||
		!got.NotAfter.Equal(n.NotAfter) || !got.EnqueuedAt.Equal(e.EnqueuedAt.Truncate(time.Millisecond)) {
		t.Fatalf("enqueued %+v\nfound %+v", e, got)
	}
	if _, err := c.Find(t.Context(), n.App, "other"); !errors.Is(err, tasks.ErrNoTask) {
		t.Fatal(err)
	}
}

// Queued reads a key of asynq's by its name; this holds the name against asynq.
func queuedSeesEveryLane(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	for _, lane := range tasks.Priorities() {
		n := valid()
		n.ID, n.Priority = "in-"+string(lane), lane
		if queued, err := c.Queued(t.Context(), n.App, n.ID); err != nil || queued {
			t.Fatal(queued, err)
		}
		e, err := c.Seal(n)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Enqueue(t.Context(), e); err != nil {
			t.Fatal(err)
		}
		if queued, err := c.Queued(t.Context(), n.App, n.ID); err != nil || !queued {
			t.Fatal(lane, queued, err)
		}
	}
}

func TestSealMakesIDsThatSort(t *testing.T) {
	t.Parallel()
	c := tasks.NewClient(taskstest.StartRedis(t).Client(t), "")
	var last string
	for range 100 {
		n := valid()
		n.ID = ""
		e, err := c.Seal(n)
		if err != nil || !tasks.ValidID(e.ID) || e.ID <= last {
			t.Fatal(last, e.ID, err)
		}
		last = e.ID
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const ok = `{"v":1,"app":"wx1","id":"a","to":"o1","tpl":"t1","data":{"thing1":"x"},"enq":1,"hash":"h"}`
	if _, err := tasks.Decode("wxnotify:subscribe", []byte(ok)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		typ, payload string
		want         error
	}{
		{"email:welcome", ok, tasks.ErrForeign},
		{"", ok, tasks.ErrForeign},
		{"wxnotify:later", ok, tasks.ErrNewer},
		{"wxnotify:subscribe", strings.Replace(ok, `"v":1`, `"v":3`, 1), tasks.ErrNewer},
		{"wxnotify:subscribe", `{"v":9,"app":7}`, tasks.ErrNewer},
		{"wxnotify:subscribe", "", tasks.ErrGarbage},
		{"wxnotify:subscribe", "\xff\xfe", tasks.ErrGarbage},
		{"wxnotify:subscribe", `[]`, tasks.ErrGarbage},
		{"wxnotify:subscribe", `{}`, tasks.ErrGarbage},
		{"wxnotify:subscribe", strings.Replace(ok, `"o1"`, `7`, 1), tasks.ErrGarbage},
		{"wxnotify:subscribe", strings.Replace(ok, `"o1"`, `"o 1 CANARY"`, 1), tasks.ErrGarbage},
		{"wxnotify:subscribe", strings.Replace(ok, `"x"`, `"CANARY\n"`, 1), tasks.ErrGarbage},
		{"wxnotify:subscribe", strings.Replace(ok, `"v":1`, `"v":0`, 1), tasks.ErrGarbage},
	} {
		_, err := tasks.Decode(c.typ, []byte(c.payload))
		if !errors.Is(err, c.want) {
			t.Errorf("%s %q: %v, want %v", c.typ, c.payload, err, c.want)
		}
		if err != nil && strings.Contains(err.Error(), "CANARY") {
			t.Errorf("the error holds content: %v", err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add("wxnotify:subscribe", []byte(`{"v":1,"app":"wx1","id":"a","to":"o1","tpl":"t1","data":{"thing1":"x"},"enq":1,"hash":"h"}`))
	f.Add("wxnotify-job:token-refresh", []byte(`{"job":"token-refresh","app":"wx1","slot":3}`))
	f.Fuzz(func(t *testing.T, typ string, payload []byte) {
		if e, err := tasks.Decode(typ, payload); err == nil && (e.ID == "" || e.To.OpenID == "" || len(e.Data) == 0) {
			t.Errorf("an unusable task passed: %+v", e)
		}
		if j, err := tasks.DecodeJob(typ, payload); err == nil && j.Job == "" {
			t.Error("an unusable job passed")
		}
	})
}

func jobsAreEnqueuedOncePerSlot(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	for slot, want := range map[tasks.JobTask]bool{{Job: tasks.JobRefreshToken, App: "wx1", Slot: 1}: true, {Job: tasks.JobRefreshToken, App: "wx1", Slot: 2}: true} {
		for n := range 3 {
			first, err := c.EnqueueJob(t.Context(), slot)
			if err != nil || first != (want && n == 0) {
				t.Fatal(slot, n, first, err)
			}
		}
	}
	if _, err := tasks.DecodeJob("wxnotify-job:later", []byte(`{"job":"later"}`)); !errors.Is(err, tasks.ErrNewer) {
		t.Error(err)
	}
	if _, err := tasks.DecodeJob("other", nil); !errors.Is(err, tasks.ErrForeign) {
		t.Error(err)
	}
	if _, err := tasks.DecodeJob("wxnotify-job:token-refresh", []byte("{")); !errors.Is(err, tasks.ErrGarbage) {
		t.Error(err)
	}
}

func servedApps(t *testing.T, rdb redis.UniversalClient) {
	reader, writer := tasks.NewServed(rdb, ""), tasks.NewServed(rdb, "")
	knows := func(app string, want bool) {
		t.Helper()
		if got, err := reader.Knows(t.Context(), app); err != nil || got != want {
			t.Fatalf("knows %s: %v, %v", app, got, err)
		}
	}
	knows("wx1", true) // nobody has said anything yet
	if err := writer.Announce(t.Context(), map[string]tasks.ConsentPolicy{"wx1": {}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	knows("wx1", true)
	knows("wx2", false)
	if err := writer.Announce(t.Context(), map[string]tasks.ConsentPolicy{"wx2": {}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	knows("wx2", true) // an app that appears is noticed at once
	if all, err := reader.All(t.Context()); err != nil || len(all) != 2 || all["wx2"].Mode != tasks.CreditsObserve {
		t.Errorf("%v, %v, want both with the default policy", all, err)
	}
}

func TestRedisURLs(t *testing.T) {
	t.Parallel()
	for _, url := range []string{
		"redis://localhost:6379/0", "rediss://user:p%40ss@h:6380/3",
		"redis-sentinel://h:26379/0?master_name=mymaster&addr=h2:26379", "redis-cluster://h:7000?addr=h2:7001", "rediss-cluster://h:7000",
	} {
		if err := tasks.CheckRedisURL(url); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
	for _, url := range []string{
		"", "localhost:6379", "http://h", "redis://", "redis://u:CANARY@h:port/0", "redis://h/notadb",
		"redis-sentinel://h:26379", "redis-cluster://u:CANARY@h:x",
	} {
		err := tasks.CheckRedisURL(url)
		if err == nil || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "redis-cluster://") {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// A Redis that accepts and never answers must not hold a caller longer than its
// context says.
func TestHangingRedisIsBounded(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	rdb, err := tasks.ConnectRedis("redis://"+l.Addr().String(), tasks.RedisOptions{Timeout: time.Minute, MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	c := tasks.NewClient(rdb, "")
	e, err := c.Seal(valid())
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Enqueue(ctx, e); err == nil {
		t.Fatal("enqueued into a Redis that never answered")
	}
	if _, err := c.Find(ctx, "wx1", "a"); err == nil {
		t.Fatal("found in a Redis that never answered")
	}
	if took := time.Since(start); took > 20*time.Second { // the client itself would wait for a minute
		t.Fatalf("took %v", took)
	}
}
