package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// everysec is a Redis as most run it.
func everysec(w *world) error { return w.startSingle("everysec") }

// always is a Redis that writes everything down before it answers.
func always(w *world) error { return w.startSingle("always") }

func (w *world) startSingle(fsync string) error {
	return w.stand.do(func(t testing.TB) {
		w.single = taskstest.StartRedis(t, "--appendonly", "yes", "--appendfsync", fsync)
		w.url = w.single.URL
	})
}

// underSentinel is a master with a replica, and sentinels.
func underSentinel(w *world) error {
	return w.stand.do(func(t testing.TB) {
		w.sentinel = taskstest.StartSentinel(t, "--appendonly", "yes")
		w.url = w.sentinel.URL
	})
}

// inCluster is a cluster of three masters with a replica each.
func inCluster(w *world) error {
	return w.stand.do(func(t testing.TB) {
		w.cluster = taskstest.StartCluster(t, 1, "--appendonly", "yes")
		w.url = w.cluster.URL
	})
}

// away is how long a Redis stays away: what was admitted before has reached the
// sandbox by then.
const away = 1500 * time.Millisecond

// shutRedisDown shuts Redis down and starts it again.
func shutRedisDown(ctx context.Context, w *world) error {
	return w.restartRedis(ctx, func(t testing.TB) { w.single.Stop(t) })
}

// killRedis kills Redis and starts it again.
func killRedis(ctx context.Context, w *world) error {
	return w.restartRedis(ctx, func(testing.TB) { w.single.Kill() })
}

func (w *world) restartRedis(ctx context.Context, end func(testing.TB)) error {
	return w.times(ctx, w.plan.of(w.row.redisFaults), func(ctx context.Context, _ int) error {
		if err := w.stand.do(end); err != nil {
			return err
		}
		w.redisFaults.Add(1)
		if err := lab.Sleep(ctx, away); err != nil {
			return err
		}
		if err := w.stand.do(w.single.Start); err != nil {
			return err
		}
		return w.surveyTogether(ctx)
	})
}

// surveyTogether surveys a Redis that has come back, once it lets us.
func (w *world) surveyTogether(ctx context.Context) error {
	return lab.Await(ctx, "Redis to answer", startWithin, func() (bool, error) {
		err := w.survey(ctx)
		return err == nil, context.Cause(ctx)
	})
}

// pauseRedis lets Redis answer nobody for a while, every other time for longer than
// a command may take.
func pauseRedis(ctx context.Context, w *world) error {
	return w.times(ctx, w.plan.of(w.row.redisFaults), func(ctx context.Context, i int) error {
		pause := time.Second
		if i%2 == 1 {
			pause = 6 * time.Second
		}
		if err := w.rdb.Do(ctx, "client", "pause", pause.Milliseconds(), "all").Err(); err != nil {
			return fmt.Errorf("pause redis: %w", err)
		}
		w.redisFaults.Add(1)
		return lab.Sleep(ctx, pause)
	})
}

// failOver kills the master that the sentinels watch, and brings it back as a replica.
func failOver(ctx context.Context, w *world) error {
	return w.times(ctx, w.plan.of(w.row.redisFaults), func(ctx context.Context, _ int) error {
		return w.replace(ctx, w.sentinel.Master, func(t testing.TB, dead *taskstest.Server) { w.sentinel.AwaitFailover(t, dead) })
	})
}

// killMaster kills the master that has a queue of the app, and brings it back as a
// replica.
func killMaster(ctx context.Context, w *world) error {
	return w.times(ctx, w.plan.of(w.row.redisFaults), func(ctx context.Context, i int) error {
		lanes := tasks.Priorities()
		queue := tasks.Namespace("").Queue(chaosApp, lanes[i%len(lanes)])
		return w.replace(ctx, func(t testing.TB) *taskstest.Server {
			return w.cluster.Master(t, "asynq:{"+queue+"}")
		}, w.cluster.AwaitTakeover)
	})
}

// replace kills a master, waits for its successor, and starts it again.
func (w *world) replace(ctx context.Context, master func(testing.TB) *taskstest.Server, await func(testing.TB, *taskstest.Server)) error {
	var dead *taskstest.Server
	err := w.stand.do(func(t testing.TB) {
		dead = master(t)
		dead.Kill()
		w.redisFaults.Add(1)
		await(t, dead)
	})
	if err != nil {
		return err
	}
	if err := w.surveyTogether(ctx); err != nil {
		return err
	}
	if err := w.stand.do(dead.Start); err != nil {
		return err
	}
	return awaitReplica(ctx, dead.Addr)
}

// awaitReplica returns once a server that came back has all its master has. Until then
// it could only take over with what it had when it died; and it is told who the master
// is after ten seconds.
func awaitReplica(ctx context.Context, addr string) error {
	rdb, err := tasks.ConnectRedis("redis://"+addr+"/0", tasks.RedisOptions{PoolSize: 1})
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }() // nothing was written
	return lab.Await(ctx, "the dead master to follow its successor", startWithin, func() (bool, error) {
		info, err := rdb.Info(ctx, "replication").Result()
		return err == nil && strings.Contains(info, "role:slave") && strings.Contains(info, "master_link_status:up"), nil
	})
}
