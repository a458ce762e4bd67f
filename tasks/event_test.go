package tasks_test

import (
	"context"
	"net"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

func pushed(source string) tasks.Event {
	return tasks.Event{
		App: "wx1", OpenID: "o1", Name: tasks.EventPopup, At: time.Unix(1700000000, 0), Source: source,
		Items: []tasks.EventItem{{TemplateID: "t", Status: "accept"}},
	}
}

// While Redis hangs, whoever stores a push hears of it in time, also on a connection
// that batches.
func TestEventsAreGivenUpInTime(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // connects, and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	rdb, err := tasks.ConnectRedis("redis://"+silent.Addr().String(), tasks.RedisOptions{Timeout: 30 * time.Second, MaxRetries: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	if err := tasks.NewClient(tasks.Batching(rdb), "").EnqueueEvent(ctx, pushed("s")); err == nil {
		t.Error("no error")
	}
	if took := time.Since(start); took > 10*time.Second { // the client itself would wait for 30 s; the rest is for a busy machine
		t.Errorf("given up after %v, want about 100ms", took)
	}
}

func eventsLag(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	lag := func(least, most time.Duration) {
		t.Helper()
		if d, err := c.EventsLag(t.Context(), "wx1"); err != nil || d < least || d > most {
			t.Errorf("%v, %v, want %v to %v", d, err, least, most)
		}
	}
	lag(0, 0) // no push yet
	for _, source := range []string{"first", "second"} {
		if err := c.EnqueueEvent(t.Context(), pushed(source)); err != nil {
			t.Fatal(err)
		}
	}
	lag(1, 10*time.Second)
	since := time.Now().Add(-time.Hour).UnixNano()
	if err := rdb.HSet(t.Context(), "asynq:{wx1.events}:t:wx1:event:first", "pending_since", since).Err(); err != nil {
		t.Fatal(err)
	}
	lag(time.Hour, time.Hour+10*time.Second)
}

// What a person archived a moment ago is no dead letter past its time.
func whatWasArchivedByHandStays(t *testing.T, rdb redis.UniversalClient) {
	c := tasks.NewClient(rdb, "")
	enqueue(t, c, tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o1"}})
	if n, err := asynq.NewInspectorFromRedisClient(rdb).ArchiveAllPendingTasks("wx1.default"); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := c.DeleteArchived(t.Context(), time.Now().Add(-30*24*time.Hour)); n != 0 || err != nil {
		t.Errorf("%d deleted, %v, want none", n, err)
	}
}
