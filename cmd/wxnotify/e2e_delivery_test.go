package main_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// Two workers, gateway and sandbox: every notification is accepted once while the
// token dies twice, and each death costs one renewal.
func TestEveryNotificationIsSentOnceWhileTokensDie(t *testing.T) {
	t.Parallel()
	const n = 2000
	w := newWorld(t)
	w.sandbox.slow(40 * time.Millisecond)
	a, b := w.worker("a", env{"CONCURRENCY": "24"}), w.worker("b", env{"CONCURRENCY": "24"})
	g := w.gateway()
	all, ids := messages("token", n, n/2)

	enqueued := make(chan struct{})
	go func() {
		defer close(enqueued)
		g.enqueue(all)
	}()
	tokens := []string{}
	for _, accepted := range []int64{n / 4, n / 2} {
		w.sandbox.awaitAccepted(accepted)
		tokens = append(tokens, w.token(testApp))
		w.sandbox.killTokens()
	}
	<-enqueued
	outcomes := g.outcomes(testApp, ids, 60*time.Second)
	tokens = append(tokens, w.token(testApp))

	wantAll(t, outcomes, "accepted")
	report := w.sandbox.report(testApp, true)
	wantOnce(t, report, n)
	wantOneRenewalPerKill(t, report, a, b)
	wantCounted(t, n, a, b)
	wantCleanExit(t, a.process, b.process, g.process)
	for _, p := range []*process{a.process, b.process, g.process} {
		noLeak(t, "the log of "+p.name, p.out.String(), tokens...)
	}
}

// wantOnce fails unless n messages arrived and each was accepted once.
func wantOnce(t *testing.T, r sandbox.AppReport, n int64) {
	t.Helper()
	if r.Accepted != n || r.AcceptedMessages != n || len(r.Duplicates) > 0 {
		t.Errorf("the sandbox accepted %d sends of %d messages, %d of them twice or more; want %d, %d and 0",
			r.Accepted, r.AcceptedMessages, len(r.Duplicates), n, n)
	}
	if r.MaxInFlightPerOpenID > 1 {
		t.Errorf("%d sends to one openid were in flight at once, want 1", r.MaxInFlightPerOpenID)
	}
	if code := r.Calls[sandbox.APISubscribeSend].Errcodes[43108]; code > 0 {
		t.Errorf("WeChat answered 43108 to %d concurrent sends, want none", code)
	}
}

// wantOneRenewalPerKill: the first token and one for each of two kills.
func wantOneRenewalPerKill(t *testing.T, r sandbox.AppReport, workers ...*workerProcess) {
	t.Helper()
	renewed := 0.0
	for _, w := range workers {
		renewed += series(t, w.admin, "wxnotify_token_refreshes_total", map[string]string{"app": testApp, "result": "renewed"})
	}
	if renewed != 3 {
		t.Errorf("the workers renewed the token %v times, want 3: the first and one for each kill", renewed)
	}
	refused := r.Calls[sandbox.APISubscribeSend].Errcodes[40001]
	t.Logf("token calls received: %d; sends refused with 40001: %d", r.Calls[sandbox.APIStableToken].Received, refused)
	if refused == 0 {
		t.Error("no send met a dead token, so the kills proved nothing")
	}
}

func wantCounted(t *testing.T, n float64, workers ...*workerProcess) {
	t.Helper()
	accepted, perWorker := 0.0, []float64{}
	for _, w := range workers {
		count := series(t, w.admin, "wxnotify_notifications_total",
			map[string]string{"app": testApp, "kind": "subscribe", "outcome": "accepted"})
		accepted += count
		perWorker = append(perWorker, count)
	}
	if accepted != n {
		t.Errorf("wxnotify_notifications_total{outcome=accepted} is %v over all workers, want %v", accepted, n)
	}
	for i, count := range perWorker {
		if count == 0 {
			t.Errorf("worker %s sent nothing, want both to share the work", workers[i].name)
		}
	}
}

// wantCleanExit ends processes with SIGTERM and wants exit code 0.
func wantCleanExit(t *testing.T, processes ...*process) {
	t.Helper()
	for _, p := range processes {
		if code := p.stop(syscall.SIGTERM, 40*time.Second); code != 0 {
			t.Errorf("%s exits with %d after SIGTERM, want 0", p.name, code)
		}
	}
}
