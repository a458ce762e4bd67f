package tasks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// sweepPage is how many tasks one command reads.
const sweepPage = 500

// DeleteArchived deletes the archived tasks of this namespace that failed last
// before t, and counts them. Those that never failed were archived by a person, who
// knows why and when; asynq itself deletes them after 90 days.
func (c *Client) DeleteArchived(ctx context.Context, t time.Time) (int, error) {
	return c.sweep(ctx, []asynq.TaskState{asynq.TaskStateArchived}, func(info *asynq.TaskInfo) (bool, error) {
		return failedBefore(info, t), nil
	})
}

func failedBefore(info *asynq.TaskInfo, t time.Time) bool {
	return !info.LastFailedAt.IsZero() && info.LastFailedAt.Before(t)
}

// DeleteWaiting deletes the notifications that match and wait for their time, for
// another attempt or, archived, for a person, and counts them. Those that are next
// in a queue, or in a worker's hands, are left to the worker.
func (c *Client) DeleteWaiting(ctx context.Context, match func(Task) (bool, error)) (int, error) {
	states := []asynq.TaskState{asynq.TaskStateScheduled, asynq.TaskStateRetry, asynq.TaskStateArchived}
	return c.sweep(ctx, states, func(info *asynq.TaskInfo) (bool, error) {
		if e, err := Decode(info.Type, info.Payload); err == nil {
			return match(Task{Envelope: e, State: info.State, Failed: info.Retried > 0})
		}
		return false, nil // nobody's
	})
}

func (c *Client) sweep(ctx context.Context, states []asynq.TaskState, match func(*asynq.TaskInfo) (bool, error)) (int, error) {
	queues, err := within(ctx, c.inspector.Queues)
	if err != nil {
		return 0, fmt.Errorf("tasks: list queues: %w", err)
	}
	deleted := 0
	for _, queue := range queues {
		if !c.ns.Owns(queue) {
			continue
		}
		for _, state := range states {
			n, err := c.sweepQueue(ctx, queue, state, match)
			deleted += n
			if err != nil {
				return deleted, err
			}
		}
	}
	return deleted, nil
}

// activeTask is in asynq's error about a task that a worker has in its hands; it
// exports no other sign of it. A Redis that is away must not look like one.
const activeTask = "active state"

// sweepQueue reads all first and deletes then: deleting moves what follows.
func (c *Client) sweepQueue(ctx context.Context, queue string, state asynq.TaskState, match func(*asynq.TaskInfo) (bool, error)) (int, error) {
	ids, err := c.matching(ctx, queue, state, match)
	if err != nil {
		return 0, err
	}
	deleted := 0
	for _, id := range ids {
		_, err := within(ctx, func() (struct{}, error) { return struct{}{}, c.inspector.DeleteTask(queue, id) })
		switch {
		case err == nil:
			deleted++
		case errors.Is(err, asynq.ErrTaskNotFound), errors.Is(err, asynq.ErrQueueNotFound):
		case strings.Contains(err.Error(), activeTask): // since we looked: the worker deals with it
		default:
			return deleted, fmt.Errorf("tasks: delete task: %w", err)
		}
	}
	return deleted, nil
}

// matching reads all tasks of a queue in one state, page by page.
func (c *Client) matching(ctx context.Context, queue string, state asynq.TaskState, match func(*asynq.TaskInfo) (bool, error)) ([]string, error) {
	var ids []string
	for page := 1; ; page++ {
		list, err := within(ctx, func() ([]*asynq.TaskInfo, error) { return c.list(queue, state, page) })
		if err != nil {
			return nil, fmt.Errorf("tasks: list tasks: %w", err)
		}
		for _, info := range list {
			matches, err := match(info)
			if err != nil {
				return nil, err
			}
			if matches {
				ids = append(ids, info.ID)
			}
		}
		if len(list) < sweepPage {
			return ids, nil
		}
	}
}

func (c *Client) list(queue string, state asynq.TaskState, page int) ([]*asynq.TaskInfo, error) {
	opts := []asynq.ListOption{asynq.PageSize(sweepPage), asynq.Page(page)}
	switch state {
	case asynq.TaskStateScheduled:
		return c.inspector.ListScheduledTasks(queue, opts...)
	case asynq.TaskStateRetry:
		return c.inspector.ListRetryTasks(queue, opts...)
	default:
		return c.inspector.ListArchivedTasks(queue, opts...)
	}
}
