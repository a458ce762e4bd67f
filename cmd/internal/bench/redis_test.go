package main

import (
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestSlowest(t *testing.T) {
	t.Parallel()
	r, err := connectRedis(taskstest.StartRedis(t).Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.close)
	if err := r.watchSlow(t.Context()); err != nil {
		t.Fatal(err)
	}
	const busy = "local n = 0 for i = 1, 1000000 do n = n + i end return n"
	if err := r.rdb.Eval(t.Context(), busy, nil).Err(); err != nil {
		t.Fatal(err)
	}
	got, err := r.slowest(t.Context())
	if err != nil || got.name != "EVAL" || got.took < slowFrom {
		t.Errorf("%+v, %v", got, err)
	}
	if err := r.watchSlow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got, err := r.slowest(t.Context()); err != nil || strings.HasPrefix(got.name, "EVAL") {
		t.Errorf("%+v from before, %v", got, err)
	}
	// All of it took one connection, as memory needs.
	if n, err := r.number(t.Context(), "clients", "connected_clients"); err != nil || n != 1 {
		t.Errorf("%d connections, %v", n, err)
	}
}
