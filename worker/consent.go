package worker

import (
	"context"
	"sync"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// consent says what an app's notifications need of their recipients.
type consent struct {
	mode  tasks.CreditMode
	types func(ctx context.Context, app, template string) tasks.TemplateType
	// missing hears of a template that the catalogue does not know.
	missing func()
}

func (w *Worker) consent(app App) *consent {
	return &consent{
		mode:    app.Consent.Mode,
		types:   w.catalogue.Type,
		missing: func() { w.missing.set(app.AppID) },
	}
}

// need is what an attempt needs.
func (c *consent) need(a *attempt) ledger.Need {
	switch {
	case a.exchanging:
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
