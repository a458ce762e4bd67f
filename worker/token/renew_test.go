package token

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

func TestSchedulesOfManyProcessesRenewOnce(t *testing.T) {
	b := setup(t)
	ms := b.processes(10)
	b.get(ms[0])
	b.age(time.Hour)
	b.fake.rotate()
	together(ms, 3, func(m *Manager) { b.refresh(m, Scheduled) })
	b.wantCalls(2)
	b.refresh(ms[3], Scheduled) // one whose clock is a little late
	b.wantCalls(2)
	if b.get(ms[5]).Value() != tokenCanary+"-2" {
		t.Error("not the new token")
	}
}

func TestManualAlwaysAsks(t *testing.T) {
	b := setup(t)
	m := b.process()
	first := b.refresh(m, Manual)
	b.rdb.HSet(b.ctx(), b.keys.token, "checked", 1)
	second := b.refresh(m, Manual)
	b.wantCalls(2)
	if first.Generation != second.Generation || !second.FetchedAt.Equal(first.FetchedAt) {
		t.Error("the same token is a new generation")
	}
	if second.ExpiresAt.Before(first.ExpiresAt) {
		t.Error("the same token ends earlier than it was known to")
	}
	if b.result("manual renewed") != 1 || b.result("manual same") != 1 {
		t.Errorf("results %v", b.results)
	}
}

func TestManyManualRenewalsShareTheAnswer(t *testing.T) {
	b := setup(t)
	ms := b.processes(5, classic)
	arrived, release := b.fake.hold()
	go func() {
		<-arrived
		b.waitUntilPolled(len(ms))
		release()
	}()
	together(ms, 1, func(m *Manager) { b.refresh(m, Manual) })
	b.wantCalls(1)
}

// waitUntilPolled returns when so many processes, each with a connection of its own,
// have run a script: they hold the lock or have met it.
func (b *bundle) waitUntilPolled(processes int) {
	taskstest.Eventually(b.t, 30*time.Second, func() string {
		list, err := b.rdb.ClientList(b.ctx()).Result()
		if err != nil {
			return err.Error()
		}
		if n := strings.Count(list, " cmd=eval"); n < processes {
			return fmt.Sprintf("%d processes have polled", n)
		}
		return ""
	})
}

func TestClassicOldTokenServesDuringRenewal(t *testing.T) {
	b := setup(t)
	renewing, fresh := b.process(classic), b.process(classic)
	old := b.get(renewing)
	b.age(time.Hour)
	arrived, release := b.fake.hold()
	done := make(chan State, 1)
	go func() { done <- b.refresh(renewing, Scheduled) }()
	<-arrived
	if s := b.state(fresh); !s.Renewing || s.Phase != Fresh {
		t.Errorf("state %+v, want a renewal beside a fresh token", s)
	}
	for _, m := range []*Manager{renewing, fresh} {
		if b.get(m).Value() != old.Value() {
			t.Error("not the old token while the new one is on its way")
		}
	}
	release()
	if s := <-done; s.Generation <= old.Generation() {
		t.Error("no new generation")
	}
	if b.get(renewing).Value() == old.Value() {
		t.Error("the old token after the new one was stored")
	}
	b.wantCalls(2)
}

func TestLateAnswerDoesNotOverwrite(t *testing.T) {
	b := setup(t)
	slow, quick := b.process(classic), b.process(classic)
	arrived, release := b.fake.hold()
	late := make(chan Token, 1)
	go func() { late <- b.get(slow) }()
	<-arrived
	b.rdb.Del(b.ctx(), b.keys.lock) // its time ran out
	second := make(chan Token, 1)
	b.fake.mu.Lock()
	b.fake.gate = nil // the second answer is not late
	b.fake.mu.Unlock()
	go func() { second <- b.get(quick) }()
	newer := <-second
	release()
	if got := <-late; got.Value() != newer.Value() || newer.Value() != tokenCanary+"-2" {
		t.Error("the late answer won")
	}
	if s := b.state(slow); s.Generation != newer.Generation() {
		t.Error("the late answer was stored")
	}
	if b.result("demand late") != 1 {
		t.Errorf("results %v", b.results)
	}
	b.wantCalls(2)
}

func TestLockHolderDies(t *testing.T) {
	b := setup(t)
	if err := b.rdb.Set(b.ctx(), b.keys.lock, "died", 300*time.Millisecond).Err(); err != nil {
		t.Fatal(err)
	}
	b.get(b.process())
	b.wantCalls(1)
}

func TestWrongSecretMakesOneCall(t *testing.T) {
	b := setup(t)
	b.fake.fail(wrongSecret())
	ms := b.processes(4)
	began := time.Now()
	together(ms, 50, func(m *Manager) {
		_, err := m.Get(b.ctx(), appID)
		wantClass(t, err, errcode.Misconfigured, 40125)
	})
	b.shift(b.keys.failure, time.Hour, "resume")                            // so that nothing below comes too late
	calls, most := b.fake.count(), 1+int(time.Since(began)/(3*time.Second)) // for which the first failure holds off
	if calls < 1 || calls > most {
		t.Errorf("WeChat was called %d times, want at most once in three seconds", calls)
	}
	s := b.state(ms[1])
	if f := s.LastError; s.Phase != Missing || f == nil || f.Code != 40125 || f.Detail != "invalid appsecret" || !f.HeldUntil.After(f.At) {
		t.Fatalf("state %+v, failure %+v", s, s.LastError)
	}
	for _, cause := range []Cause{Scheduled, Demand} {
		_, err := ms[2].Refresh(b.ctx(), appID, cause)
		wantClass(t, err, errcode.Misconfigured, 40125)
	}
	b.wantCalls(calls)

	_, err := ms[0].Refresh(b.ctx(), appID, Manual)
	if answer, ok := errors.AsType[*wechat.Error](err); !ok || answer.Code != 40125 {
		t.Errorf("error %v does not unwrap to WeChat's", err)
	}
	b.wantCalls(calls + 1)

	b.fake.fail(nil)
	b.shift(b.keys.failure, -time.Minute, "resume")
	b.get(ms[3])
	if f := b.state(ms[1]).LastError; f == nil || f.Code != 40125 || !f.HeldUntil.IsZero() {
		t.Errorf("failure %+v, want it remembered and over", f)
	}
}

func TestHoldOffGrowsAndIsBounded(t *testing.T) {
	b := setup(t)
	m := b.process(func(c *Config) { c.MaxPerMinute = 100 })
	hold := func(err error) time.Duration {
		b.fake.fail(err)
		_, err = m.Refresh(b.ctx(), appID, Manual)
		if err == nil {
			t.Fatal("no error")
		}
		f := b.state(m).LastError
		return f.HeldUntil.Sub(f.At)
	}
	for _, want := range []time.Duration{3, 6, 12, 24, 45, 45} {
		if got := hold(wrongSecret()); got != want*time.Second {
			t.Errorf("held off for %v, want %vs", got, int(want))
		}
	}
	if got := hold(errors.New("dial")); got != 15*time.Second {
		t.Errorf("held off for %v after a transient failure, want 15s", got)
	}
}

func TestBudgetBoundsEvenManualRenewals(t *testing.T) {
	b := setup(t)
	ms := b.processes(3, func(c *Config) { c.MaxPerMinute = 4 })
	var err error
	for i := range 20 {
		if _, err = ms[i%3].Refresh(b.ctx(), appID, Manual); err != nil {
			break
		}
	}
	wantClass(t, err, errcode.Transient, 0)
	if calls := b.fake.count(); calls < 4 || calls > 8 { // twice, if the minute ends meanwhile
		t.Errorf("%d calls, want 4 a minute", calls)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range errcode.Classes() {
		want := errcode.Misconfigured
		switch c {
		case errcode.Transient, errcode.Unknown, errcode.Throttled, errcode.Token:
			want = errcode.Transient
		case errcode.Exhausted:
			want = errcode.Exhausted
		}
		if got := verdict(c); got != want {
			t.Errorf("verdict of %s is %s, want %s", c, got, want)
		}
	}
}

func TestUnusableAnswer(t *testing.T) {
	b := setup(t)
	b.fake.life = 0
	_, err := b.process(classic).Get(b.ctx(), appID)
	wantClass(t, err, errcode.Transient, 0)
	b.wantCalls(1)
}

// What a late caller finds stored may be refused already: it asks again.
func TestLateCallerDoesNotGetARefusedToken(t *testing.T) {
	b := setup(t)
	slow, quick := b.process(classic), b.process(classic)
	arrived, release := b.fake.hold()
	late := make(chan Token, 1)
	go func() { late <- b.get(slow) }()
	<-arrived
	b.rdb.Del(b.ctx(), b.keys.lock)
	b.fake.mu.Lock()
	b.fake.gate = nil
	b.fake.mu.Unlock()
	b.invalidate(quick, b.get(quick))
	release()
	if got := <-late; got.Value() != tokenCanary+"-3" {
		t.Error("not a token asked for after the refusal")
	}
	b.wantCalls(3)
}
