package token

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

func TestManyGetsFetchOnce(t *testing.T) {
	b := setup(t)
	arrived, release := b.fake.hold()
	var got atomic.Int32
	go func() { <-arrived; release() }()
	together(b.processes(5), 50, func(m *Manager) {
		if tok, err := m.Get(b.ctx(), appID); err != nil {
			t.Error(err)
		} else if tok.Value() == tokenCanary+"-1" {
			got.Add(1)
		}
	})
	if got.Load() != 250 {
		t.Errorf("%d of 250 got the token", got.Load())
	}
	b.wantCalls(1)
	if b.result("demand renewed") != 1 {
		t.Errorf("results %v", b.results)
	}
}

func TestKilledTokenIsRenewedOnce(t *testing.T) {
	b := setup(t)
	ms := b.processes(4)
	old := make(map[*Manager]Token)
	for _, m := range ms {
		old[m] = b.get(m)
	}
	b.fake.rotate()
	together(ms, 40, func(m *Manager) {
		if err := m.Invalidate(b.ctx(), appID, old[m]); err != nil {
			t.Error(err)
		}
		tok, err := m.Get(b.ctx(), appID)
		if err != nil || tok.Value() != tokenCanary+"-2" {
			t.Errorf("not the new token, error %v", err)
		}
	})
	b.wantCalls(2)
}

func TestStaleReportChangesNothing(t *testing.T) {
	b := setup(t)
	one, two := b.process(classic), b.process(classic)
	first := b.get(one)
	b.refresh(two, Manual)
	b.invalidate(one, first)
	b.invalidate(one, Token{})
	if s := b.state(one); s.Phase != Fresh {
		t.Errorf("phase %s, want fresh", s.Phase)
	}
	if b.get(one).Value() != b.get(two).Value() {
		t.Error("the processes use different tokens")
	}
	b.wantCalls(2)
}

func TestSameTokenAfterRefusal(t *testing.T) {
	b := setup(t)
	m := b.process()
	first := b.get(m)
	b.invalidate(m, first)
	if s := b.state(m); s.Phase != Refused || s.RefusedAt.IsZero() {
		t.Errorf("state %+v, want refused", s)
	}
	second := b.get(m)
	if second.Value() != first.Value() || second.Generation() != first.Generation() {
		t.Error("the same token is a new generation")
	}
	b.invalidate(m, first) // from before WeChat confirmed it
	if s := b.state(m); s.Phase != Fresh {
		t.Errorf("phase %s, want fresh", s.Phase)
	}
	b.get(m)
	b.wantCalls(2)
}

// A token that WeChat both gives and refuses must not become a loop.
func TestRefusedAgainAndAgainIsBounded(t *testing.T) {
	b := setup(t)
	m := b.process()
	for range 30 {
		tok, err := m.Get(b.ctx(), appID)
		if err != nil {
			wantClass(t, err, errcode.Transient, 0)
			break
		}
		b.invalidate(m, tok)
	}
	if calls := b.fake.count(); calls < 6 || calls > 12 { // twice, if the minute ends meanwhile
		t.Errorf("%d calls, want 6 a minute", calls)
	}
	if b.result("demand spent") == 0 {
		t.Errorf("results %v", b.results)
	}
}

func TestRedisAway(t *testing.T) {
	b := setup(t)
	with, without := b.process(b.quickToFail), b.process(b.quickToFail)
	tok := b.get(with)
	b.server.Kill()
	if again := b.get(with); again.Value() != tok.Value() {
		t.Error("not the token in memory")
	}
	_, err := without.Get(b.ctx(), appID)
	wantClass(t, err, errcode.Transient, 0)
	for _, cause := range Causes() {
		_, err := with.Refresh(b.ctx(), appID, cause)
		wantClass(t, err, errcode.Transient, 0)
	}
	_, err = with.State(b.ctx(), appID)
	wantClass(t, err, errcode.Transient, 0)
	b.wantCalls(1)
	wantClass(t, with.Invalidate(b.ctx(), appID, tok), errcode.Transient, 0)

	// Back, with the token it knew to be refused only by us: the report is repeated.
	b.server.Start(t)
	b.put(tok)
	b.fake.rotate()
	taskstest.Eventually(t, 30*time.Second, func() string {
		again, err := with.Get(b.ctx(), appID)
		if err != nil {
			return err.Error() // go-redis needs a second to notice
		}
		if again.Value() == tok.Value() {
			t.Error("the refused token was handed out again")
		}
		return ""
	})
	b.wantCalls(2)
}

// quickToFail gives a process a client that does not repeat commands.
func (b *bundle) quickToFail(c *Config) {
	rdb, err := tasks.ConnectRedis(b.server.URL, tasks.RedisOptions{Timeout: time.Second, MaxRetries: -1})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = rdb.Close() })
	c.Redis = rdb
}

// put stores a token as Redis held it before.
func (b *bundle) put(tok Token) {
	b.t.Helper()
	at := time.Now()
	err := b.rdb.HSet(b.ctx(), b.keys.token, "value", tok.Value(), "digest", digest(tok.Value()),
		"generation", tok.generation, "confirmed", tok.confirmed, "turn", tok.confirmed, "life", 7200_000,
		"fetched", at.UnixMilli(), "checked", at.UnixMilli(), "expires", at.Add(time.Hour).UnixMilli()).Err()
	if err != nil {
		b.t.Fatal(err)
	}
}

func TestRedisRestartedEmpty(t *testing.T) {
	b := setup(t)
	with, without := b.process(), b.process()
	old := b.get(with)
	b.server.Kill()
	b.server.Start(t)
	if b.get(with).Value() != old.Value() {
		t.Error("the token in memory was given up")
	}
	b.fake.rotate()
	fresh := b.get(without)
	if fresh.Generation() <= old.Generation() {
		t.Error("the new token counts as older")
	}
	b.invalidate(with, old)
	if b.get(with).Value() != fresh.Value() {
		t.Error("not the new token")
	}
	b.wantCalls(2)
}

func TestAnswerOutlastsRedisRestart(t *testing.T) {
	b := setup(t)
	m := b.process()
	arrived, release := b.fake.hold()
	got := make(chan error, 1)
	go func() {
		_, err := m.Get(b.ctx(), appID)
		got <- err
	}()
	<-arrived
	b.server.Kill()
	release()
	taskstest.Eventually(t, 30*time.Second, func() string {
		if b.rdb.Ping(b.ctx()).Err() == nil {
			return "redis answers"
		}
		return ""
	})
	b.server.Start(t)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
	if s := b.state(m); s.Phase != Fresh {
		t.Errorf("phase %s, want fresh", s.Phase)
	}
	b.wantCalls(1)
}

func TestCallerLeavesRenewalGoesOn(t *testing.T) {
	b := setup(t)
	m := b.process()
	arrived, release := b.fake.hold()
	ctx, cancel := context.WithCancel(b.ctx())
	left := make(chan error, 1)
	go func() {
		_, err := m.Get(ctx, appID)
		left <- err
	}()
	<-arrived
	cancel()
	err := <-left
	wantClass(t, err, errcode.Transient, 0)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v does not tell that the caller left", err)
	}
	release()
	b.get(m)
	b.wantCalls(1)
}

func TestCloseGivesTheLockBack(t *testing.T) {
	b := setup(t)
	leaving, staying := b.process(), b.process()
	arrived, release := b.fake.hold()
	ended := make(chan error, 1)
	go func() {
		_, err := leaving.Get(b.ctx(), appID)
		ended <- err
	}()
	<-arrived
	leaving.Close()
	wantClass(t, <-ended, errcode.Transient, 0)
	if s := b.state(staying); s.Renewing || s.LastError != nil {
		t.Errorf("state %+v, want no lock and no failure", s)
	}
	_, err := leaving.Get(b.ctx(), appID)
	wantClass(t, err, errcode.Transient, 0)
	release()
	b.get(staying)
	b.wantCalls(2)
}

func TestUnknownApp(t *testing.T) {
	b := setup(t)
	m := b.process()
	_, err := m.Get(b.ctx(), "wxother")
	wantClass(t, err, errcode.Misconfigured, 0)
	_, err = m.Refresh(b.ctx(), "wxother", Manual)
	wantClass(t, err, errcode.Misconfigured, 0)
	_, err = m.State(b.ctx(), "wxother")
	wantClass(t, err, errcode.Misconfigured, 0)
	wantClass(t, m.Invalidate(b.ctx(), "wxother", Token{}), errcode.Misconfigured, 0)
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	good := App{Credential: wechat.Credential{AppID: appID, Secret: secretCanary}, API: newFake()}
	braces, mode, noAPI := good, good, good
	braces.Credential.AppID, mode.Mode, noAPI.API = "wx{1}", "forced", nil
	rdb := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer func() { _ = rdb.Close() }()
	for want, c := range map[string]Config{
		"Redis":     {Apps: []App{good}},
		"Namespace": {Redis: rdb, Namespace: "a b"},
		"AppID":     {Redis: rdb, Apps: []App{{API: newFake()}}},
		"malformed": {Redis: rdb, Apps: []App{braces}},
		"Mode":      {Redis: rdb, Apps: []App{mode}},
		"API":       {Redis: rdb, Apps: []App{noAPI}},
		"twice":     {Redis: rdb, Apps: []App{good, good}},
	} {
		_, err := New(c)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), secretCanary) {
			t.Errorf("error %v, want one that names %s", err, want)
		}
	}
}

func wantClass(t *testing.T, err error, class errcode.Class, code int) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("error %v, want an *Error", err)
	}
	if e.Class != class || e.Code != code || e.App == "" {
		t.Errorf("error %v has class %s and code %d, want %s and %d", e, e.Class, e.Code, class, code)
	}
}

func BenchmarkGetFromMemory(b *testing.B) {
	server := taskstest.StartRedis(b)
	m, err := New(Config{Redis: server.Client(b), Apps: []App{{Credential: wechat.Credential{AppID: appID}, API: newFake()}}})
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := m.Get(b.Context(), appID); err != nil {
			b.Fatal(err)
		}
	}
}
