package token

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

const (
	appID        = "wx0123456789abcdef"
	secretCanary = "canarysecret"
	tokenCanary  = "canarytoken"
)

var (
	_ API = (*wechat.Client)(nil)
	_ API = (*fakeWeChat)(nil)
)

// fakeWeChat answers tokens as WeChat does: classic mode makes a new one each
// time, stable mode the same one until the last quarter of its life.
type fakeWeChat struct {
	mu     sync.Mutex
	life   time.Duration
	err    error
	issued int
	value  string
	end    time.Time // of the current token
	ends   map[string]time.Time
	calls  int
	forced int

	arrived chan struct{} // told of every call that waits at the gate
	gate    chan struct{} // a call waits here for its answer, if not nil
}

func newFake() *fakeWeChat { return &fakeWeChat{life: 2 * time.Hour, ends: map[string]time.Time{}} }

func (f *fakeWeChat) Token(ctx context.Context, _ wechat.Credential) (wechat.AccessToken, error) {
	return f.answer(ctx, true)
}

func (f *fakeWeChat) StableToken(ctx context.Context, _ wechat.Credential, force bool) (wechat.AccessToken, error) {
	if force {
		f.mu.Lock()
		f.forced++
		f.mu.Unlock()
	}
	return f.answer(ctx, false)
}

// answer decides first and then waits, like an answer that is late on its way.
func (f *fakeWeChat) answer(ctx context.Context, fresh bool) (wechat.AccessToken, error) {
	got, gate, err := f.decide(fresh)
	if gate == nil {
		return got, err
	}
	f.arrived <- struct{}{}
	select {
	case <-gate:
		return got, err
	case <-ctx.Done():
		return wechat.AccessToken{}, &wechat.Error{Class: errcode.Unknown, Message: "canceled", Err: ctx.Err()}
	}
}

func (f *fakeWeChat) decide(fresh bool) (wechat.AccessToken, chan struct{}, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if f.err != nil {
		return wechat.AccessToken{}, f.gate, f.err
	}
	now := time.Now()
	if fresh || f.value == "" || f.end.Sub(now) <= f.life/4 {
		f.issue(now)
	}
	return wechat.AccessToken{Value: f.value, ExpiresIn: f.end.Sub(now).Truncate(time.Millisecond)}, f.gate, nil
}

func (f *fakeWeChat) issue(now time.Time) {
	f.issued++
	f.value = fmt.Sprintf("%s-%d", tokenCanary, f.issued)
	f.end = now.Add(f.life)
	f.ends[f.value] = f.end
}

// rotate makes the next stable answer a different token.
func (f *fakeWeChat) rotate() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.value = ""
}

func (f *fakeWeChat) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

// hold makes calls wait; the returned func lets them go on.
func (f *fakeWeChat) hold() (arrived <-chan struct{}, release func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	gate := make(chan struct{})
	f.arrived, f.gate = make(chan struct{}, 16), gate
	return f.arrived, func() {
		f.mu.Lock()
		f.gate = nil
		f.mu.Unlock()
		close(gate)
	}
}

func (f *fakeWeChat) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.calls
}

// worked reports whether a token had not ended yet at a time.
func (f *fakeWeChat) worked(value string, at time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return at.Before(f.ends[value])
}

func wrongSecret() error {
	return &wechat.Error{
		API: errcode.APIStableToken, Code: 40125, Message: "invalid appsecret",
		Class: errcode.Misconfigured, Written: true,
	}
}

// bundle is one Redis, one WeChat and as many processes as a test needs.
type bundle struct {
	t      *testing.T
	server *taskstest.Server
	rdb    redis.UniversalClient
	fake   *fakeWeChat
	keys   store

	mu      sync.Mutex
	results map[string]int
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	server := taskstest.StartRedis(t)
	rdb := server.Client(t)
	b := &bundle{
		t: t, server: server, rdb: rdb, fake: newFake(),
		keys: newStore(rdb, "", appID), results: map[string]int{},
	}
	t.Cleanup(func() {
		if b.fake.forced != 0 {
			t.Errorf("force_refresh was used %d times", b.fake.forced)
		}
	})
	return b
}

// process is a Manager with connections of its own.
func (b *bundle) process(change ...func(*Config)) *Manager {
	b.t.Helper()
	rdb, err := tasks.ConnectRedis(b.server.URL, tasks.RedisOptions{Timeout: time.Second})
	if err != nil {
		b.t.Fatal(err)
	}
	c := Config{
		Redis: rdb,
		Apps:  []App{{Credential: wechat.Credential{AppID: appID, Secret: secretCanary}, API: b.fake}},
		Observe: func(_, cause, result string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.results[cause+" "+result]++
		},
	}
	for _, f := range change {
		f(&c)
	}
	m, err := New(c)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() {
		m.Close()
		_ = rdb.Close()
	})
	return m
}

func (b *bundle) processes(n int, change ...func(*Config)) []*Manager {
	ms := make([]*Manager, n)
	for i := range ms {
		ms[i] = b.process(change...)
	}
	return ms
}

func classic(c *Config) { c.Apps[0].Mode = Classic }

func (b *bundle) ctx() context.Context {
	ctx, cancel := context.WithTimeout(b.t.Context(), 60*time.Second)
	b.t.Cleanup(cancel)
	return ctx
}

func (b *bundle) get(m *Manager) Token {
	b.t.Helper()
	tok, err := m.Get(b.ctx(), appID)
	if err != nil {
		b.t.Fatal(err)
	}
	return tok
}

func (b *bundle) state(m *Manager) State {
	b.t.Helper()
	s, err := m.State(b.ctx(), appID)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bundle) refresh(m *Manager, cause Cause) State {
	b.t.Helper()
	s, err := m.Refresh(b.ctx(), appID, cause)
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

func (b *bundle) invalidate(m *Manager, tok Token) {
	b.t.Helper()
	if err := m.Invalidate(b.ctx(), appID, tok); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) wantCalls(want int) {
	b.t.Helper()
	if got := b.fake.count(); got != want {
		b.t.Errorf("WeChat was called %d times, want %d", got, want)
	}
}

func (b *bundle) result(name string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.results[name]
}

// shift moves moments of a record by d, as if time had passed.
func (b *bundle) shift(key string, d time.Duration, fields ...string) {
	b.t.Helper()
	for _, field := range fields {
		if err := b.rdb.HIncrBy(b.ctx(), key, field, d.Milliseconds()).Err(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// age makes the stored token older by d.
func (b *bundle) age(d time.Duration) {
	b.t.Helper()
	b.shift(b.keys.token, -d, "fetched", "checked", "expires")
}

// together calls f once for each process at the same moment, n times each.
func together(ms []*Manager, n int, f func(*Manager)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for _, m := range ms {
		for range n {
			wg.Go(func() {
				<-start
				f(m)
			})
		}
	}
	close(start)
	wg.Wait()
}
