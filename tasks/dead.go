package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ErrTaskMoved says that a task is not archived any more: it was run again.
var ErrTaskMoved = errors.New("tasks: the notification's task is not archived any more")

// replayTries is how often a task is looked at that moves meanwhile.
const replayTries = 3

// Replay brings the task of a dead notification back into its queue, under the
// same id: the archived one, or a new one if asynq keeps it no longer. One that is
// in its queue already is left alone, so a replay may be repeated.
func (c *Client) Replay(ctx context.Context, e Envelope) error {
	queue, id := c.ns.Queue(e.App, e.Priority), TaskID(e.App, e.ID)
	var err error
	for range replayTries {
		var state asynq.TaskState
		state, err = c.state(ctx, queue, id)
		switch {
		case errors.Is(err, ErrNoTask):
			err = c.Enqueue(ctx, e)
		case err == nil && state == asynq.TaskStateArchived:
			err = c.act(ctx, c.inspector.RunTask, queue, id)
			if err != nil {
				err = errors.Join(err, c.clearTrimmed(ctx, queue, id))
			}
		case err == nil:
			return nil // somebody was faster
		}
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
	return fmt.Errorf("tasks: replay: %w", err)
}

// DropArchived deletes a notification's archived task; one that is gone already is
// fine. ErrTaskMoved: it was run again, and is left alone.
func (c *Client) DropArchived(ctx context.Context, app, id string, lane Priority) error {
	queue, taskID := c.ns.Queue(app, lane), TaskID(app, id)
	state, err := c.state(ctx, queue, taskID)
	switch {
	case errors.Is(err, ErrNoTask):
		return nil
	case err != nil:
		return err
	case state != asynq.TaskStateArchived:
		return ErrTaskMoved
	}
	err = c.act(ctx, c.inspector.DeleteTask, queue, taskID)
	if err == nil || errors.Is(err, asynq.ErrTaskNotFound) {
		return nil
	}
	if err := c.clearTrimmed(ctx, queue, taskID); err != nil {
		return err
	}
	state, again := c.state(ctx, queue, taskID)
	switch {
	case errors.Is(again, ErrNoTask):
		return nil
	case again == nil && state != asynq.TaskStateArchived:
		return ErrTaskMoved
	}
	return fmt.Errorf("tasks: delete archived task: %w", err)
}

// trimmedScript deletes a task that says it is archived and is not in the archive:
// asynq v0.26 leaves it behind where a person archives past the archive's size. As it
// stands it can neither be run nor enqueued.
// KEYS: task, archive; ARGV: task id
var trimmedScript = redis.NewScript(`
if redis.call('HGET', KEYS[1], 'state') == 'archived' and not redis.call('ZSCORE', KEYS[2], ARGV[1]) then
  return redis.call('DEL', KEYS[1])
end
return 0
`)

func (c *Client) clearTrimmed(ctx context.Context, queue, id string) error {
	if err := trimmedScript.Run(ctx, c.rdb, []string{taskKey(queue, id), archivedKey(queue)}, id).Err(); err != nil {
		return fmt.Errorf("tasks: clear a trimmed task: %w", err)
	}
	return nil
}

// Archived hands the notifications of an app that lie in asynq's archive to visit,
// some at a time. What is no notification, or none of this app, is passed over, and
// what DeleteArchived would delete at since. A task that moves meanwhile may be missed.
func (c *Client) Archived(ctx context.Context, app string, since time.Time, visit func([]Envelope) error) error {
	for _, lane := range Priorities() {
		queue := c.ns.Queue(app, lane)
		for page := 1; ; page++ {
			list, err := within(ctx, func() ([]*asynq.TaskInfo, error) { return c.list(queue, asynq.TaskStateArchived, page) })
			if errors.Is(err, asynq.ErrQueueNotFound) {
				break
			}
			if err != nil {
				return fmt.Errorf("tasks: list archived tasks: %w", err)
			}
			if err := visit(notifications(list, app, lane, since)); err != nil {
				return err
			}
			if len(list) < sweepPage {
				break
			}
		}
	}
	return nil
}

func notifications(list []*asynq.TaskInfo, app string, lane Priority, since time.Time) []Envelope {
	var found []Envelope
	for _, info := range list {
		e, err := Decode(info.Type, info.Payload)
		if err == nil && e.App == app && e.Priority == lane && info.ID == TaskID(app, e.ID) && !failedBefore(info, since) {
			found = append(found, e)
		}
	}
	return found
}

// IsArchived reports whether a notification's task lies in asynq's archive.
func (c *Client) IsArchived(ctx context.Context, app, id string, lane Priority) (bool, error) {
	state, err := c.state(ctx, c.ns.Queue(app, lane), TaskID(app, id))
	if errors.Is(err, ErrNoTask) {
		return false, nil
	}
	return state == asynq.TaskStateArchived, err
}

// state is where asynq has a task. ErrNoTask if nowhere.
func (c *Client) state(ctx context.Context, queue, id string) (asynq.TaskState, error) {
	info, err := within(ctx, func() (*asynq.TaskInfo, error) { return c.inspector.GetTaskInfo(queue, id) })
	if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
		return 0, ErrNoTask
	}
	if err != nil {
		return 0, fmt.Errorf("tasks: look up task: %w", err)
	}
	return info.State, nil
}

func (c *Client) act(ctx context.Context, do func(queue, id string) error, queue, id string) error {
	_, err := within(ctx, func() (struct{}, error) { return struct{}{}, do(queue, id) })
	return err
}
