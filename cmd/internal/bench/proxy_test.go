package main

import (
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// A script is one command and one round trip whatever it calls; a pipeline is
// one round trip however many commands it has.
func TestProxyCounts(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	p, err := startProxy(t.Context(), server.Addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	rdb, err := tasks.ConnectRedis("redis://"+p.addr()+"/0", tasks.RedisOptions{PoolSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	pipeline := func(pipe redis.Pipeliner) error {
		for range 10 {
			pipe.Incr(t.Context(), "n")
		}
		return nil
	}
	if err := rdb.Ping(t.Context()).Err(); err != nil { // connects
		t.Fatal(err)
	}
	if _, err := rdb.Pipelined(t.Context(), pipeline); err != nil { // pipelines have connections of their own
		t.Fatal(err)
	}
	commands, trips := p.commands.Load(), p.roundTrips.Load()

	big := make([]byte, 1<<20)
	if err := rdb.Set(t.Context(), "big", big, 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := rdb.Get(t.Context(), "big").Bytes(); err != nil || len(got) != len(big) {
		t.Fatal(len(got), err)
	}
	if err := rdb.Eval(t.Context(), "redis.call('SET', KEYS[1], 1) return redis.call('GET', KEYS[1])", []string{"k"}).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := rdb.Pipelined(t.Context(), pipeline); err != nil {
		t.Fatal(err)
	}
	if c, r := p.commands.Load()-commands, p.roundTrips.Load()-trips; c != 13 || r != 4 {
		t.Errorf("%d commands in %d round trips, want 13 in 4", c, r)
	}
}
