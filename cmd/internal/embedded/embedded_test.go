package embedded_test

import (
	"context"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/embedded"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestKeysExpire(t *testing.T) {
	t.Parallel()
	r, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	rdb, err := tasks.ConnectRedis(r.URL(), tasks.RedisOptions{MaxRetries: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	if err := rdb.Set(t.Context(), "k", "v", 50*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	taskstest.Eventually(t, 5*time.Second, func() string {
		if rdb.Exists(t.Context(), "k").Val() == 0 {
			return ""
		}
		return "the key is still there"
	})
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if rdb.Ping(t.Context()).Err() == nil {
		t.Fatal("it goes on after its end")
	}
}

func TestTakenPort(t *testing.T) {
	t.Parallel()
	first, err := embedded.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	addr := first.URL()[len("redis://") : len(first.URL())-len("/0")]
	if second, err := embedded.Start(addr); err == nil {
		second.Close()
		t.Fatal("two servers on one port")
	}
}
