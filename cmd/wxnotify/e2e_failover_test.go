package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// The master is killed in the middle of sends that come in all the while, and the
// replica takes over.
func TestSentinelFailoverUnderLoad(t *testing.T) {
	s := taskstest.StartSentinel(t)
	failOver(t, s.URL, func() func() {
		dead := s.Master(t)
		dead.Kill()
		return func() { s.AwaitFailover(t, dead) }
	})
}

// The master is replaced while it lives: it goes on to be asked, and refuses.
// With min-replicas-to-write it stops as soon as its replica has left it.
func TestSentinelSwitchUnderLoad(t *testing.T) {
	s := taskstest.StartSentinel(t, "--min-replicas-to-write", "1")
	failOver(t, s.URL, func() func() {
		s.Switch(t)
		return func() {}
	})
}

// The same with the master of a cluster that holds the app's queue.
func TestClusterTakeoverUnderLoad(t *testing.T) {
	c := taskstest.StartCluster(t, 1)
	failOver(t, c.URL, func() func() {
		dead := c.Master(t, "asynq:{"+tasks.Namespace("").Queue(testApp, tasks.Default)+"}:pending")
		dead.Kill()
		return func() { c.AwaitTakeover(t, dead) }
	})
}

// failOver sends through two workers and a gateway while kill ends a master. kill
// returns how to wait for its successor.
func failOver(t *testing.T, url string, kill func() (await func())) {
	const n, concurrency = 600, 24
	w := newWorldOn(t, url)
	w.sandbox.slow(60 * time.Millisecond)
	more := env{"CONCURRENCY": fmt.Sprint(concurrency)}
	a, b := w.worker("a", more), w.worker("b", more)
	g := w.gateway()
	all, ids := messages("failover", n, n)
	enqueued := make(chan struct{})
	go func() {
		defer close(enqueued)
		g.enqueue(all)
	}()

	w.sandbox.awaitAccepted(n / 4)
	killed := time.Now()
	await := kill()
	await()
	took := time.Since(killed)
	w.sandbox.awaitAccepted(w.sandbox.report(testApp, false).AcceptedMessages + 10)
	t.Logf("a successor after %v, sends go on %v after the kill", took.Round(100*time.Millisecond), time.Since(killed).Round(100*time.Millisecond))
	<-enqueued
	c := w.worker("c", more) // its first look at what was left over comes sooner
	w.wantKeptByTheSurvivor(g, ids, 2*concurrency)
	t.Logf("all outcomes recorded %v after the kill", time.Since(killed).Round(time.Second))
	for _, worker := range []*process{a.process, b.process} {
		for _, line := range strings.Split(worker.out.String(), "\n") {
			if strings.Contains(line, "recorded once more") {
				t.Log(worker.name + line[strings.LastIndex(line, " settlements="):])
			}
		}
	}
	wantCleanExit(t, a.process, b.process, c.process, g.process)
}

// wantKeptByTheSurvivor fails unless everything the new master had received ends
// well and is sent twice only after an unknown attempt. What it never received, a
// task or an attempt, is counted: no more than most, what is on its way at a time.
func (w *world) wantKeptByTheSurvivor(g *gatewayProcess, ids []string, most int) {
	w.t.Helper()
	var kept []string
	for id, s := range g.outcomesOfKnown(ids, 5*time.Minute) {
		kept = append(kept, id)
		if s.Status != "accepted" && s.Status != "unknown" {
			w.t.Errorf("%s: %+v, want it accepted or unknown", id, s)
		}
	}
	lost := len(ids) - len(kept)
	received := w.sandbox.report(testApp, true).AcceptedByID
	var whole []string
	for _, id := range kept {
		if record := w.record(id); received[id] <= int64(record.Attempts) {
			whole = append(whole, id)
		}
	}
	repeated := len(kept) - len(whole)
	w.t.Logf("the survivor never received %d tasks and %d attempts of %d", lost, repeated, len(ids))
	if lost+repeated > most {
		w.t.Errorf("%d tasks and %d attempts are missing, want at most %d together", lost, repeated, most)
	}
	w.wantTwiceOnlyAfterUnknown(whole, received)
}

// outcomesOfKnown is the outcomes of those notifications that are known.
func (g *gatewayProcess) outcomesOfKnown(ids []string, within time.Duration) map[string]state {
	g.t.Helper()
	var known []string
	for _, id := range ids {
		if code, _ := g.status(testApp, id); code != http.StatusNotFound {
			known = append(known, id)
		}
	}
	return g.outcomes(testApp, known, within)
}
