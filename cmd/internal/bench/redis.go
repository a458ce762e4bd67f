package main

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
)

// redisServer looks into the redis-server under test over one connection.
type redisServer struct {
	addr      string
	rdb       redis.UniversalClient
	inspector *asynq.Inspector
}

func connectRedis(addr string) (*redisServer, error) {
	rdb, err := tasks.ConnectRedis("redis://"+addr+"/0", tasks.RedisOptions{PoolSize: 1})
	if err != nil {
		return nil, err
	}
	return &redisServer{addr: addr, rdb: rdb, inspector: asynq.NewInspectorFromRedisClient(rdb)}, nil
}

func (r *redisServer) close() { _ = r.rdb.Close() } // nothing is left to be written

// answers asks for a connection first: the client library logs every one that is
// refused.
func (r *redisServer) answers(ctx context.Context) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", r.addr)
	if err != nil {
		return false
	}
	_ = conn.Close() // it has told what it was for
	return r.rdb.Ping(ctx).Err() == nil
}

// flush forgets everything, so that each round begins alike.
func (r *redisServer) flush(ctx context.Context) error {
	if err := r.rdb.FlushAll(ctx).Err(); err != nil {
		return fmt.Errorf("flush redis: %w", err)
	}
	return nil
}

// drained returns once a queue holds no task in any state.
func (r *redisServer) drained(ctx context.Context, queue string) error {
	return lab.Await(ctx, "the queue to drain", drainWithin, func() (bool, error) {
		info, err := r.inspector.GetQueueInfo(queue)
		if err != nil {
			return false, fmt.Errorf("look at the queue: %w", err)
		}
		if info.Retry+info.Archived > 0 {
			return false, fmt.Errorf("%d tasks wait for a retry and %d are archived: nothing should fail here", info.Retry, info.Archived)
		}
		return info.Size == 0, nil
	})
}

// memory is Redis's used_memory in bytes, once no connection but our own is
// left: each holds buffers, which are no part of what is stored.
func (r *redisServer) memory(ctx context.Context) (int64, error) {
	err := lab.Await(ctx, "the connections to Redis to close", startWithin, func() (bool, error) {
		n, err := r.number(ctx, "clients", "connected_clients")
		return n <= 1, err
	})
	if err != nil {
		return 0, err
	}
	return r.number(ctx, "memory", "used_memory")
}

// Redis notes the commands that take longer than slowFrom, up to slowKept of them.
const (
	slowFrom = 100 * time.Microsecond
	slowKept = 20_000
)

// slowCommand is a command that Redis was busy with for so long, by the clock on the
// wall: a busy machine adds to it. Without a name no command took slowFrom.
type slowCommand struct {
	name string
	took time.Duration
}

// watchSlow lets Redis note its slow commands from now on. No pipeline: it would
// have a connection of its own, which memory waits for.
func (r *redisServer) watchSlow(ctx context.Context) error {
	for _, cmd := range []*redis.StatusCmd{
		r.rdb.ConfigSet(ctx, "slowlog-log-slower-than", strconv.FormatInt(slowFrom.Microseconds(), 10)),
		r.rdb.ConfigSet(ctx, "slowlog-max-len", strconv.Itoa(slowKept)),
		r.rdb.SlowLogReset(ctx),
	} {
		if err := cmd.Err(); err != nil {
			return fmt.Errorf("redis: watch slow commands: %w", err)
		}
	}
	return nil
}

// slowest is the command that took longest since watchSlow. A script is one.
func (r *redisServer) slowest(ctx context.Context) (slowCommand, error) {
	list, err := r.rdb.SlowLogGet(ctx, slowKept).Result()
	if err != nil {
		return slowCommand{}, fmt.Errorf("redis: read slow commands: %w", err)
	}
	if len(list) == slowKept {
		return slowCommand{}, fmt.Errorf("redis: more than %d slow commands: the slowest may be lost", slowKept)
	}
	slowest := slowCommand{took: slowFrom}
	for _, c := range list {
		if c.Duration >= slowest.took && len(c.Args) > 0 {
			slowest = slowCommand{name: strings.ToUpper(c.Args[0]), took: c.Duration}
		}
	}
	return slowest, nil
}

// executed is how many commands Redis has executed since it started, those that
// scripts call included.
func (r *redisServer) executed(ctx context.Context) (int64, error) {
	return r.number(ctx, "stats", "total_commands_processed")
}

// calls is how often Redis has executed a command, in scripts too.
func (r *redisServer) calls(ctx context.Context, command string) (int64, error) {
	info, err := r.rdb.Info(ctx, "commandstats").Result()
	if err != nil {
		return 0, fmt.Errorf("redis: info: %w", err)
	}
	stat, ok := infoField(info, "cmdstat_"+command)
	if !ok {
		return 0, nil
	}
	text, _, _ := strings.Cut(strings.TrimPrefix(stat, "calls="), ",")
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("redis: calls of %s: %w", command, err)
	}
	return n, nil
}

func (r *redisServer) version(ctx context.Context) (string, error) {
	return r.field(ctx, "server", "redis_version")
}

func (r *redisServer) number(ctx context.Context, section, name string) (int64, error) {
	value, err := r.field(ctx, section, name)
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("redis: %s: %w", name, err)
	}
	return n, nil
}

func (r *redisServer) field(ctx context.Context, section, name string) (string, error) {
	info, err := r.rdb.Info(ctx, section).Result()
	if err != nil {
		return "", fmt.Errorf("redis: info: %w", err)
	}
	value, ok := infoField(info, name)
	if !ok {
		return "", fmt.Errorf("redis: info has no %s", name)
	}
	return value, nil
}

func infoField(info, name string) (string, bool) {
	for line := range strings.Lines(info) {
		if value, ok := strings.CutPrefix(line, name+":"); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}
