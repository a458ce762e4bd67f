package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// perDay sets how many subscription messages the sandbox takes in a day, 0 for any number.
func (s *sandboxProcess) perDay(n int64) {
	s.t.Helper()
	s.control(http.MethodPut, "quotas", map[string]any{"calls": sandbox.Quotas{sandbox.APISubscribeSend: {PerDay: n}}})
}

// The quota of the day ends in the middle of 5 000 messages: the sends stop, nothing is
// spent, the commands say why, and after a resume all of them go out, each once.
func TestAnExhaustedQuotaHoldsTheQueue(t *testing.T) {
	const n, perDay, handlers = 5000, 2000, 32
	clearOfMidnight()
	w := newWorld(t)
	w.sandbox.perDay(perDay)
	client, err := producer.New(w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	eachOf(n, func(i int) {
		if _, err := client.Send(t.Context(), numbered(i)); err != nil {
			t.Error(err)
		}
	})
	more := env{"CONCURRENCY": fmt.Sprint(handlers), "LOG_LEVEL": "info"}
	a, b := w.worker("a", more), w.worker("b", more)

	w.awaitUsedUp(t, 4*handlers) // those of two workers, and those that follow before the first answer is written down
	s := w.appStatus(t)
	if len(s.Pauses) != 1 || s.Pauses[0].Errcode != 45009 || s.Pauses[0].By != "wechat" || !s.Pauses[0].Probe || !s.Pauses[0].InForce {
		t.Fatalf("%+v, want one pause for 45009", s.Pauses)
	}
	waiting := 0
	for _, l := range s.Lanes {
		waiting += l.Pending + l.Retry
	}
	if waiting < n-perDay || waiting > n-perDay+len(s.Lanes) { // and a canary of each lane, if this takes a minute
		t.Errorf("%d wait, want %d: %+v", waiting, n-perDay, s.Lanes)
	}
	w.app("status", testApp).want(t, 0, "PAUSED since", "WeChat's answer", "45009", "The daily quota of this API is used up", "clear_quota", "wxnotify app resume "+testApp)

	w.sandbox.perDay(0)
	w.app("resume", testApp).want(t, 0, testApp)
	resumed := time.Now()
	w.sandbox.awaitAccepted(perDay + 1)
	t.Logf("it went on %v after the resume", time.Since(resumed).Round(time.Millisecond))
	w.sandbox.awaitAccepted(n)
	eachOf(n, func(i int) { wantFirstAttempt(t, client, numbered(i).ID) })
	if r := w.sandbox.report(testApp, false); r.Accepted != n || r.AcceptedMessages != n || len(r.Duplicates) != 0 {
		t.Errorf("%d acceptances of %d messages, want %d of as many", r.Accepted, r.AcceptedMessages, n)
	}
	wantCleanExit(t, a.process, b.process)
}

// clearOfMidnight waits if a day of the quotas ends within the next minutes.
func clearOfMidnight() {
	now := time.Now()
	if left := worker.NextQuotaReset(now, 0).Sub(now); left < 3*time.Minute {
		<-time.After(left)
	}
}

// numbered is the i-th message of a test, to a user of its own.
func numbered(i int) producer.Notification {
	id := fmt.Sprintf("quota-%04d", i)
	return producer.Notification{
		App: testApp, ID: id, To: producer.Recipient{OpenID: openID(i)}, TemplateID: "e2e-template",
		Data: map[string]string{idKey: id, "thing2": contentCanary},
	}
}

// eachOf does something for every number below n, some at a time.
func eachOf(n int, do func(i int)) {
	var wg sync.WaitGroup
	for first := range askers {
		wg.Go(func() {
			for i := first; i < n; i += askers {
				do(i)
			}
		})
	}
	wg.Wait()
}

// wantFirstAttempt fails unless a message was accepted by its first attempt. WeChat may
// have answered just now, so that the outcome is about to be written down.
func wantFirstAttempt(t *testing.T, client *producer.Client, id string) {
	for end := time.Now().Add(20 * time.Second); ; {
		s, err := client.Status(t.Context(), testApp, id)
		switch {
		case err == nil && s.Status == tasks.Status(tasks.Accepted):
			if s.Attempts != 1 {
				t.Errorf("%s: %d attempts, want none spent on the pause", id, s.Attempts)
			}
			return
		case time.Now().After(end):
			t.Errorf("%s: %+v, %v, want it accepted", id, s, err)
			return
		}
		<-time.After(100 * time.Millisecond)
	}
}

// awaitUsedUp waits for the first 45009, and sees that the sends stop within a second
// and that no more than most of them were in vain.
func (w *world) awaitUsedUp(t *testing.T, most int64) {
	t.Helper()
	var first time.Time
	taskstest.Eventually(t, 60*time.Second, func() string {
		first = time.Now()
		if w.sandbox.report(testApp, false).Calls[sandbox.APISubscribeSend].Errcodes[45009] == 0 {
			return "the quota is not used up yet"
		}
		return ""
	})
	<-time.After(2 * time.Second)
	r := w.sandbox.report(testApp, false)
	stopped := time.Unix(0, r.LastArrivalNS).Sub(first)
	refused := r.Calls[sandbox.APISubscribeSend].Errcodes[45009]
	t.Logf("the last send arrived %v after the first 45009 was seen, %d were in vain", stopped.Round(time.Millisecond), refused)
	if stopped > time.Second || refused > most {
		t.Errorf("the last send arrived %v after the first 45009, %d were in vain; want at most a second and %d", stopped, refused, most)
	}
}

// A queue that somebody paused in the dashboard is left alone and shown; the other
// lanes go on, and a resume opens it.
func TestAQueuePausedInTheDashboard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	a := w.worker("a", nil)
	inspector := asynq.NewInspectorFromRedisClient(w.rdb)
	pause := func(lane tasks.Priority) {
		if err := inspector.PauseQueue(tasks.Namespace("").Queue(testApp, lane)); err != nil {
			t.Fatal(err)
		}
	}
	pause(tasks.Default)
	w.enqueueOne("held")
	w.enqueueOne("goes", "--priority=critical")
	w.awaitStatus("goes", "accepted")
	<-time.After(2 * time.Second) // several looks of the worker
	command(t, w.env.redisOnly(), "status", "held").want(t, 0, "queued")
	w.app("status").want(t, 0, "PAUSED in the dashboard since")
	if s := w.appStatus(t); !s.Lanes[1].PausedInDashboard || s.Lanes[0].Paused || s.Lanes[2].Paused || s.Lanes[1].Pending == 0 || len(s.Pauses) != 0 {
		t.Errorf("%+v, want the default lane alone to be paused", s)
	}
	w.app("resume", testApp).want(t, 0, "resumed: default, paused in the dashboard")
	w.awaitStatus("held", "accepted")

	// A pause of the app on top of it: at its end the lane stays as it was.
	pause(tasks.Bulk)
	w.app("pause", testApp, "--for=1s").want(t, 0)
	w.enqueueOne("bulk", "--priority=bulk")
	w.enqueueOne("after", "--priority=critical")
	w.awaitStatus("after", "accepted")
	if s := w.appStatus(t); !s.Lanes[2].PausedInDashboard || s.Lanes[0].Paused || len(s.Pauses) != 0 {
		t.Errorf("%+v, want the bulk lane paused as before", s)
	}
	if r := w.app("resume", testApp, "--all"); !strings.Contains(r.stdout, "resumed: bulk, paused in the dashboard") {
		t.Errorf("app resume prints %s%s", r.stdout, r.stderr)
	}
	w.awaitStatus("bulk", "accepted")
	wantCleanExit(t, a.process)
}
