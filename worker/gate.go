package worker

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// gate knows what is held back, for all apps of this process, and holds it. What
// another process begins is known here within lookEvery.
type gate struct {
	pauses  *ledger.Pauses
	tasks   *tasks.Client
	metrics *metrics.Metrics
	log     *slog.Logger
	apps    []string
	// resetHour is when WeChat's daily quotas begin anew, in China.
	resetHour int

	mu      sync.Mutex
	held    map[ledger.PauseKey]ledger.Pause
	resumed map[string]time.Time
	// offset is Redis's clock less this process's monotonic one.
	offset  time.Duration
	started time.Time
	// changed is closed when the next look has been taken.
	changed chan struct{}
	// clockWrong says that this process's wall clock was off at the last look.
	clockWrong bool
	// waiting is how many notifications of an app wait for another attempt.
	waiting map[string]int64
	// sent are the kinds handled here since they were last noted.
	sent map[appKind]bool
}

type appKind struct {
	app  string
	kind tasks.Kind
}

func newGate(p *ledger.Pauses, c *tasks.Client, m *metrics.Metrics, log *slog.Logger, apps []string, resetHour int) *gate {
	return &gate{
		pauses: p, tasks: c, metrics: m, log: log, apps: apps, resetHour: resetHour, started: time.Now(),
		held: map[ledger.PauseKey]ledger.Pause{}, resumed: map[string]time.Time{}, changed: make(chan struct{}),
		waiting: map[string]int64{}, sent: map[appKind]bool{},
	}
}

const (
	// lookEvery is how often what is held back is read.
	lookEvery = 500 * time.Millisecond
	// noteEvery is how often the kinds that are sent are noted, and what waits is counted.
	noteEvery = 5 * time.Second
)

// watch reads what is held back and keeps the queues in line, until ctx ends. Every
// worker does it, so that no pause is forgotten.
func (g *gate) watch(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { every(ctx, lookEvery, g.look) })
	wg.Go(func() { every(ctx, noteEvery, g.note) })
	wg.Wait()
}

// look reads once. While Redis is away, what was known stands.
func (g *gate) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	list, err := g.pauses.List(ctx)
	if err != nil {
		return // redis_up says so
	}
	g.learn(list)
	g.tellClock()
	g.show(list)
	ended, err := g.pauses.Keep(ctx, list)
	if err != nil {
		g.log.Warn("a pause cannot be kept or ended yet, trying again", "error", err)
	}
	for _, k := range ended {
		why := "its time is over"
		switch {
		case k.InDashboard:
			why = "resumed in the dashboard"
		case k.By == ledger.PauseByProbe:
			why = "nothing waits for it"
		}
		g.log.Info("resumed", append(pauseFields(k.Pause), "why", why)...)
		g.forget(k.Pause)
	}
}

// learn takes over what was read.
func (g *gate) learn(list ledger.Paused) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.offset = time.Duration(list.Now.UnixNano()) - time.Since(g.started)
	clear(g.held)
	for _, p := range list.Pauses {
		g.held[p.PauseKey] = p
	}
	g.resumed = list.Resumed
	close(g.changed)
	g.changed = make(chan struct{})
}

// show sets the gauges.
func (g *gate) show(list ledger.Paused) {
	counts := map[string]map[ledger.Scope]int{}
	for _, p := range list.Pauses {
		if counts[p.App] == nil {
			counts[p.App] = map[ledger.Scope]int{}
		}
		counts[p.App][p.Scope]++
	}
	for _, app := range g.apps {
		for _, scope := range ledger.Scopes() {
			g.metrics.Paused(app, string(scope), counts[app][scope])
		}
	}
}

// note notes the kinds that this process sends, counts what waits where an app has
// something held back, and lets queues go on that are paused for nothing.
func (g *gate) note(ctx context.Context) {
	g.mu.Lock()
	sent, counted := g.sent, map[string]bool{}
	g.sent = map[appKind]bool{}
	for key := range g.held {
		counted[key.App] = true
	}
	g.mu.Unlock()
	for k := range sent {
		if g.pauses.Sends(ctx, k.app, k.kind) != nil {
			g.saw(k.app, k.kind)
		}
	}
	for app := range counted {
		if n, err := g.tasks.Retrying(ctx, app); err == nil {
			g.mu.Lock()
			g.waiting[app] = n
			g.mu.Unlock()
		}
	}
	for _, app := range g.apps {
		if found, err := g.pauses.Release(ctx, app); found && err == nil {
			g.log.Warn("queues were paused for nothing, they go on", "app", app)
		}
	}
}

func (g *gate) saw(app string, kind tasks.Kind) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent[appKind{app, kind}] = true
}

// now is Redis's clock.
func (g *gate) now() time.Time {
	return time.Unix(0, int64(g.offset+time.Since(g.started)))
}

// ahead is how far this process's wall clock is ahead of Redis's; below zero if it is
// behind. What a look takes to be answered does not count.
func (g *gate) ahead() time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.offset == 0 {
		return 0 // not looked yet
	}
	d := time.Since(g.now()) // by the wall clocks: that time has no monotonic one
	if d.Abs() < clockTolerance {
		return 0
	}
	return d
}

// clockTolerance is what two clocks may differ by, and a look may take.
const clockTolerance = 5 * time.Second

// tellClock warns once when this process's clock goes wrong, and says when it is right.
func (g *gate) tellClock() {
	d := g.ahead()
	wrong := d != 0
	g.mu.Lock()
	changed := wrong != g.clockWrong
	g.clockWrong = wrong
	g.mu.Unlock()
	switch {
	case changed && wrong:
		g.log.Warn("this machine's clock differs from redis's: set it; schedules, metrics and asynq's own retries go by it", "ahead", d.Round(time.Second))
	case changed:
		g.log.Info("this machine's clock is that of redis again")
	}
}

// covering finds what holds a notification back: in force, or else waiting for a probe.
func (g *gate) covering(e *tasks.Envelope) (p ledger.Pause, inForce, found bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.sent[appKind{e.App, e.Kind}] = true
	if len(g.held) == 0 {
		return ledger.Pause{}, false, false
	}
	for _, key := range []ledger.PauseKey{
		{App: e.App, Scope: ledger.ScopeApp},
		{App: e.App, Scope: ledger.ScopeKind, Name: string(e.Kind)},
		{App: e.App, Scope: ledger.ScopeTemplate, Name: e.PauseName()},
	} {
		held, there := g.held[key]
		switch {
		case !there:
		case held.InForce(g.now()):
			return held, true, true
		case !found:
			p, found = held, true
		}
	}
	return p, false, found
}

// without lists the apps that are paused for a reason.
func (g *gate) without(r errcode.Reason) []ledger.Pause {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []ledger.Pause
	for _, p := range g.held {
		if p.Scope == ledger.ScopeApp && p.Reason == r && p.By == ledger.PauseByProbe && !p.Since.IsZero() {
			list = append(list, p)
		}
	}
	return list
}

// lacksQuota reports whether a pause of an app is in force because a quota of the day is used up.
func (g *gate) lacksQuota(app string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.held {
		if p.App == app && waitsForQuota(p, g.now()) {
			return true
		}
	}
	return false
}

// resumedAt is when the last pause of an app ended; zero if there was none.
func (g *gate) resumedAt(app string) time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.resumed[app]
}

// next returns a channel that is closed when something may have changed.
func (g *gate) next() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// probeLease is how long a send may take to find out whether a pause is over.
const probeLease = tasks.TaskTimeout

// pass waits until a notification may be sent. It returns the pause whose probe it is,
// if it is one, and a *later if it has to come back.
func (g *gate) pass(ctx context.Context, e *tasks.Envelope) (*ledger.Pause, error) {
	for {
		next := g.next()
		p, inForce, found := g.covering(e)
		switch {
		case !found:
			return nil, nil
		case inForce:
			return nil, heldBack(g, p)
		}
		mine, err := g.claim(ctx, p)
		switch {
		case err != nil:
			return nil, redisAway(err)
		case mine:
			return &p, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return nil, &later{after: jitter(2*time.Second, 0.5), why: "waits for a probe: " + pauseText(p)}
		}
	}
}

// claim makes a send the probe of a pause, if it has none. One that only this process's
// own answer tells of is not known well enough to be ended as it stands.
func (g *gate) claim(ctx context.Context, p ledger.Pause) (bool, error) {
	if p.Since.IsZero() {
		return false, nil
	}
	return g.pauses.Claim(ctx, p.PauseKey, probeLease)
}

func heldBack(g *gate, p ledger.Pause) *later {
	return &later{after: g.backIn(p), why: "held: " + pauseText(p)}
}

const (
	heldLeast = 5 * time.Second
	heldMost  = time.Minute
	// heldRate is how many held notifications of an app come back in a second.
	heldRate = 2000
)

// backIn is when a held notification asks again. Those of a paused app come back to a
// queue that is not read; the others ask the less often the more of them there are.
func (g *gate) backIn(p ledger.Pause) time.Duration {
	if p.Scope == ledger.ScopeApp {
		return jitter(3*time.Second, 0.3)
	}
	g.mu.Lock()
	waiting := g.waiting[p.App]
	g.mu.Unlock()
	return jitter(min(max(time.Duration(waiting)*time.Second/heldRate, heldLeast), heldMost), 0.3)
}

// hold begins a pause, as the outcome table says, and says so once. It returns what it
// holds back.
func (g *gate) hold(ctx context.Context, e *tasks.Envelope, result answer, r *pauseRule) ledger.PauseKey {
	p := ledger.Pause{
		PauseKey: ledger.PauseKey{App: e.App, Scope: r.scope}, By: r.by, Reason: result.reason, Errcode: result.errcode,
	}
	if r.scope == ledger.ScopeKind && r.wide {
		if only, err := g.pauses.OnlyKind(ctx, e.App, e.Kind); err == nil && only {
			p.Scope = ledger.ScopeApp
		}
	}
	switch p.Scope {
	case ledger.ScopeKind:
		p.Name = string(e.Kind)
	case ledger.ScopeTemplate:
		p.Name = e.PauseName()
	}
	changed, until, err := g.pauses.Begin(ctx, p, r.lengths(g.resetHour))
	if err != nil { // the next answer like this one does it
		g.log.Warn("not paused yet, trying again with the next answer", append(pauseFields(p), "error", err)...)
	}
	if !changed {
		return p.PauseKey
	}
	p.Until = until
	g.mu.Lock()
	p.Since = time.Time{} // the next look knows
	g.held[p.PauseKey] = p
	g.mu.Unlock()
	g.log.Log(ctx, pauseLevel(result), "paused", append(pauseFields(p), "until", until.UTC().Format(time.RFC3339),
		"errcode", p.Errcode, "reason", p.Reason, "meaning", pauseText(p), "remedy", remedyOf(p))...)
	return p.PauseKey
}

// pauseLevel: what mends itself within a minute is no warning.
func pauseLevel(a answer) slog.Level {
	if a.class == errcode.Throttled || a.class == errcode.Transient {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// over ends a pause that its probe found over.
func (g *gate) over(ctx context.Context, p ledger.Pause) {
	ended, err := g.pauses.End(ctx, p)
	if err != nil {
		g.log.Warn("not resumed yet, another probe follows", append(pauseFields(p), "error", err)...)
		return
	}
	g.forget(p)
	if ended {
		g.log.Info("resumed", append(pauseFields(p), "why", "what it waited for came")...)
	}
}

// undecided lets another send find out.
func (g *gate) undecided(p ledger.Pause) {
	ctx, cancel := context.WithTimeout(context.Background(), settleTimeout)
	defer cancel()
	// If this fails, the claim runs out.
	_ = g.pauses.Unclaim(ctx, p.PauseKey)
}

func (g *gate) forget(p ledger.Pause) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if held, ok := g.held[p.PauseKey]; ok && !held.Since.After(p.Since) {
		delete(g.held, p.PauseKey)
	}
	g.resumed[p.App] = g.now()
}

func pauseFields(p ledger.Pause) []any {
	fields := []any{"app", p.App, "scope", p.Scope}
	if p.Name != "" {
		fields = append(fields, "name", p.Name)
	}
	return fields
}

// pauseText says why, for logs and the dashboard.
func pauseText(p ledger.Pause) string {
	if p.Errcode != 0 {
		return fmt.Sprintf("errcode %d: %s", p.Errcode, errcode.LookupFor(p.Reason.API(), p.Errcode).Meaning)
	}
	e, _ := errcode.LookupReason(p.Reason)
	return e.Meaning
}

func remedyOf(p ledger.Pause) string {
	if p.Errcode != 0 {
		return errcode.LookupFor(p.Reason.API(), p.Errcode).Remedy
	}
	e, _ := errcode.LookupReason(p.Reason)
	return e.Remedy
}
