package tasks

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Lane is what one of an app's lanes holds, and whether workers take tasks from it.
type Lane struct {
	Priority Priority
	// Pending are next, Active in a worker's hands, Scheduled for later, Retry wait for
	// another attempt.
	Pending, Active, Scheduled, Retry int64
	// Paused says that workers leave the queue alone, by whomever it was paused, and
	// PausedSince since when, by the clock of who did it.
	Paused      bool
	PausedSince time.Time
}

// Lanes counts what an app's lanes hold, most urgent first. It costs one round trip.
func (c *Client) Lanes(ctx context.Context, app string) ([]Lane, error) {
	var counts []*redis.IntCmd
	var paused []*redis.SliceCmd
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, lane := range Priorities() {
			queue := c.ns.Queue(app, lane)
			counts = append(counts, p.LLen(ctx, pendingKey(queue)), p.LLen(ctx, activeKey(queue)),
				p.ZCard(ctx, scheduledKey(queue)), p.ZCard(ctx, retryKey(queue)))
			paused = append(paused, p.MGet(ctx, pausedKey(queue))) // where GET has an error for none
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tasks: count what lanes hold: %w", err)
	}
	lanes := make([]Lane, len(paused))
	for i, priority := range Priorities() {
		n := counts[4*i : 4*i+4]
		lanes[i] = Lane{Priority: priority, Pending: n[0].Val(), Active: n[1].Val(), Scheduled: n[2].Val(), Retry: n[3].Val()}
		lanes[i].Paused, lanes[i].PausedSince = pausedSince(paused[i].Val())
	}
	return lanes, nil
}

// pausedSince reads asynq's note that a queue is paused, or ours: the Unix time in seconds.
func pausedSince(note []any) (bool, time.Time) {
	if len(note) == 0 || note[0] == nil {
		return false, time.Time{}
	}
	text, _ := note[0].(string)
	seconds, err := strconv.ParseInt(strings.TrimSuffix(text, pausedByUs), 10, 64)
	if err != nil {
		return true, time.Time{} // another version of asynq's
	}
	return true, time.Unix(seconds, 0)
}
