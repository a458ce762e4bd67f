package main

import (
	"context"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
)

// times calls f n times, evenly over the load.
func (w *world) times(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	began := time.Now()
	for i := range n {
		due := began.Add(w.plan.load * time.Duration(i+1) / time.Duration(n+1))
		if err := lab.Sleep(ctx, time.Until(due)); err != nil {
			return err
		}
		if err := f(ctx, i); err != nil {
			return err
		}
	}
	return nil
}

// whileLoading calls f again and again until everything is enqueued.
func (w *world) whileLoading(ctx context.Context, f func(context.Context) error) error {
	for {
		select {
		case <-w.loaded:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		default:
		}
		if err := f(ctx); err != nil {
			return err
		}
	}
}

// wait makes no trouble beyond what there is from the start.
func wait(ctx context.Context, w *world) error {
	return w.whileLoading(ctx, func(ctx context.Context) error { return lab.Sleep(ctx, 200*time.Millisecond) })
}

// dieAtFailpoint lets workers die by themselves until enough have.
func dieAtFailpoint(ctx context.Context, w *world) error {
	enough := int64(w.plan.of(w.row.kills))
	return w.whileLoading(ctx, func(ctx context.Context) error {
		if w.killed.Load() >= enough {
			w.disarm()
		}
		return lab.Sleep(ctx, 50*time.Millisecond)
	})
}

// killInFlight kills one worker after the other, each while the sandbox has its sends
// and has not answered.
func killInFlight(ctx context.Context, w *world) error {
	return w.times(ctx, w.plan.of(w.row.kills), func(ctx context.Context, i int) error {
		m := w.workers[i%len(w.workers)]
		if err := m.awaitUp(ctx); err != nil {
			return err
		}
		// Of so many fresh arrivals, this worker has sent some.
		if err := w.awaitArrivals(ctx, 5); err != nil {
			return err
		}
		m.kill()
		return nil
	})
}

// gatewayShare is how many of the random kills are the gateway's: one in so many.
const gatewayShare = 5

// killAtRandom kills whatever works.
func killAtRandom(ctx context.Context, w *world) error {
	return w.times(ctx, w.plan.of(w.row.kills), func(ctx context.Context, i int) error {
		m := w.workers[rand.N(len(w.workers))]
		if i%gatewayShare == gatewayShare-1 {
			m = w.gateway
		}
		if err := m.awaitUp(ctx); err != nil {
			return err
		}
		if err := lab.Sleep(ctx, rand.N(300*time.Millisecond)); err != nil {
			return err
		}
		m.kill()
		return nil
	})
}

// rollFirst ends and starts the first worker again and again: each start looks for
// tasks whose leases are over, by its own clock.
func rollFirst(ctx context.Context, w *world) error { return w.roll(ctx, w.workers[:1]) }

// rollAll ends and starts one worker after the other, as a deployment does.
func rollAll(ctx context.Context, w *world) error { return w.roll(ctx, w.workers) }

func (w *world) roll(ctx context.Context, workers []*member) error {
	i := 0
	return w.whileLoading(ctx, func(ctx context.Context) error {
		m := workers[i%len(workers)]
		i++
		if err := m.roll(ctx); err != nil {
			return err
		}
		w.otherFaults.Add(1)
		return lab.Sleep(ctx, 500*time.Millisecond)
	})
}

// freeze stops half of the workers in the middle of their sends, until others have
// taken their tasks over, and then lets them go on.
func freeze(ctx context.Context, w *world) error {
	frozen, awake := w.workers[:len(w.workers)/2], w.workers[len(w.workers)/2]
	if err := w.awaitArrivals(ctx, int64(4*len(w.workers))); err != nil {
		return err
	}
	for _, m := range frozen {
		if err := m.current().Signal(syscall.SIGSTOP); err != nil {
			return err
		}
		w.otherFaults.Add(1)
	}
	err := lab.Sleep(ctx, reliefAfter)
	if err == nil {
		err = awake.roll(ctx) // it looks for lost tasks when it starts
	}
	if err == nil {
		err = lab.Sleep(ctx, takeOver)
	}
	for _, m := range frozen {
		if thawed := m.current().Signal(syscall.SIGCONT); err == nil {
			err = thawed
		}
	}
	return err
}

// takeOver is how long tasks that were found wait until they are sent again, and more.
const takeOver = 12 * time.Second
