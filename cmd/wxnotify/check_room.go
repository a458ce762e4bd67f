package main

import (
	"context"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks"
)

// checkMemory says whether Redis has room for more.
func checkMemory(ctx context.Context, rdb redis.UniversalClient, r *report) {
	m, err := tasks.ReadMemory(ctx, rdb)
	percent := 100 * m.Share()
	switch {
	case err != nil:
		r.add(levelWarn, "redis memory", "cannot be read: %v", err)
	case m.Max == 0:
		r.add(levelWarn, "redis memory", "maxmemory is not set: a full machine kills Redis instead of refusing; set it below the machine's memory")
	case m.Share() >= tasks.SendsUntil:
		r.add(levelFail, "redis memory", "%.0f %% of maxmemory is used: from %.0f %% on nothing more is enqueued; see that workers run, or make room", percent, 100*tasks.SendsUntil)
	default:
		r.add(levelOK, "redis memory", "%.0f %% of maxmemory is used", percent)
	}
}

// checkQueued says how near each app's queues are to WXNOTIFY_MAX_QUEUED, if it is set.
func checkQueued(ctx context.Context, rdb redis.UniversalClient, c *config.Config, r *report) {
	if c.MaxQueued == 0 {
		return
	}
	client := tasks.NewClient(rdb, c.Namespace)
	for _, app := range c.Apps {
		what := "waiting of " + app.ID
		n, err := client.Waiting(ctx, app.ID)
		switch {
		case err != nil:
			r.add(levelWarn, what, "cannot be counted: %v", err)
		case n >= int64(c.MaxQueued):
			r.add(levelFail, what, "%d notifications, and WXNOTIFY_MAX_QUEUED is %d: nothing more is enqueued; see that workers run, or raise it", n, c.MaxQueued)
		default:
			r.add(levelOK, what, "%d of at most %d notifications", n, c.MaxQueued)
		}
	}
}
