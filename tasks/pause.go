package tasks

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// pausedKey is where asynq notes that a queue is paused, and since when.
func pausedKey(queue string) string { return "asynq:{" + queue + "}:paused" }

// pausedByUs is what PauseLanes writes there after the time, and nobody else: so what a
// person paused is told from what we did, and what we left paused can be found.
const pausedByUs = ";wxnotify"

func byUs(note string) bool { return strings.HasSuffix(note, pausedByUs) }

// PausedLanes lists the lanes of an app whose queue is paused, by whomever.
func (c *Client) PausedLanes(ctx context.Context, app string) ([]Priority, error) {
	return c.pausedLanes(ctx, app, func(string) bool { return true })
}

// LanesPausedElsewhere lists those that were paused in the dashboard.
func (c *Client) LanesPausedElsewhere(ctx context.Context, app string) ([]Priority, error) {
	return c.pausedLanes(ctx, app, func(note string) bool { return !byUs(note) })
}

// LanesPausedHere lists those that PauseLanes paused.
func (c *Client) LanesPausedHere(ctx context.Context, app string) ([]Priority, error) {
	return c.pausedLanes(ctx, app, byUs)
}

func (c *Client) pausedLanes(ctx context.Context, app string, wanted func(note string) bool) ([]Priority, error) {
	cmds := map[Priority]*redis.StringCmd{}
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, lane := range Priorities() {
			cmds[lane] = p.Get(ctx, pausedKey(c.ns.Queue(app, lane)))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("tasks: look for paused queues: %w", err)
	}
	var lanes []Priority
	for _, lane := range Priorities() {
		note, err := cmds[lane].Result()
		switch {
		case errors.Is(err, redis.Nil):
		case err != nil:
			return nil, fmt.Errorf("tasks: look for paused queues: %w", err)
		case wanted(note):
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
// are paused already stay so, and whoever paused them stays known.
func (c *Client) PauseLanes(ctx context.Context, app string, lanes []Priority) error {
	note := strconv.FormatInt(c.now().Unix(), 10) + pausedByUs
	return c.eachLane(ctx, app, lanes, func(p redis.Pipeliner, key string) { p.SetNX(ctx, key, note, 0) })
}

// UnpauseLanes undoes PauseLanes, and what somebody did in the dashboard.
func (c *Client) UnpauseLanes(ctx context.Context, app string, lanes []Priority) error {
	return c.eachLane(ctx, app, lanes, func(p redis.Pipeliner, key string) { p.Del(ctx, key) })
}

func (c *Client) eachLane(ctx context.Context, app string, lanes []Priority, change func(p redis.Pipeliner, key string)) error {
	if len(lanes) == 0 {
		return nil
	}
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, lane := range lanes {
			change(p, pausedKey(c.ns.Queue(app, lane)))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tasks: pause or resume a queue: %w", err)
	}
	return nil
}
