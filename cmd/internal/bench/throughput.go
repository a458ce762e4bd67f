package main

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// throughput has one value for each round.
type throughput struct {
	pipeline, bare []float64 // sends per second
	// queued and finished are bytes of Redis per notification.
	queued, finished []float64
	// resident is the worker's memory right after the run, in bytes.
	resident []float64
}

// measureThroughput lets both sides empty a full queue, in turns.
func measureThroughput(ctx context.Context, l *testbed, r *results) error {
	for range r.rounds {
		if err := l.pipelineRound(ctx, r); err != nil {
			return err
		}
		rate, _, err := l.race(ctx, l.bare(), messages("b", r.n))
		if err != nil {
			return err
		}
		r.throughput.bare = append(r.throughput.bare, rate)
	}
	return nil
}

// pipelineRound is a round that also looks at memory.
func (l *testbed) pipelineRound(ctx context.Context, r *results) error {
	side := l.pipeline(tasks.Default)
	if err := l.redis.flush(ctx); err != nil {
		return err
	}
	empty, err := l.redis.memory(ctx)
	if err != nil {
		return err
	}
	rate, m, err := l.race(ctx, side, messages("p", r.n))
	if err != nil {
		return err
	}
	t, n := &r.throughput, float64(r.n)
	t.pipeline = append(t.pipeline, rate)
	t.queued = append(t.queued, float64(m.queued-empty)/n)
	t.finished = append(t.finished, float64(m.finished-empty)/n)
	t.resident = append(t.resident, float64(m.resident))
	return nil
}

// memories are what was used, in bytes: by Redis with everything queued and with
// everything finished and the worker gone, and by the worker right after the run.
type memories struct{ queued, finished, resident int64 }

// race fills the queue while nobody works, starts the side's process and returns
// its sends per second, from the first to the last arrival at the sandbox.
func (l *testbed) race(ctx context.Context, s side, list []message) (rate float64, m memories, err error) {
	if err := l.fill(ctx, s, list); err != nil {
		return 0, m, err
	}
	if m.queued, err = l.redis.memory(ctx); err != nil {
		return 0, m, err
	}
	p, err := s.start(ctx, l.redis.addr)
	if err != nil {
		return 0, m, err
	}
	defer p.Stop()
	if err := l.redis.drained(ctx, s.queue); err != nil {
		return 0, m, err
	}
	m.resident = p.Resident()
	report, err := l.sandbox.accepted(ctx, len(list))
	if err != nil {
		return 0, m, err
	}
	p.Stop()
	m.finished, err = l.redis.memory(ctx)
	return rateOf(report), m, err
}

// fill empties Redis and the sandbox's report and enqueues the list.
func (l *testbed) fill(ctx context.Context, s side, list []message) error {
	if err := l.redis.flush(ctx); err != nil {
		return err
	}
	if err := l.sandbox.Reset(ctx); err != nil {
		return err
	}
	sender, err := s.open()
	if err != nil {
		return err
	}
	defer sender.close()
	return sender.sendAll(ctx, list)
}

// rateOf is arrivals per second: between n arrivals there are n-1 intervals.
func rateOf(r sandbox.AppReport) float64 {
	took := time.Duration(r.LastArrivalNS - r.FirstArrivalNS)
	return float64(r.Arrivals-1) / took.Seconds()
}
