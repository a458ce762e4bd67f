package main

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// traffic is what a worker asks of Redis.
type traffic struct {
	// roundTrips and commands are per send; connecting and polling are included.
	roundTrips, commands float64
	// asked and executed are commands per second of an idle worker: by the worker
	// itself, and by Redis with those that scripts call.
	asked, executed float64
}

// measureTraffic counts between a worker and Redis, first during a run and then
// while it has nothing to do. It comes first of all and so warms up the sandbox
// and Redis: it measures no time.
func measureTraffic(ctx context.Context, l *lab, r *results) error {
	side := l.pipeline(tasks.Default)
	if err := l.fill(ctx, side, messages("t", r.n)); err != nil {
		return err
	}
	p, err := startProxy(ctx, l.redis.addr)
	if err != nil {
		return err
	}
	defer p.close()
	worker, err := side.start(ctx, p.addr())
	if err != nil {
		return err
	}
	defer worker.stop()
	if err := l.redis.drained(ctx, side.queue); err != nil {
		return err
	}
	r.traffic.commands = float64(p.commands.Load()) / float64(r.n)
	r.traffic.roundTrips = float64(p.roundTrips.Load()) / float64(r.n)
	if _, err := l.sandbox.accepted(ctx, r.n); err != nil {
		return err
	}
	r.traffic.asked, r.traffic.executed, err = l.watchIdle(ctx, p, r.idle)
	return err
}

// watchIdle returns commands per second, asked and executed.
func (l *lab) watchIdle(ctx context.Context, p *proxy, d time.Duration) (asked, executed float64, err error) {
	before, err := l.redis.executed(ctx)
	if err != nil {
		return 0, 0, err
	}
	start, asks := time.Now(), p.commands.Load()
	if err := sleep(ctx, d); err != nil {
		return 0, 0, err
	}
	seconds := time.Since(start).Seconds()
	asked = float64(p.commands.Load()-asks) / seconds
	after, err := l.redis.executed(ctx)
	const ours = 1 // the first of our two questions; the second is not counted yet when it is answered
	return asked, float64(after-before-ours) / seconds, err
}
