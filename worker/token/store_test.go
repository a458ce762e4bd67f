package token

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

var testLimits = limits{httpTimeout: time.Second, maxPerMinute: 2, askEvery: time.Minute}

// mustBegin gets the right to renew, or fails the test.
func (b *bundle) mustBegin(owner string, cause Cause) renewal {
	b.t.Helper()
	s, err := b.keys.begin(b.ctx(), owner, cause, time.Time{}, testLimits)
	if err != nil || s.verdict != "go" {
		b.t.Fatalf("verdict %q, error %v", s.verdict, err)
	}
	return renewal{owner: owner, turn: s.turn, asked: s.now}
}

func (b *bundle) mustStore(r renewal, value string, life time.Duration) snapshot {
	b.t.Helper()
	s, err := b.keys.store(b.ctx(), r, wechat.AccessToken{Value: value, ExpiresIn: life})
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// go-redis sends a command again when its reply was lost.
func TestEveryScriptMayRunTwice(t *testing.T) {
	b := setup(t)
	one, two := b.mustBegin("one", Demand), b.mustBegin("one", Demand)
	if one.turn != two.turn {
		t.Error("two turns for one owner")
	}
	if used := b.rdb.HGet(b.ctx(), b.keys.budget, "used").Val(); used != "1" {
		t.Errorf("%s of the budget used, want 1", used)
	}
	for range 2 {
		failed, err := b.keys.fail(b.ctx(), one, fetchError(appID, wrongSecret()))
		if err != nil || failed.failure.HeldUntil.Sub(failed.failure.At) != 3*time.Second {
			t.Errorf("failure %+v, error %v; want it counted once", failed.failure, err)
		}
	}
	again := b.mustBegin("two", Manual)
	first, second := b.mustStore(again, "a", time.Hour), b.mustStore(again, "a", time.Hour)
	if first.verdict != string(Renewed) || second.verdict != string(Renewed) || first.token.confirmed != second.token.confirmed {
		t.Errorf("verdicts %s and %s, want renewed twice", first.verdict, second.verdict)
	}
	for range 2 {
		if err := b.keys.invalidate(b.ctx(), first.token); err != nil {
			t.Error(err)
		}
		if err := b.keys.release(b.ctx(), again); err != nil {
			t.Error(err)
		}
	}
}

func TestOnlyTheOwnerReleases(t *testing.T) {
	b := setup(t)
	r := b.mustBegin("one", Demand)
	other := renewal{owner: "two", turn: r.turn - 1, asked: r.asked}
	if err := b.keys.release(b.ctx(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := b.keys.fail(b.ctx(), other, fetchError(appID, wrongSecret())); err != nil {
		t.Fatal(err)
	}
	if b.rdb.Get(b.ctx(), b.keys.lock).Val() != "one" {
		t.Error("the lock was released by somebody else")
	}
	if ttl := b.rdb.PTTL(b.ctx(), b.keys.lock).Val(); ttl <= testLimits.httpTimeout {
		t.Errorf("the lock lives %v, want longer than the HTTP timeout", ttl)
	}
}

func TestFailureOlderThanTheTokenIsNotRecorded(t *testing.T) {
	b := setup(t)
	old := b.mustBegin("one", Demand)
	b.rdb.Del(b.ctx(), b.keys.lock)
	b.mustStore(b.mustBegin("two", Demand), "a", time.Hour)
	s, err := b.keys.fail(b.ctx(), old, fetchError(appID, wrongSecret()))
	if err != nil || !s.failure.At.IsZero() {
		t.Errorf("failure %+v, error %v", s.failure, err)
	}
}

// A confirmation that was asked for before the refusal does not lift it.
func TestOldConfirmationDoesNotLiftARefusal(t *testing.T) {
	b := setup(t)
	s := b.mustStore(b.mustBegin("one", Demand), "a", time.Hour)
	r := b.mustBegin("two", Manual)
	r.asked = r.asked.Add(-time.Second)
	if err := b.keys.invalidate(b.ctx(), s.token); err != nil {
		t.Fatal(err)
	}
	if s := b.mustStore(r, "a", time.Hour); s.usable != 0 || s.refusedAt.IsZero() {
		t.Errorf("usable for %v, refused at %v", s.usable, s.refusedAt)
	}
}

func TestSameTokenKeepsOrExtendsItsEnd(t *testing.T) {
	b := setup(t)
	first := b.mustStore(b.mustBegin("one", Demand), "a", time.Hour)
	shorter := b.mustStore(b.mustBegin("two", Manual), "a", 30*time.Minute)
	if !shorter.expiresAt.Equal(first.expiresAt) || shorter.verdict != string(Same) {
		t.Errorf("verdict %s, end moved by %v", shorter.verdict, shorter.expiresAt.Sub(first.expiresAt))
	}
	b.rdb.Del(b.ctx(), b.keys.budget)
	longer := b.mustStore(b.mustBegin("three", Manual), "a", 2*time.Hour)
	if !longer.expiresAt.After(first.expiresAt) || longer.token.generation != first.token.generation {
		t.Errorf("end moved by %v, generation %d to %d", longer.expiresAt.Sub(first.expiresAt),
			first.token.generation, longer.token.generation)
	}
}

func TestMarginAndWindow(t *testing.T) {
	b := setup(t)
	for life, want := range map[time.Duration]struct{ margin, window time.Duration }{
		2 * time.Hour:     {10 * time.Second, 5 * time.Minute},
		300 * time.Second: {10 * time.Second, 75 * time.Second},
		60 * time.Second:  {6 * time.Second, 15 * time.Second},
		6 * time.Second:   {600 * time.Millisecond, 1500 * time.Millisecond},
	} {
		b.rdb.Del(b.ctx(), b.keys.budget)
		r := b.mustBegin(life.String(), Manual)
		s := b.mustStore(r, "a token for "+life.String(), life)
		if margin := s.expiresAt.Sub(s.now) - s.usable; margin != want.margin || s.window != want.window {
			t.Errorf("life %v: margin %v and window %v, want %v", life, margin, s.window, want)
		}
	}
}

func TestForeignReplyIsNotTaken(t *testing.T) {
	b := setup(t)
	_, err := b.keys.run(b.ctx(), redis.NewScript(`return {'go', 1}`), b.keys.keys())
	if err == nil {
		t.Error("no error")
	}
}

// On a cluster all keys of an app are in one slot, and every script declares what
// it touches.
func TestOnEveryRedis(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, func(t *testing.T, url string) {
		rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		m, err := New(Config{
			Redis: rdb, Namespace: "team",
			Apps: []App{{Credential: wechat.Credential{AppID: appID}, API: newFake(), Mode: Classic}},
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(m.Close)
		wholeLife(t, m)
	})
}

// wholeLife runs every script once.
func wholeLife(t *testing.T, m *Manager) {
	t.Helper()
	tok, err := m.Get(t.Context(), appID)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Invalidate(t.Context(), appID, tok); err != nil {
		t.Fatal(err)
	}
	m.apps[appID].fetch = newFailing()
	_, err = m.Get(t.Context(), appID)
	wantClass(t, err, errcode.Misconfigured, 40125)
	if err := m.apps[appID].store.release(t.Context(), renewal{owner: "nobody"}); err != nil {
		t.Fatal(err)
	}
	if s, err := m.State(t.Context(), appID); err != nil || s.Phase != Refused || s.LastError == nil {
		t.Errorf("state %+v, error %v", s, err)
	}
}
