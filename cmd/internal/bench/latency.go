package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// latency is the time from the call of Send to the arrival of the HTTP request,
// on an idle system.
type latency struct {
	standard, critical, bare waits
	// resident is an idle worker's memory in bytes, before its first send.
	resident int64
}

// measureLatency sends one message now and then, to a worker's two urgent lanes
// and to the bare handler.
func measureLatency(ctx context.Context, l *testbed, r *results) error {
	if err := l.redis.flush(ctx); err != nil {
		return err
	}
	if err := l.workerLatency(ctx, r); err != nil {
		return err
	}
	bare, err := l.startBare(ctx, l.redis.addr)
	if err != nil {
		return err
	}
	defer bare.Stop()
	r.latency.bare, err = l.trickle(ctx, l.bare(), messages("lb", r.sends))
	return err
}

func (l *testbed) workerLatency(ctx context.Context, r *results) error {
	worker, err := l.startWorker(ctx, l.redis.addr)
	if err != nil {
		return err
	}
	defer worker.Stop()
	if err := lab.Sleep(ctx, r.idle); err != nil {
		return err
	}
	r.latency.resident = worker.Resident()
	if r.latency.standard, err = l.trickle(ctx, l.pipeline(tasks.Default), messages("ld", r.sends)); err != nil {
		return err
	}
	r.latency.critical, err = l.trickle(ctx, l.pipeline(tasks.Critical), messages("lc", r.sends))
	return err
}

// trickle sends the list one by one, 50 to 150 ms apart, and returns how long
// each took to arrive.
func (l *testbed) trickle(ctx context.Context, s side, list []message) (waits, error) {
	if err := l.sandbox.Reset(ctx); err != nil {
		return waits{}, err
	}
	sent, err := l.sendSlowly(ctx, s, list)
	if err != nil {
		return waits{}, err
	}
	report, err := l.sandbox.accepted(ctx, len(sent))
	if err != nil {
		return waits{}, err
	}
	return arrivals(report, sent)
}

// sendSlowly returns when each was sent, once all have gone out.
func (l *testbed) sendSlowly(ctx context.Context, s side, list []message) (map[string]time.Time, error) {
	sender, err := s.open()
	if err != nil {
		return nil, err
	}
	defer sender.close()
	sent := make(map[string]time.Time, len(list))
	for _, m := range list {
		if err := lab.Sleep(ctx, slowlyFrom+rand.N(slowlyTo-slowlyFrom)); err != nil {
			return nil, err
		}
		sent[m.id] = time.Now()
		if err := sender.send(ctx, m); err != nil {
			return nil, err
		}
	}
	return sent, l.redis.drained(ctx, s.queue)
}

// Between two sends of sendSlowly.
const slowlyFrom, slowlyTo = 50 * time.Millisecond, 150 * time.Millisecond

func arrivals(report sandbox.AppReport, sent map[string]time.Time) (waits, error) {
	all := make([]time.Duration, 0, len(sent))
	for id, at := range sent {
		ns, ok := report.ArrivalUnixNS[id]
		if !ok {
			return waits{}, fmt.Errorf("the sandbox does not know message %s", id)
		}
		all = append(all, time.Duration(ns-at.UnixNano()))
	}
	return waitsOf(all), nil
}
