package worker

import (
	"context"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// queueConn is the connection of the asynq servers. What many handlers do at the
// same time, such as acknowledging their tasks, goes out together; but a dequeue
// goes at once and on its own, because a server does nothing else until it has
// its answer.
type queueConn struct {
	batching, direct redis.UniversalClient
	// life ends with stop, which ends the waits of all servers: they can be shut down
	// at once then.
	life context.Context
	stop context.CancelFunc
}

func newQueueConn(rdb redis.UniversalClient) *queueConn {
	life, stop := context.WithCancel(context.Background())
	return &queueConn{batching: tasks.Batching(rdb), direct: rdb, life: life, stop: stop}
}

// face returns the connection of one server.
func (q *queueConn) face() redis.UniversalClient {
	return &serverConn{UniversalClient: q.batching, direct: q.direct, life: q.life}
}

// serverConn is what one asynq server sees of queueConn. A server asks for the next
// task as soon as a dequeue failed; here the failed one takes longer each time, so
// that a worker whose Redis is away, full or loading costs next to nothing.
type serverConn struct {
	redis.UniversalClient // batching
	direct                redis.UniversalClient
	life                  context.Context
	// failed counts dequeues without an answer, one after the other. Only the
	// server's one dequeue loop uses it.
	failed int
}

// dequeueKeys is how many keys asynq's dequeue script has, and no other of its
// scripts that run all the time: pending, paused, active, lease. If that changes,
// a dequeue is batched like the rest, and neither fast nor patient.
const dequeueKeys = 4

func isDequeue(keys []string) bool { return len(keys) == dequeueKeys && isPausedKey(keys[1]) }

// EvalSha runs a script that Redis should know.
func (c *serverConn) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if !isDequeue(keys) {
		return c.UniversalClient.EvalSha(ctx, sha, keys, args...)
	}
	return c.dequeued(c.direct.EvalSha(ctx, sha, keys, args...))
}

// Eval runs a script that Redis does not know yet.
func (c *serverConn) Eval(ctx context.Context, script string, keys []string, args ...any) *redis.Cmd {
	if !isDequeue(keys) {
		return c.UniversalClient.Eval(ctx, script, keys, args...)
	}
	return c.dequeued(c.direct.Eval(ctx, script, keys, args...))
}

// dequeued waits if a dequeue failed. That Redis has to be sent the script is no
// failure, it follows at once.
func (c *serverConn) dequeued(cmd *redis.Cmd) *redis.Cmd {
	switch err := cmd.Err(); {
	case err == nil, errors.Is(err, redis.Nil):
		c.failed = 0
	case redis.HasErrorPrefix(err, "NOSCRIPT"):
	default:
		c.failed++
		pause(c.life, jitter(dequeueBackoff(c.failed), 0.3))
	}
	return cmd
}

const (
	firstBackoff = 100 * time.Millisecond
	// maxBackoff is also about how long after its return a Redis that was away stays
	// unasked.
	maxBackoff = time.Second
)

// dequeueBackoff is how long to wait after the nth dequeue in a row that failed.
func dequeueBackoff(n int) time.Duration {
	return min(firstBackoff<<min(n-1, 10), maxBackoff)
}
