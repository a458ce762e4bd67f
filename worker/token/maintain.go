package token

import (
	"context"
	"sync"
	"time"
)

// Maintain keeps the apps' tokens in this process's memory current and, from
// min(5 min, a quarter of its life) before the end of one, has WeChat asked for
// its successor once a minute over all processes, until a different token
// comes. It fetches no token that is missing: that is for those who need it.
// Every worker runs it; it returns nil once ctx has ended.
func (m *Manager) Maintain(ctx context.Context) error {
	var watchers sync.WaitGroup
	for _, a := range m.apps {
		w := watcher{manager: m, app: a}
		watchers.Go(func() { w.run(ctx) })
	}
	watchers.Wait()
	return nil
}

// watcher looks after one app.
type watcher struct {
	manager *Manager
	app     *app
	trouble bool // the last look failed, and that was logged
}

func (w *watcher) run(ctx context.Context) {
	for {
		pause, err := w.look(ctx)
		if ctx.Err() != nil {
			return
		}
		w.report(err)
		if !sleep(ctx, jitter(pause)) {
			return
		}
	}
}

// look reads the state once, acts on it and says when to look again: often
// enough to meet the window before the end of the shortest token.
func (w *watcher) look(ctx context.Context) (time.Duration, error) {
	m, a := w.manager, w.app
	s, err := a.store.read(ctx)
	if err != nil {
		return m.watch, unavailable(a.id, err)
	}
	a.local.adopt(s)
	if s.nearEnd() {
		next, err := m.shared(ctx, a, NearEnd)
		if err != nil {
			w.observeExpiry(s)
			return m.watch, err
		}
		s = next
	}
	w.observeExpiry(s)
	return w.pace(s), nil
}

func (w *watcher) observeExpiry(s snapshot) {
	at := s.expiresAt
	if s.usable <= 0 {
		at = time.Time{}
	}
	w.manager.observeExpiry(w.app.id, at)
}

func (w *watcher) pace(s snapshot) time.Duration {
	if s.usable <= 0 {
		return w.manager.watch
	}
	return min(w.manager.watch, max(s.window/4, 20*time.Millisecond))
}

// report logs trouble when it begins and when it is over.
func (w *watcher) report(err error) {
	log := w.manager.log.With("app", w.app.id)
	switch {
	case err != nil && !w.trouble:
		log.Warn("access token cannot be looked after", "error", err)
	case err == nil && w.trouble:
		log.Info("access token is looked after again")
	}
	w.trouble = err != nil
}
