package worker

import (
	"context"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

var (
	wholeApp    = ledger.PauseKey{App: "wx1", Scope: ledger.ScopeApp}
	oneKind     = ledger.PauseKey{App: "wx1", Scope: ledger.ScopeKind, Name: "subscribe"}
	oneTemplate = ledger.PauseKey{App: "wx1", Scope: ledger.ScopeTemplate, Name: "tmpl"}
)

// learnt is a gate that has read these pauses just now.
func learnt(pauses ...ledger.Pause) *gate {
	g := newGate(nil, nil, nil, nil, nil, 0)
	g.learn(ledger.Paused{Now: time.Now(), Pauses: pauses})
	return g
}

// A message whose template is held is no probe of its app.
func TestWhatIsInForceComesFirst(t *testing.T) {
	t.Parallel()
	now := time.Now()
	over := ledger.Pause{PauseKey: wholeApp, By: ledger.PauseByProbe, Since: now.Add(-time.Hour), Until: now.Add(-time.Minute)}
	inForce := ledger.Pause{PauseKey: oneTemplate, By: ledger.PauseByHand, Since: now, Until: now.Add(time.Hour)}
	g := learnt(over, inForce)
	e := tasks.Envelope{Notification: tasks.Notification{App: "wx1", Kind: tasks.KindSubscribe, TemplateID: "tmpl"}}
	if p, held, found := g.covering(&e); !found || !held || p.PauseKey != oneTemplate {
		t.Errorf("%+v %v %v, want what is in force", p, held, found)
	}
	e.TemplateID = "other"
	if p, held, found := g.covering(&e); !found || held || p.PauseKey != wholeApp {
		t.Errorf("%+v %v %v, want what waits for a probe", p, held, found)
	}
	e.App = "wx2"
	if _, _, found := g.covering(&e); found {
		t.Error("another app is held")
	}
}

// Of a pause that this process has just begun it knows neither when nor beside what: it
// ends no pause as it stands for that.
func TestWhatIsNotReadYetIsNotEnded(t *testing.T) {
	t.Parallel()
	g := learnt(ledger.Pause{PauseKey: wholeApp, By: ledger.PauseByProbe, Reason: errcode.ReasonNoToken, Until: time.Now()})
	if list := g.without(errcode.ReasonNoToken); len(list) != 0 {
		t.Errorf("%+v", list)
	}
	e := tasks.Envelope{Notification: tasks.Notification{App: "wx1", Kind: tasks.KindSubscribe}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if p, err := g.pass(ctx, &e); p != nil || err == nil { // it would ask Redis, of which there is none here
		t.Errorf("%+v %v, want it to wait", p, err)
	}
}

func TestWider(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		held, asked ledger.PauseKey
		want        bool
	}{
		{ledger.PauseKey{}, oneKind, false},
		{oneKind, oneKind, false},
		{wholeApp, oneKind, true},
		{wholeApp, oneTemplate, true},
		{oneKind, oneTemplate, true},
		{oneKind, wholeApp, false}, // WeChat took the token, and refuses one kind
		{oneTemplate, oneKind, false},
	} {
		if got := wider(c.held, c.asked); got != c.want {
			t.Errorf("held %s, asked %s: %v", c.held.Scope, c.asked.Scope, got)
		}
	}
}
