package worker

import (
	"context"
	"sync"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// consent says what an app's notifications need of their recipients.
type consent struct {
	mode  tasks.CreditMode
	types func(ctx context.Context, app, template string) tasks.TemplateType
	// missing hears of a template that the catalogue does not know.
	missing func()
	// grace is how long the ledger waits for a consent anyway.
	grace time.Duration
	// pushes is nil where consents do not come by WeChat's pushes.
	pushes *backlog
}

func (w *Worker) consent(app App) *consent {
	c := &consent{
		mode:    app.Consent.Mode,
		types:   w.catalogue.Type,
		missing: func() { w.missing.set(app.AppID) },
		grace:   w.cfg.Ledger.Grace(),
	}
	if app.Consent.Source == tasks.ConsentEvent {
		c.pushes = &backlog{
			lag:    func(ctx context.Context) (time.Duration, error) { return w.tasks.EventsLag(ctx, app.AppID) },
			active: func(ctx context.Context) ([]string, error) { return w.tasks.EventsActive(ctx, app.AppID) },
		}
	}
	return c
}

// need is what an attempt needs.
func (c *consent) need(a *attempt) ledger.Need {
	switch {
	case a.exchanging, a.Kind == tasks.KindDevice, a.Kind == tasks.KindCard: // no consent that can be counted
		return ledger.NeedNothing
	case a.Kind == tasks.KindTemplate:
		return ledger.NeedFormID
	case c.mode == tasks.CreditsOff:
		return ledger.NeedNothing
	case c.mode == tasks.CreditsEnforce:
		return ledger.NeedSubscription
	default:
		return ledger.NeedObserved
	}
}

// undecided puts off that a consent is missing, until it is known that no push waits
// that may hold it.
const undecided = time.Hour

// graceFrom is when the time begins in which a consent may still come. Whether pushes
// wait takes a call to find out, so nobody asks before a consent turns out to be missing.
func (c *consent) graceFrom(a *attempt) time.Time {
	if c.byPush(a) && !a.caughtUp {
		return time.Now().Add(undecided)
	}
	return firstSend(a.Envelope)
}

// catchUp reports whether an attempt that lacks a consent should ask once more, now
// that no push waits.
func (c *consent) catchUp(ctx context.Context, a *attempt) bool {
	if !c.byPush(a) || a.caughtUp || time.Since(firstSend(a.Envelope)) < c.grace || c.pushes.late(ctx) {
		return false
	}
	a.caughtUp = true
	return true
}

// byPush reports whether an attempt needs what only a push can bring.
func (c *consent) byPush(a *attempt) bool {
	return c.pushes != nil && c.need(a) == ledger.NeedSubscription
}

// templateType looks the template up where it matters.
func (c *consent) templateType(ctx context.Context, a *attempt) tasks.TemplateType {
	if a.exchanging || a.Kind != tasks.KindSubscribe || c.mode == tasks.CreditsOff {
		return tasks.TypeUnknown
	}
	t := c.types(ctx, a.App, a.TemplateID)
	if t == tasks.TypeUnknown {
		c.missing()
	}
	return t
}

// marks is a set of names that somebody takes away now and then.
type marks struct {
	mu    sync.Mutex
	names map[string]bool
}

func newMarks() *marks { return &marks{names: map[string]bool{}} }

func (m *marks) set(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.names[name] = true
}

// take reports whether name was set, and unsets it.
func (m *marks) take(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	was := m.names[name]
	delete(m.names, name)
	return was
}
