package token

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat"
)

// shared renews for all callers of this process at once. Each waits as long as
// its own ctx lasts; the renewal itself goes on without them.
func (m *Manager) shared(ctx context.Context, a *app, cause Cause) (snapshot, error) {
	answer := m.flights.DoChan(a.id+"/"+string(cause), func() (any, error) {
		if !m.enter() {
			return snapshot{}, interrupted(a.id, context.Canceled)
		}
		defer m.running.Done()
		ctx, cancel := context.WithTimeout(m.life, m.limits.flight())
		defer cancel()
		return m.renew(ctx, a, cause)
	})
	select {
	case <-ctx.Done():
		return snapshot{}, interrupted(a.id, ctx.Err())
	case r := <-answer:
		return r.Val.(snapshot), r.Err
	}
}

// enter counts a renewal as running, unless the Manager is closed.
func (m *Manager) enter() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.Err() != nil {
		return false
	}
	m.running.Add(1)
	return true
}

// renew takes the token that somebody else brought, or its turn to ask WeChat.
func (m *Manager) renew(ctx context.Context, a *app, cause Cause) (snapshot, error) {
	owner := rand.Text()
	var since time.Time
	for {
		s, err := a.store.begin(ctx, owner, cause, since, m.limits)
		if err != nil {
			return snapshot{}, unavailable(a.id, err)
		}
		if since.IsZero() {
			since = s.now
		}
		switch s.verdict {
		case "fresh":
			a.local.adopt(s)
			return s, nil
		case "held":
			return snapshot{}, heldOff(a.id, s.failure, s.wait)
		case "spent":
			m.observe(a.id, string(cause), string(Spent))
			return snapshot{}, budgetSpent(a.id, m.limits.maxPerMinute, s.wait)
		case "busy":
			if !sleep(ctx, min(s.wait, jitter(60*time.Millisecond))) {
				return snapshot{}, interrupted(a.id, ctx.Err())
			}
		case "go":
			s, err := m.ask(ctx, a, cause, renewal{owner: owner, turn: s.turn, asked: s.now})
			if err != nil || s.usable > 0 || cause != Demand {
				return s, err
			}
			owner = rand.Text() // what was stored meanwhile is no good either
		default:
			return snapshot{}, unavailable(a.id, errReply)
		}
	}
}

// ask calls WeChat, as the one process that may, and stores what it answers.
func (m *Manager) ask(ctx context.Context, a *app, cause Cause, r renewal) (snapshot, error) {
	got, err := m.call(ctx, a)
	if err != nil {
		return m.failed(ctx, a, cause, r, err)
	}
	s, err := m.keep(ctx, a, r, got)
	if err != nil {
		m.observe(a.id, string(cause), string(Unstored))
		return snapshot{}, unavailable(a.id, err)
	}
	a.local.adopt(s)
	m.observe(a.id, string(cause), s.verdict)
	if s.verdict == string(Renewed) {
		m.log.Info("access token renewed", "app", a.id, "mode", string(a.mode), "cause", string(cause),
			"expires_in", s.expiresAt.Sub(s.now).Round(time.Second))
	}
	return s, nil
}

// call gives the client a moment more than its own timeout, so that its own
// error, which says more, comes first.
func (m *Manager) call(ctx context.Context, a *app) (wechat.AccessToken, error) {
	ctx, cancel := context.WithTimeout(ctx, m.limits.httpTimeout+time.Second)
	defer cancel()
	got, err := a.fetch(ctx)
	if err == nil && (got.Value == "" || got.ExpiresIn <= 0) {
		err = errUnusable
	}
	return got, err
}

// keep stores an answer. It outlasts a restart of Redis: an answer that is lost
// costs a question, and in classic mode has ended the token that is stored.
func (m *Manager) keep(ctx context.Context, a *app, r renewal, got wechat.AccessToken) (snapshot, error) {
	for {
		s, err := a.store.store(ctx, r, got)
		if err == nil || !sleep(ctx, jitter(500*time.Millisecond)) {
			return s, err
		}
	}
}

// failed records that WeChat gave no token. What our own end cut short says
// nothing about WeChat and only gives the lock back.
func (m *Manager) failed(ctx context.Context, a *app, cause Cause, r renewal, err error) (snapshot, error) {
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	if ctx.Err() != nil {
		_ = a.store.release(after, r) // else the lock ends by itself
		return snapshot{}, interrupted(a.id, ctx.Err())
	}
	m.observe(a.id, string(cause), string(Failed))
	e := fetchError(a.id, err)
	s, stored := a.store.fail(after, r, e)
	if stored == nil && cause == Demand && s.usable > 0 { // somebody else was luckier meanwhile
		a.local.adopt(s)
		return s, nil
	}
	return snapshot{}, e
}

// sleep waits and reports false if ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// jitter spreads d over half of it to either side.
func jitter(d time.Duration) time.Duration { return d/2 + mathrand.N(d) }
