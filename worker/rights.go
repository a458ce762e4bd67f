package worker

import (
	"context"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// rights says when Redis refuses something to the worker's user. The worker goes on
// asking, ever less often, as it does while Redis is away: nothing is lost, and nothing
// but the rights has to be put right. But it is no outage, and nobody should look for one.
type rights struct {
	log *slog.Logger

	mu   sync.Mutex
	said map[string]time.Time // by what is forbidden
}

// sayAgainAfter is how long one line about the same thing is enough.
const sayAgainAfter = time.Minute

func newRights(log *slog.Logger) *rights {
	return &rights{log: log, said: map[string]time.Time{}}
}

// DialHook implements redis.Hook.
func (r *rights) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

// ProcessHook implements redis.Hook.
func (r *rights) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		r.look(ctx, err)
		return err
	}
}

// ProcessPipelineHook implements redis.Hook.
func (r *rights) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		r.look(ctx, err)
		return err
	}
}

func (r *rights) look(ctx context.Context, err error) {
	if answered(err) {
		return
	}
	if refused := tasks.Forbidden(err); refused != nil && r.due(refused.What()) {
		r.log.ErrorContext(ctx, "redis refuses this worker's user: what needs the right waits until somebody gives it", "error", refused)
	}
}

// due reports whether it is time to speak of what. Redis has few commands to name.
func (r *rights) due(what string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if last, ok := r.said[what]; ok && time.Since(last) < sayAgainAfter {
		return false
	}
	r.said[what] = time.Now()
	return true
}
