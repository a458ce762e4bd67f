package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

func (b *bundle) pauses() ledger.Paused {
	b.Helper()
	list, err := ledger.NewPauses(b.rdb, "").List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return list
}

func (b *bundle) awaitPause(scope ledger.Scope) ledger.Pause {
	b.Helper()
	var found ledger.Pause
	taskstest.Eventually(b, 60*time.Second, func() string {
		for _, p := range b.pauses().Pauses {
			if found = p; p.Scope == scope && p.InForce(b.pauses().Now) {
				return ""
			}
		}
		return fmt.Sprintf("%+v, want a pause of scope %s in force\n%s", b.pauses().Pauses, scope, b.log.tail())
	})
	return found
}

// resume does what a person does.
func (b *bundle) resume(p ledger.Pause) {
	b.Helper()
	p.Since = time.Time{}
	if ended, err := ledger.NewPauses(b.rdb, "").End(b.Context(), p); !ended || err != nil {
		b.Fatalf("%v %v", ended, err)
	}
}

// runOut ends a pause's time, so that a probe comes next.
func (b *bundle) runOut(p ledger.Pause) {
	b.Helper()
	field := p.App + ";" + string(p.Scope) + ";" + p.Name
	parts := strings.Split(b.rdb.HGet(b.Context(), "wxn:pauses", field).Val(), ";")
	parts[2] = parts[1]
	b.rdb.HSet(b.Context(), "wxn:pauses", field, strings.Join(parts, ";"))
}

func (b *bundle) sends() sandbox.CallReport { return b.calls(sandbox.APISubscribeSend) }

// awaitQuiet waits until nothing is in a worker's hands.
func (b *bundle) awaitQuiet() {
	b.Helper()
	taskstest.Eventually(b, 60*time.Second, func() string {
		if n := b.rdb.LLen(b.Context(), "asynq:{"+app+".default}:active").Val(); n > 0 {
			return fmt.Sprint(n, " tasks are active")
		}
		return ""
	})
}

// The quota of the day ends in the middle: no attempt is spent on what waits, and all
// of it goes out after a resume.
func TestAnExhaustedQuotaPausesTheApp(t *testing.T) {
	b := setup(t)
	if err := b.wechat.SetQuotas(app, sandbox.Quotas{sandbox.APISubscribeSend: {PerDay: 50}}); err != nil {
		t.Fatal(err)
	}
	const messages = 200
	for i := range messages {
		b.send(notification(fmt.Sprint(i)))
	}
	b.start()
	p := b.awaitPause(ledger.ScopeApp)
	if p.Errcode != 45009 || p.By != ledger.PauseByProbe || p.Until.Sub(p.Since) > 25*time.Hour {
		t.Errorf("%+v", p)
	}
	b.awaitQuiet()
	calls := b.sends()
	if calls.Errcodes[0] != 50 || calls.Errcodes[45009] > 2*16 { // and those that took their places before the queue was paused
		t.Errorf("%v, want no more than the handlers that were under way", calls.Errcodes)
	}
	waits := b.awaitFor("199", 60*time.Second, func(s producer.State) bool { return s.Errcode == 45009 }, "45009")
	if waits.Attempts != 0 || waits.Remedy == "" || waits.Status != tasks.StatusQueued {
		t.Errorf("%+v", waits)
	}
	if n := strings.Count(b.log.String(), "msg=paused"); n != 1 {
		t.Errorf("the log says it %d times", n)
	}
	if err := b.wechat.SetQuotas(app, sandbox.Quotas{}); err != nil {
		t.Fatal(err)
	}
	b.resume(p)
	for i := range messages {
		if s := b.await(fmt.Sprint(i), "accepted"); s.Attempts != 1 {
			t.Errorf("%+v, want one attempt", s)
		}
	}
	if calls := b.sends(); calls.Errcodes[0] != messages {
		t.Errorf("%v", calls.Errcodes)
	}
}

// What an app may not send of one kind holds that kind back alone, if it sends others.
func TestAnotherKindGoesOn(t *testing.T) {
	b := setup(t)
	if err := ledger.NewPauses(b.rdb, "").Sends(b.Context(), app, tasks.KindTemplate); err != nil {
		t.Fatal(err)
	}
	b.next(send("", 45009, 1))
	b.start()
	b.send(notification("held"))
	p := b.awaitPause(ledger.ScopeKind)
	if p.Name != string(tasks.KindSubscribe) {
		t.Errorf("%+v", p)
	}
	b.send(templateMessage("other", "unheard-of"))
	b.awaitFor("other", 60*time.Second, func(s producer.State) bool { return s.Errcode == 41028 }, "41028, WeChat's answer")
	if s := b.awaitFor("held", 60*time.Second, func(s producer.State) bool { return !s.Status.Final() }, "waiting"); s.Errcode != 45009 {
		t.Errorf("%+v", s)
	}
	b.resume(p)
	b.await("held", "accepted")
}

// Queues that are paused for nothing, as after a failover that lost the pause, go on.
func TestQueuesPausedForNothing(t *testing.T) {
	b := setup(t)
	b.send(notification("waits"))
	if err := tasks.NewClient(b.rdb, "").PauseLanes(t.Context(), app, tasks.Priorities()); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.await("waits", "accepted")
}

// A blocked template holds its own messages back, no others.
func TestABlockedTemplate(t *testing.T) {
	b := setup(t)
	b.next(send("", 43107, 1))
	b.start()
	b.send(notification("blocked"))
	p := b.awaitPause(ledger.ScopeTemplate)
	if p.Name != "tmpl" {
		t.Errorf("%+v", p)
	}
	n := notification("other")
	n.TemplateID = "another"
	b.send(n)
	b.await("other", "accepted")
	b.resume(p)
	b.await("blocked", "accepted")
}

// One send finds out whether a pause is over, however many wait.
func TestOneProbe(t *testing.T) {
	b := setup(t)
	const messages = 40
	for i := range messages {
		b.send(notification(fmt.Sprint(i)))
	}
	held := ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 40164}
	if _, _, err := ledger.NewPauses(b.rdb, "").Begin(b.Context(), held, ledger.Lengths{First: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	b.next(send("", 40164, 1))
	b.start()
	if p := b.awaitPause(ledger.ScopeApp); p.Tries != 1 {
		t.Errorf("%+v", p)
	}
	b.awaitQuiet()
	if calls := b.sends(); calls.Received != 1 {
		t.Errorf("%d calls, want the probe alone", calls.Received)
	}
	b.runOut(b.pauses().Pauses[0])
	for i := range messages {
		if s := b.await(fmt.Sprint(i), "accepted"); s.Attempts != 1 {
			t.Errorf("%+v, want one attempt", s)
		}
	}
	if calls := b.sends(); calls.Received != messages+1 {
		t.Errorf("%d calls, want one each and the failed probe", calls.Received)
	}
}

// The quota of the minute stops everybody until the next one, and then they go on.
func TestAThrottledMinute(t *testing.T) {
	b := setup(t)
	clearOfTheEnd(time.Minute) // most of which it looks at
	b.next(send("", 45011, 1))
	for i := range 20 {
		b.send(notification(fmt.Sprint(i)))
	}
	b.start()
	stopped := b.awaitPause(ledger.ScopeApp)
	b.awaitQuiet()
	calls := b.sends()
	for i := range 20 {
		s := b.awaitFor(fmt.Sprint(i), 90*time.Second, func(s producer.State) bool { return s.Status == "accepted" }, "accepted")
		if s.Attempts != 1 {
			t.Errorf("%+v, want one attempt", s)
		}
	}
	if b.pauses().Now.Before(stopped.Until) {
		t.Errorf("it went on at %v, want not before %v", b.pauses().Now, stopped.Until)
	}
	if after := b.sends(); after.Errcodes[0] != 20 || calls.Received > 17 {
		t.Errorf("%d calls in the first minute, %v in all", calls.Received, after.Errcodes)
	}
}

// The horizon begins anew when a pause ends: what waited for long is not buried with its
// first failure.
func TestTheHorizonBeginsAfterAPause(t *testing.T) {
	b := setup(t)
	b.horizon = 6 * time.Second // longer than what was held already takes to come back
	b.send(notification("waited"))
	held := ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeApp}, By: ledger.PauseByHand}
	if _, _, err := ledger.NewPauses(b.rdb, "").Begin(b.Context(), held, ledger.Lengths{First: time.Hour}); err != nil {
		t.Fatal(err)
	}
	b.start()
	<-time.After(b.horizon) // real time: Redis's clock judges
	b.next(send("", -1, 1))
	b.resume(held)
	if s := b.await("waited", "accepted"); s.Attempts != 2 {
		t.Errorf("%+v, want a failure and another attempt", s)
	}
}

// WeChat gives no token for a while: what waits spends no attempt, and goes on as soon
// as there is one.
func TestWithoutATokenForAWhile(t *testing.T) {
	b := setup(t)
	b.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APIStableToken: {Errcodes: map[int]float64{-1: 1}}}})
	const messages = 40
	for i := range messages {
		b.send(notification(fmt.Sprint(i)))
	}
	b.start()
	b.awaitPause(ledger.ScopeApp)
	b.awaitQuiet()
	if s := b.awaitFor("39", 60*time.Second, func(s producer.State) bool { return !s.Status.Final() }, "waiting"); s.Attempts != 0 || !strings.Contains(s.Reason, "access_token") {
		t.Errorf("%+v", s)
	}
	b.faults(sandbox.Faults{})
	for i := range messages {
		s := b.awaitFor(fmt.Sprint(i), 60*time.Second, func(s producer.State) bool { return s.Status == "accepted" }, "accepted")
		if s.Attempts != 1 {
			t.Errorf("%+v, want one attempt", s)
		}
	}
}
