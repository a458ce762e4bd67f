package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// traffic is what a worker asks of Redis.
type traffic struct {
	// observed is with the defaults; unchecked with consents off; enforced with a
	// credit that each message needs and spends.
	observed, unchecked, enforced perSend
	// asked and executed are commands per second of an idle worker: by the worker
	// itself, and by Redis with those that scripts call.
	asked, executed float64
}

// perSend is counted; connecting and polling are included.
type perSend struct{ roundTrips, commands float64 }

// measureTraffic counts between a worker and Redis, during runs and, after the
// first, while there is nothing to do. It comes first of all and so warms up the
// sandbox and Redis: it measures no time.
func measureTraffic(ctx context.Context, l *testbed, r *results) (err error) {
	t := &r.traffic
	nothing := func() error { return nil }
	t.observed, err = l.countTraffic(ctx, messages("t", r.n), tasks.CreditsObserve, nothing, func(p *proxy) (err error) {
		t.asked, t.executed, err = l.watchIdle(ctx, p, r.idle)
		return err
	})
	if err != nil {
		return err
	}
	done := func(*proxy) error { return nil }
	if t.unchecked, err = l.countTraffic(ctx, messages("u", r.n), tasks.CreditsOff, l.holdJobs, done); err != nil {
		return err
	}
	t.enforced, err = l.countTraffic(ctx, messages("e", r.n), tasks.CreditsEnforce, func() error {
		return errors.Join(l.holdJobs(), l.eachUser(ctx, r.n, grantCredit))
	}, done)
	if err != nil {
		return err
	}
	return l.checkSpent(ctx, r.n)
}

// holdJobs keeps the worker's scheduled jobs waiting. On a Redis that is new to it
// a worker purges at once, and would ask for every consent in the middle of the
// sends.
func (l *testbed) holdJobs() error {
	if err := l.redis.inspector.PauseQueue(tasks.Namespace("").SystemQueue()); err != nil {
		return fmt.Errorf("hold the scheduled jobs: %w", err)
	}
	return nil
}

// countTraffic lets a worker send the list through a proxy. It calls before once
// the list is queued, and after once it is sent, while worker and proxy are there.
func (l *testbed) countTraffic(ctx context.Context, list []message, mode tasks.CreditMode, before func() error, after func(*proxy) error) (perSend, error) {
	side := l.pipeline(tasks.Default)
	if err := l.fill(ctx, side, list); err != nil {
		return perSend{}, err
	}
	if err := before(); err != nil {
		return perSend{}, err
	}
	p, err := startProxy(ctx, l.redis.addr)
	if err != nil {
		return perSend{}, err
	}
	defer p.close()
	worker, err := l.startWorkerWith(ctx, p.addr(), mode)
	if err != nil {
		return perSend{}, err
	}
	defer worker.Stop()
	if err := l.redis.drained(ctx, side.queue); err != nil {
		return perSend{}, err
	}
	n := float64(len(list))
	counted := perSend{roundTrips: float64(p.roundTrips.Load()) / n, commands: float64(p.commands.Load()) / n}
	if _, err := l.sandbox.accepted(ctx, len(list)); err != nil {
		return perSend{}, err
	}
	return counted, after(p)
}

// checkSpent says whether every message spent its recipient's credit.
func (l *testbed) checkSpent(ctx context.Context, n int) error {
	return l.eachUser(ctx, n, func(ctx context.Context, books *ledger.Ledger, i int) error {
		c, err := books.Credits(ctx, benchApp, openID(i))
		if err != nil {
			return err
		}
		if len(c.Subscriptions) != 1 || c.Subscriptions[0].Credits != 0 {
			return fmt.Errorf("message %d spent no credit: a measurement of that says nothing", i)
		}
		return nil
	})
}

// watchIdle returns commands per second, asked and executed.
func (l *testbed) watchIdle(ctx context.Context, p *proxy, d time.Duration) (asked, executed float64, err error) {
	before, err := l.redis.executed(ctx)
	if err != nil {
		return 0, 0, err
	}
	start, asks := time.Now(), p.commands.Load()
	if err := lab.Sleep(ctx, d); err != nil {
		return 0, 0, err
	}
	seconds := time.Since(start).Seconds()
	asked = float64(p.commands.Load()-asks) / seconds
	after, err := l.redis.executed(ctx)
	const ours = 1 // the first of our two questions; the second is not counted yet when it is answered
	return asked, float64(after-before-ours) / seconds, err
}
