package worker

import (
	"context"
	"net"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// dialGate keeps connections from being tried over and over: every asynq server holds
// a subscription of its own, and go-redis dials for each ten times a second as long as
// Redis is away. For a moment after a dial failed, others to that address fail alike.
type dialGate struct {
	mu     sync.Mutex
	failed map[string]failedDial // by address
}

type failedDial struct {
	at  time.Time
	err error
}

// dialAgainAfter is how long the last failure answers for.
const dialAgainAfter = 500 * time.Millisecond

func newDialGate() *dialGate { return &dialGate{failed: make(map[string]failedDial)} }

// DialHook implements redis.Hook.
func (g *dialGate) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		if err := g.last(addr); err != nil {
			return nil, err
		}
		conn, err := next(ctx, network, addr)
		if err == nil || ctx.Err() == nil { // else it says nothing about Redis
			g.note(addr, err)
		}
		return conn, err
	}
}

// ProcessHook implements redis.Hook.
func (g *dialGate) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

// ProcessPipelineHook implements redis.Hook.
func (g *dialGate) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return next
}

// last is the error of a dial that failed just now.
func (g *dialGate) last(addr string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f := g.failed[addr]; time.Since(f.at) < dialAgainAfter {
		return f.err
	}
	return nil
}

func (g *dialGate) note(addr string, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err == nil {
		delete(g.failed, addr)
		return
	}
	g.failed[addr] = failedDial{time.Now(), err}
}
