package token

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Manager hands out tokens. It is safe for concurrent use.
type Manager struct {
	apps   map[string]*app
	log    *slog.Logger
	limits limits
	watch  time.Duration

	observe       func(app, cause, result string)
	observeExpiry func(app string, at time.Time)

	// Renewals outlive the callers that asked for them, and end with the Manager.
	life    context.Context
	end     context.CancelFunc
	flights singleflight.Group
	running sync.WaitGroup
	mu      sync.Mutex // orders running.Add before Close's Wait
}

// app is what a Manager keeps for one app.
type app struct {
	id    string
	mode  Mode
	store store
	fetch func(context.Context) (wechat.AccessToken, error)
	local local
}

// New makes no connection. Its error names the field that is wrong.
func New(c Config) (*Manager, error) {
	c = c.withDefaults()
	if c.Redis == nil {
		return nil, errors.New("token: Redis: is missing")
	}
	if err := c.Namespace.Check(); err != nil {
		return nil, fmt.Errorf("token: Namespace: %w", err)
	}
	m := &Manager{
		apps: make(map[string]*app, len(c.Apps)), log: c.Logger, watch: c.WatchEvery,
		observe: c.Observe, observeExpiry: c.ObserveExpiry,
		limits: limits{httpTimeout: c.HTTPTimeout, maxPerMinute: c.MaxPerMinute, askEvery: time.Minute},
	}
	for _, a := range c.Apps {
		if err := m.add(c, a); err != nil {
			return nil, err
		}
	}
	m.life, m.end = context.WithCancel(context.Background())
	return m, nil
}

func (m *Manager) add(c Config, a App) error {
	id := a.Credential.AppID
	switch {
	case id == "" || strings.ContainsAny(id, "{}"): // braces would move the hash tag
		return errors.New("token: Apps: an AppID is missing or malformed")
	case m.apps[id] != nil:
		return fmt.Errorf("token: Apps: %s is listed twice", id)
	case a.API == nil:
		return fmt.Errorf("token: Apps: %s: API is missing", id)
	}
	fetch, err := a.fetch()
	if err != nil {
		return err
	}
	mode := a.Mode
	if mode == "" {
		mode = Stable
	}
	m.apps[id] = &app{id: id, mode: mode, fetch: fetch, store: newStore(c.Redis, c.Namespace, id)}
	return nil
}

// Close ends the renewals under way and waits for them. Get goes on answering
// from memory; nothing is fetched any more.
func (m *Manager) Close() {
	m.mu.Lock()
	m.end()
	m.mu.Unlock()
	m.running.Wait()
}

// Get returns a token that may be used now, from this process's memory if it
// can: then it calls nobody. Else it takes the one in Redis or has one fetched,
// once for all processes, and waits for it until ctx ends. The error is an *Error.
func (m *Manager) Get(ctx context.Context, appID string) (Token, error) {
	a, err := m.app(appID)
	if err != nil {
		return Token{}, err
	}
	if t, ok := a.local.get(time.Now()); ok {
		return t, nil
	}
	s, err := m.shared(ctx, a, Demand)
	if err != nil {
		return Token{}, err
	}
	if !a.local.wasRefused(s.token) {
		return s.token, nil
	}
	// It was refused while this answer was on its way, or Redis was away when it
	// should have been told.
	if err := m.Invalidate(ctx, appID, s.token); err != nil {
		return Token{}, err
	}
	s, err = m.shared(ctx, a, Demand)
	return s.token, err
}

// Invalidate reports that WeChat refused t (40001, 40014 or 42001). Only if t is
// still the stored token, and WeChat has not confirmed it since t was handed
// out, is it given up for all processes; else nothing changes. The next Get
// brings a token that may be used. The error is an *Error: Redis did not answer.
func (m *Manager) Invalidate(ctx context.Context, appID string, t Token) error {
	a, err := m.app(appID)
	if err != nil {
		return err
	}
	if t.Value() == "" {
		return nil
	}
	err = a.store.invalidate(ctx, t)
	a.local.drop(t) // here it is useless even if Redis did not hear of it
	if err != nil {
		return unavailable(appID, err)
	}
	return nil
}

// Refresh renews the token if cause still calls for it once it is this
// process's turn, and returns what then holds. Of several at once one asks
// WeChat. The old token stays in use until the new one is stored. The error is
// an *Error.
func (m *Manager) Refresh(ctx context.Context, appID string, cause Cause) (State, error) {
	a, err := m.app(appID)
	if err != nil {
		return State{}, err
	}
	s, err := m.shared(ctx, a, cause)
	if err != nil {
		return State{}, err
	}
	return a.state(s), nil
}

func (m *Manager) app(id string) (*app, error) {
	if a := m.apps[id]; a != nil {
		return a, nil
	}
	return nil, &Error{App: id, Class: errcode.Misconfigured, What: "is not among the configured apps"}
}
