package worker

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// While an app waits for a quota of a call that sends, WeChat is asked more often.
func TestQuotasThatAreUsedUpAreReadMoreOften(t *testing.T) {
	t.Parallel()
	const app = "wx1"
	for name, c := range map[string]struct {
		pause ledger.Pause
		lasts time.Duration
		want  time.Duration
	}{
		"an app":               {ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 45009}, time.Hour, time.Minute},
		"a kind":               {ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeKind, Name: "subscribe"}, By: ledger.PauseByProbe, Errcode: 45009}, time.Hour, time.Minute},
		"another app":          {ledger.Pause{PauseKey: ledger.PauseKey{App: "wx2", Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 45009}, time.Hour, readQuotaEvery},
		"another errcode":      {ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 40164}, time.Hour, readQuotaEvery},
		"the quota of tokens":  {ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 45009, Reason: errcode.ReasonNoToken}, time.Hour, readQuotaEvery},
		"a probe is under way": {ledger.Pause{PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 45009}, -time.Second, readQuotaEvery},
	} {
		w := &Worker{gate: newGate(nil, nil, nil, nil, nil, 0)}
		now := time.Now()
		c.pause.Since, c.pause.Until = now, now.Add(c.lasts)
		w.gate.learn(ledger.Paused{Now: now, Pauses: []ledger.Pause{c.pause}})
		if got := w.quotaEvery(app); got != c.want {
			t.Errorf("%s: every %v, want %v", name, got, c.want)
		}
	}
}
