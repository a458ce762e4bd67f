package main_test

import (
	"syscall"
	"testing"
	"time"
)

// SIGTERM to one of two workers under load, then SIGKILL to one of two: nothing is
// lost, and twice goes only what was in flight at the kill, once.
func TestWorkersEndUnderLoad(t *testing.T) {
	t.Parallel()
	const n, concurrency = 2000, 24
	w := newWorld(t)
	w.sandbox.slow(100 * time.Millisecond)
	more := env{"CONCURRENCY": "24"}
	a, b := w.worker("a", more), w.worker("b", more)
	g := w.gateway()
	all, ids := messages("signal", n, n)
	enqueued := make(chan struct{})
	go func() {
		defer close(enqueued)
		g.enqueue(all)
	}()

	w.sandbox.awaitAccepted(n / 10)
	if code := a.stop(syscall.SIGTERM, 40*time.Second); code != 0 {
		t.Errorf("worker a exits with %d after SIGTERM, want 0", code)
	}
	if r := w.sandbox.report(testApp, false); len(r.Duplicates) > 0 {
		t.Errorf("after SIGTERM %d messages went out twice, want none", len(r.Duplicates))
	}

	c := w.worker("c", more)
	w.sandbox.awaitAccepted(w.sandbox.report(testApp, false).AcceptedMessages + n/20)
	b.kill()
	if waiting := n - w.sandbox.report(testApp, false).AcceptedMessages; waiting < n/10 {
		t.Errorf("only %d messages were left at the kill, want at least %d: the load is too small", waiting, n/10)
	}
	// As a supervisor would. asynq gives a dead worker's tasks back a minute after
	// its last sign of life, at the next look of any worker, which it takes every
	// minute from its start on.
	d := w.worker("d", more)

	<-enqueued
	wantAll(t, g.outcomes(testApp, ids, 150*time.Second), "accepted")
	w.wantOnlyTheKilledTwice(ids, concurrency, c, d)
	wantCleanExit(t, c.process, d.process, g.process)
}

// wantOnlyTheKilledTwice fails unless every message was accepted, twice only those
// whose attempt died, no more than were in flight, and each of these counted.
func (w *world) wantOnlyTheKilledTwice(ids []string, inFlight int, alive ...*workerProcess) {
	w.t.Helper()
	report := w.sandbox.report(testApp, true)
	w.wantTwiceOnlyAfterUnknown(ids, report.AcceptedByID)
	died := 0
	for _, id := range ids {
		if r := w.record(id); r.Unknowns > 0 {
			died++
			if r.Attempts != 2 || r.Unknowns != 1 {
				w.t.Errorf("%s: %d attempts, %d unknown; want 2 and 1", id, r.Attempts, r.Unknowns)
			}
		}
	}
	if died == 0 || died > inFlight || len(report.Duplicates) > died {
		w.t.Errorf("%d attempts died and %d messages went out twice; want 1 to %d, and no more than died", died, len(report.Duplicates), inFlight)
	}
	counted := 0.0
	for _, p := range alive {
		counted += series(w.t, p.admin, "wxnotify_attempts_total", map[string]string{"class": "unknown"})
	}
	if counted != float64(died) {
		w.t.Errorf("wxnotify_attempts_total{class=unknown} is %v over the living workers, want %d: one for each attempt that died", counted, died)
	}
}
