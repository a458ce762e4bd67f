// Package embedded runs a Redis inside the process, for `wxnotify dev` alone: it
// is not durable, serves one process's tests and first steps, and forgets
// everything at exit.
package embedded

import (
	"context"
	"fmt"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// Redis is an in-memory Redis that listens on a TCP address.
type Redis struct {
	server *miniredis.Miniredis
}

// Start listens on addr, host:port.
func Start(addr string) (*Redis, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(addr); err != nil {
		return nil, fmt.Errorf("embedded redis: listen: %w", err)
	}
	return &Redis{server: server}, nil
}

// URL is its redis:// URL.
func (r *Redis) URL() string { return "redis://" + r.server.Addr() + "/0" }

// tick is how often keys whose time is over are dropped.
const tick = 100 * time.Millisecond

// Run moves its clock on, which it does not do by itself: without that no key
// would ever expire. It stops the server when ctx ends.
func (r *Redis) Run(ctx context.Context) error {
	defer r.server.Close()
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for last := time.Now(); ; {
		select {
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(last))
			last = now
		case <-ctx.Done():
			return nil
		}
	}
}

// Close stops a server that was never run.
func (r *Redis) Close() { r.server.Close() }
