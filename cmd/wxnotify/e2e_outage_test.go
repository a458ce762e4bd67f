package main_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// outage is how long the sandbox stays away.
const outage = 8 * time.Second

// WeChat is gone in the middle of 1 000 sends, with some in flight: everything is
// accepted once it is back, and twice only what nobody could know about.
func TestEverythingIsAcceptedAfterWeChatWasAway(t *testing.T) {
	t.Parallel()
	const n = 1000
	w := newWorld(t)
	w.sandbox.slow(60 * time.Millisecond)
	more := env{"CONCURRENCY": "24"}
	a, b := w.worker("a", more), w.worker("b", more)
	g := w.gateway()
	all, ids := messages("wechat", n, n)
	g.enqueue(all)

	w.sandbox.awaitAccepted(n / 4)
	before := w.sandbox.stall().AcceptedByID
	w.sandbox.kill()
	<-time.After(outage)
	w.sandbox.restart()

	wantAll(t, g.outcomes(testApp, ids, 90*time.Second), "accepted")
	counts := map[string]int64{}
	for _, accepted := range []map[string]int64{before, w.sandbox.report(testApp, true).AcceptedByID} {
		for id, n := range accepted {
			counts[id] += n
		}
	}
	w.wantTwiceOnlyAfterUnknown(ids, counts)
	wantCleanExit(t, a.process, b.process, g.process)
}

// stall keeps all answers back until nothing more arrives, and returns what was
// received: all of it, with the sends in flight.
func (s *sandboxProcess) stall() sandbox.AppReport {
	s.t.Helper()
	s.slow(8 * time.Second)
	var last sandbox.AppReport
	taskstest.Eventually(s.t, 6*time.Second, func() string {
		<-time.After(300 * time.Millisecond) // longer than an answer took before
		arrived := last.Arrivals
		last = s.report(testApp, true)
		if last.Arrivals != arrived {
			return fmt.Sprintf("sends still arrive: %d, before that %d", last.Arrivals, arrived)
		}
		return ""
	})
	return last
}

// Redis is shut down and started again in the middle of 1 000 sends, which come
// in all the while.
func TestEverythingIsAcceptedAfterRedisRestarted(t *testing.T) {
	t.Parallel()
	const n = 1000
	w := newWorld(t, "--appendonly", "yes", "--appendfsync", "always")
	w.sandbox.slow(60 * time.Millisecond)
	more := env{"CONCURRENCY": "24"}
	a, b := w.worker("a", more), w.worker("b", more)
	g := w.gateway()
	all, ids := messages("redis", n, n)
	enqueued := make(chan struct{})
	go func() {
		defer close(enqueued)
		g.enqueue(all)
	}()

	w.sandbox.awaitAccepted(n / 4)
	w.redis.Stop(t)
	<-time.After(2 * time.Second)
	w.redis.Start(t)
	back := time.Now()

	<-enqueued
	// What asynq could not write down comes back a minute after its last sign of
	// life, at the next look of any worker, which it takes every minute from its
	// start on: a third worker keeps that from becoming two minutes.
	c := w.worker("c", more)
	wantAll(t, g.outcomes(testApp, ids, 150*time.Second), "accepted")
	t.Logf("all accepted %v after Redis was back", time.Since(back).Round(time.Second))
	w.wantTwiceOnlyAfterUnknown(ids, w.sandbox.report(testApp, true).AcceptedByID)
	wantNothingGivenBack(t, a, b)
	wantCleanExit(t, a.process, b.process, c.process, g.process)
}

// wantNothingGivenBack fails if a handler let its task go while Redis was away.
// asynq cannot write that down then, and its own repetition does not work: the
// task would come back after two minutes only.
func wantNothingGivenBack(t *testing.T, workers ...*workerProcess) {
	t.Helper()
	for _, w := range workers {
		if n := strings.Count(w.out.String(), "Could not move task"); n > 0 {
			t.Errorf("%s wrote %d times that it gave a task back to a Redis that was away, want it to wait in the handler", w.name, n)
		}
	}
}

// wantTwiceOnlyAfterUnknown fails unless every message was accepted once, or
// twice after an attempt nobody knew the end of.
func (w *world) wantTwiceOnlyAfterUnknown(ids []string, accepted map[string]int64) {
	w.t.Helper()
	twice, unknown := 0, 0
	for _, id := range ids {
		r := w.record(id)
		if r.Unknowns > 0 {
			unknown++
		}
		switch count := accepted[id]; {
		case count == 0 && r.Unknowns == 0:
			w.t.Errorf("%s: never accepted by the sandbox, want once; record %+v", id, r)
		case count > 2:
			w.t.Errorf("%s: accepted %d times, want at most 2; record %+v", id, count, r)
		case count == 2 && r.Unknowns == 0:
			w.t.Errorf("%s: accepted twice without an unknown attempt; record %+v", id, r)
		case count == 2:
			twice++
		}
	}
	w.t.Logf("%d messages: %d had an attempt nobody knew the end of, %d of them were accepted twice", len(ids), unknown, twice)
}
