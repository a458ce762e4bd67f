package tasks

import (
	"context"
	"embed"
	"errors"
	"fmt"

	"github.com/hibiken/asynq"
)

//go:embed lua/*.lua
var scripts embed.FS

var (
	leaselessScript = Script(scripts, "lua/leaseless.lua")
	expireScript    = Script(scripts, "lua/expire.lua")
)

// ErrBroken says that under an id which asynq holds for active there is no task that
// it could read.
var ErrBroken = errors.New("tasks: nothing readable under the id of an active task")

// leaselessLook bounds how many active tasks one look at a queue reads. There are no
// more of them than all workers together have handlers for it.
const leaselessLook = 5000

// Leaseless lists the active tasks of a queue that nobody has a lease on. asynq makes
// none, but some were seen (hibiken/asynq#1051), and its recoverer goes by leases: it
// never brings them back.
func (c *Client) Leaseless(ctx context.Context, queue string) ([]string, error) {
	ids, err := leaselessScript.Run(ctx, c.rdb, []string{activeKey(queue), leaseKey(queue)}, leaselessLook).StringSlice()
	if err != nil {
		return nil, fmt.Errorf("tasks: look for tasks without a lease: %w", err)
	}
	return ids, nil
}

// Expire gives an active task without a lease one that is long over, so that asynq's
// recoverer takes the task back within a minute. A worker that still has it extends that
// lease within seconds and keeps it. Expire reports false if the task needs it no more,
// and ErrBroken for one that would only make the recoverer fail.
func (c *Client) Expire(ctx context.Context, queue, taskID string) (bool, error) {
	if err := c.readable(ctx, queue, taskID); err != nil {
		return false, err
	}
	keys := []string{activeKey(queue), leaseKey(queue), taskKey(queue, taskID)}
	answer, err := expireScript.Run(ctx, c.rdb, keys, taskID).Int()
	switch {
	case err != nil:
		return false, fmt.Errorf("tasks: expire a lease: %w", err)
	case answer < 0:
		return false, ErrBroken
	}
	return answer > 0, nil
}

// readable reports whether asynq can read a task: one that it cannot would keep its
// recoverer from all others of the queue. A missing task is the script's to judge.
func (c *Client) readable(ctx context.Context, queue, taskID string) error {
	_, err := within(ctx, func() (*asynq.TaskInfo, error) { return c.inspector.GetTaskInfo(queue, taskID) })
	if err == nil || errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return nil
	}
	// asynq's errors do not tell a task that it cannot read from a Redis that is away.
	if away := c.rdb.Ping(ctx).Err(); away != nil {
		return fmt.Errorf("tasks: look up task: %w", away)
	}
	return ErrBroken
}

// activeKey is the list of tasks in workers' hands, leaseKey until when they are each
// one's. Their layout is asynq's own; tests hold these lines against the real thing.
func activeKey(queue string) string { return "asynq:{" + queue + "}:active" }

func leaseKey(queue string) string { return "asynq:{" + queue + "}:lease" }
