package tasks

import (
	"context"
	"fmt"
	"slices"

	"github.com/redis/go-redis/v9"
)

// pausedKey is where asynq notes that a queue is paused, and since when.
func pausedKey(queue string) string { return "asynq:{" + queue + "}:paused" }

// PausedLanes lists the lanes of an app whose queue is paused, by whomever.
func (c *Client) PausedLanes(ctx context.Context, app string) ([]Priority, error) {
	counts, err := c.perLane(ctx, app, func(p redis.Pipeliner, queue string) *redis.IntCmd {
		return p.Exists(ctx, pausedKey(queue))
	})
	if err != nil {
		return nil, fmt.Errorf("tasks: look for paused queues: %w", err)
	}
	var lanes []Priority
	for lane, n := range counts {
		if n > 0 {
			lanes = append(lanes, lane)
		}
	}
	return lanes, nil
}

// Retrying counts the notifications of an app that wait for another attempt.
func (c *Client) Retrying(ctx context.Context, app string) (int64, error) {
	counts, err := c.perLane(ctx, app, func(p redis.Pipeliner, queue string) *redis.IntCmd {
		return p.ZCard(ctx, retryKey(queue))
	})
	if err != nil {
		return 0, fmt.Errorf("tasks: count waiting tasks: %w", err)
	}
	var total int64
	for _, n := range counts {
		total += n
	}
	return total, nil
}

// perLane asks for one number of each lane, in one round trip.
func (c *Client) perLane(ctx context.Context, app string, ask func(redis.Pipeliner, string) *redis.IntCmd) (map[Priority]int64, error) {
	cmds := map[Priority]*redis.IntCmd{}
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, lane := range Priorities() {
			cmds[lane] = ask(p, c.ns.Queue(app, lane))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	counts := make(map[Priority]int64, len(cmds))
	for lane, cmd := range cmds {
		counts[lane] = cmd.Val()
	}
	return counts, nil
}

// PauseLanes has workers take no task of these lanes until UnpauseLanes. Those that
// are paused already stay so.
func (c *Client) PauseLanes(ctx context.Context, app string, lanes []Priority) error {
	return c.eachLane(ctx, app, lanes, false, c.inspector.PauseQueue)
}

// UnpauseLanes undoes PauseLanes, and what somebody did in the dashboard.
func (c *Client) UnpauseLanes(ctx context.Context, app string, lanes []Priority) error {
	return c.eachLane(ctx, app, lanes, true, c.inspector.UnpauseQueue)
}

// eachLane changes the lanes that are paused, or those that are not: asynq refuses
// the others with an error that cannot be told from one of Redis's.
func (c *Client) eachLane(ctx context.Context, app string, lanes []Priority, paused bool, change func(string) error) error {
	have, err := c.PausedLanes(ctx, app)
	if err != nil {
		return err
	}
	for _, lane := range lanes {
		if slices.Contains(have, lane) != paused {
			continue
		}
		_, err := within(ctx, func() (struct{}, error) { return struct{}{}, change(c.ns.Queue(app, lane)) })
		if err == nil {
			continue
		}
		if have, again := c.PausedLanes(ctx, app); again == nil && slices.Contains(have, lane) != paused {
			continue // somebody else did it in between
		}
		return fmt.Errorf("tasks: pause or resume a queue: %w", err)
	}
	return nil
}
