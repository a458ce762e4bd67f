package worker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// pulse notices when a queue's dequeue loop last got an answer from Redis. asynq
// tells nobody, so it watches the commands: dequeue is the one whose second key
// is the queue's paused flag.
type pulse struct {
	last map[string]*atomic.Int64 // by asynq's key of the paused flag; unix ns
}

func newPulse() *pulse { return &pulse{last: make(map[string]*atomic.Int64)} }

// isPausedKey reports whether a key is a queue's paused flag.
func isPausedKey(key string) bool { return strings.HasSuffix(key, pausedSuffix) }

const pausedSuffix = "}:paused"

// watch must be called for every queue before the client is used.
func (p *pulse) watch(queue string) {
	p.last["asynq:{"+queue+pausedSuffix] = new(atomic.Int64)
}

// silent reports the queues whose loop has not turned for d.
func (p *pulse) silent(d time.Duration) []string {
	var queues []string
	limit := time.Now().Add(-d).UnixNano()
	for key, last := range p.last {
		if last.Load() < limit {
			queues = append(queues, strings.TrimSuffix(strings.TrimPrefix(key, "asynq:{"), pausedSuffix))
		}
	}
	return queues
}

// DialHook implements redis.Hook.
func (p *pulse) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessPipelineHook implements redis.Hook.
func (p *pulse) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		if answered(err) { // a command's own result must not be read here: it may not be handed over yet
			for _, cmd := range cmds {
				p.beat(cmd.Args())
			}
		}
		return err
	}
}

// ProcessHook implements redis.Hook.
func (p *pulse) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if answered(err) {
			p.beat(cmd.Args())
		}
		return err
	}
}

// answered reports whether Redis did what it was asked; that there is no task is
// an answer too.
func answered(err error) bool { return err == nil || errors.Is(err, redis.Nil) }

// pausedKey is where a dequeue script names the paused flag: evalsha, hash,
// number of keys, pending, paused.
const pausedKey = 4

func (p *pulse) beat(args []any) {
	if len(args) <= pausedKey {
		return
	}
	key, ok := args[pausedKey].(string)
	if !ok {
		return
	}
	if last := p.last[key]; last != nil {
		last.Store(time.Now().UnixNano())
	}
}

// readyWithin is how recently every dequeue loop must have turned.
const readyWithin = 30 * time.Second

// Ready reports whether the worker takes tasks: Redis answers, and every dequeue
// loop has turned within 30 s. Its text names queues, nothing else.
func (w *Worker) Ready(ctx context.Context) error {
	if err := w.cfg.Redis.Ping(ctx).Err(); err != nil {
		w.cfg.Metrics.RedisUp(false)
		if tasks.Forbidden(err) != nil {
			return errors.New("redis refuses this worker's user")
		}
		return errors.New("redis does not answer")
	}
	w.cfg.Metrics.RedisUp(true)
	if silent := w.pulse.silent(readyWithin); len(silent) > 0 {
		return fmt.Errorf("queues not read for %v: %s", readyWithin, strings.Join(silent, ", "))
	}
	return nil
}
