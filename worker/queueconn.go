package worker

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// queueConn is the connection of the asynq servers. What many handlers do at the
// same time, such as acknowledging their tasks, goes out together; but a dequeue
// goes at once and on its own, because a server does nothing else until it has
// its answer.
type queueConn struct {
	redis.UniversalClient // batching
	direct                redis.UniversalClient
}

func newQueueConn(rdb redis.UniversalClient) *queueConn {
	return &queueConn{UniversalClient: tasks.Batching(rdb), direct: rdb}
}

// dequeueKeys is how many keys asynq's dequeue script has, and no other of its
// scripts that run all the time: pending, paused, active, lease. If that changes,
// a dequeue is batched like the rest, and only slower.
const dequeueKeys = 4

// EvalSha runs a script.
func (q *queueConn) EvalSha(ctx context.Context, sha string, keys []string, args ...any) *redis.Cmd {
	if len(keys) == dequeueKeys && isPausedKey(keys[1]) {
		return q.direct.EvalSha(ctx, sha, keys, args...)
	}
	return q.UniversalClient.EvalSha(ctx, sha, keys, args...)
}
