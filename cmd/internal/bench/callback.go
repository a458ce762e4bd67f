package main

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
)

// callbacks are the figures of the gateway's callback and of a bare handler.
type callbacks struct{ gateway, bare pushed }

// pushed has one rate for each round, and the waits of all rounds.
type pushed struct {
	rates []float64 // answers per second
	waits []time.Duration
}

// receiver is one of the two that take pushes.
type receiver struct {
	queue string
	// start starts the process that listens on addr.
	start func(ctx context.Context, addr string) (*lab.Process, error)
	// pushes makes n requests for it.
	pushes func(ctx context.Context, addr string, n int) ([][]byte, error)
}

// warmUp is how many pushes are not measured: they open the connections, to Redis
// too, and load the script.
const warmUp = 10 * connections

// measureCallbacks lets both receivers store the same events, in turns. No worker
// runs.
func measureCallbacks(ctx context.Context, l *testbed, r *results) error {
	for range r.rounds {
		if err := l.pushRound(ctx, l.gatewayReceiver(), r.n, &r.callbacks.gateway); err != nil {
			return err
		}
		if err := l.pushRound(ctx, l.bareReceiver(), r.n, &r.callbacks.bare); err != nil {
			return err
		}
	}
	return nil
}

// pushRound sends n pushes to a fresh process and an empty Redis.
func (l *testbed) pushRound(ctx context.Context, to receiver, n int, into *pushed) error {
	if err := l.redis.flush(ctx); err != nil {
		return err
	}
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	pushes, err := to.pushes(ctx, addr, warmUp+n)
	if err != nil {
		return err
	}
	p, err := to.start(ctx, addr)
	if err != nil {
		return err
	}
	defer p.Stop()
	if err := lab.Await(ctx, p.Name()+" to listen", startWithin, func() (bool, error) { return listens(ctx, addr), nil }); err != nil {
		return err
	}
	if _, err := fire(ctx, addr, pushes[:warmUp]); err != nil {
		return err
	}
	figures, err := fire(ctx, addr, pushes[warmUp:])
	if err != nil {
		return err
	}
	into.rates, into.waits = append(into.rates, figures.rate), append(into.waits, figures.waits...)
	return l.allStored(to.queue, len(pushes))
}

// allStored says whether every push became one task.
func (l *testbed) allStored(queue string, n int) error {
	info, err := l.redis.inspector.GetQueueInfo(queue)
	if err != nil {
		return fmt.Errorf("look at the queue: %w", err)
	}
	if info.Pending != n || info.Size != n {
		return fmt.Errorf("%d of %d pushes were stored: a measurement of that says nothing", info.Size, n)
	}
	return nil
}

// listens asks for a connection and gives it up.
func listens(ctx context.Context, addr string) bool {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	_ = conn.Close() // it has told what it was for
	return true
}

// gatewayReceiver is wxnotify's gateway, for an app in safe mode.
func (l *testbed) gatewayReceiver() receiver {
	return receiver{queue: tasks.Namespace("").EventsQueue(benchApp), start: l.startGateway, pushes: sealedPushes}
}

// bareReceiver is net/http and asynq alone.
func (l *testbed) bareReceiver() receiver {
	return receiver{queue: bareQueue, start: l.startBareCallback, pushes: openedPushes}
}
