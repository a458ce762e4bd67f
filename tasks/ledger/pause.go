package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Scope is what a pause holds back.
type Scope string

// The scopes.
const (
	// ScopeApp: everything the app sends. Its queues are paused, so what waits costs nothing.
	ScopeApp Scope = "app"
	// ScopeKind: one kind of message of the app.
	ScopeKind Scope = "kind"
	// ScopeTemplate: the messages of one template of the app.
	ScopeTemplate Scope = "template"
)

// Scopes lists every scope.
func Scopes() []Scope { return []Scope{ScopeApp, ScopeKind, ScopeTemplate} }

// PauseBy says what ends a pause.
type PauseBy string

const (
	// PauseByHand: a person set it; it ends at its time.
	PauseByHand PauseBy = "hand"
	// PauseByProbe: WeChat's answer set it; after its time one send finds out whether
	// it is over.
	PauseByProbe PauseBy = "probe"
	// PauseByTime: WeChat's answer set it; it ends at its time.
	PauseByTime PauseBy = "time"
)

// MaxPause is how long a pause by hand may be: what is enqueued meanwhile is kept for longer.
const MaxPause = 30 * 24 * time.Hour

// PauseKey names a pause: one of each exists at a time.
type PauseKey struct {
	App   string
	Scope Scope
	// Name is the kind or the template's id; empty for ScopeApp.
	Name string
}

// Pause holds an app, a kind or a template back. Times are Redis's.
type Pause struct {
	PauseKey
	By      PauseBy
	Reason  errcode.Reason
	Errcode int
	// Began is when it began, Since when it was last begun or prolonged, Until when it ends.
	Began, Since, Until time.Time
	// Tries counts how often it was prolonged because a probe found that it is not over.
	Tries int
	// ByHand are the lanes that somebody had paused before in the dashboard; they stay so.
	ByHand []tasks.Priority
}

// InForce reports whether a pause lasts at now, on Redis's clock. One that does not
// and is PauseByProbe waits for its probe.
func (p Pause) InForce(now time.Time) bool { return now.Before(p.Until) }

// Lengths says how long a pause lasts.
type Lengths struct {
	// First is how long a new one lasts; Again each further time a probe finds it not
	// over, doubling up to Most.
	First, Again, Most time.Duration
}

// Paused is all that is held back, as read at one time.
type Paused struct {
	// Now is Redis's clock.
	Now    time.Time
	Pauses []Pause
	// Resumed is when the last pause of each app ended.
	Resumed map[string]time.Time
}

// Pauses reads and writes what is held back, for all apps of a namespace. It is safe
// for concurrent use and does not own its connection.
type Pauses struct {
	rdb    redis.UniversalClient
	key    string
	kinds  string
	queues *tasks.Client
}

// NewPauses returns the pauses of a namespace.
func NewPauses(rdb redis.UniversalClient, ns tasks.Namespace) *Pauses {
	return &Pauses{rdb: rdb, key: ns.Key("pauses"), kinds: ns.Key("kinds"), queues: tasks.NewClient(rdb, ns)}
}

var (
	pauseScript  = pausesScript("pause")
	probeScript  = pausesScript("probe")
	resumeScript = pausesScript("resume")
	healScript   = pausesScript("heal")
	listScript   = pausesScript("list")
	dueScript    = pausesScript("due")
)

func pausesScript(name string) *redis.Script {
	return tasks.Script(luaFiles, "lua/record.lua", "lua/pauses.lua", "lua/"+name+".lua")
}

// resumedField holds when the last pause of an app ended.
const resumedField = "resumed"

func field(app string, scope, name string) string { return app + ";" + scope + ";" + name }

func (k PauseKey) field() string { return field(k.App, string(k.Scope), k.Name) }

// List reads what is held back.
func (p *Pauses) List(ctx context.Context) (Paused, error) {
	values, err := listScript.Run(ctx, p.rdb, []string{p.key}).Slice()
	if err != nil {
		return Paused{}, fmt.Errorf("ledger: read pauses: %w", err)
	}
	if len(values) != 2 {
		return Paused{}, errors.New("ledger: read pauses: redis's answer cannot be read")
	}
	list := Paused{Now: time.UnixMilli(reply(values).number(0)), Resumed: map[string]time.Time{}}
	all, _ := values[1].([]any)
	for entry := range slices.Chunk(all, 2) {
		name, text := reply(entry).text(0), reply(entry).text(1)
		app, rest, _ := strings.Cut(name, ";")
		scope, name, _ := strings.Cut(rest, ";")
		if scope == resumedField {
			ms, _ := strconv.ParseInt(text, 10, 64) // written by us
			list.Resumed[app] = time.UnixMilli(ms)
			continue
		}
		pause, ok := parsePause(PauseKey{app, Scope(scope), name}, text)
		if !ok {
			continue // a later version's
		}
		if pause.Since.After(list.Now.Add(clockStep)) {
			pause = p.heal(ctx, pause, list.Now)
		}
		list.Pauses = append(list.Pauses, pause)
	}
	slices.SortFunc(list.Pauses, func(a, b Pause) int { return strings.Compare(a.field(), b.field()) })
	return list, nil
}

// clockStep is how far in the future a pause must have begun to say that Redis's clock
// went back.
const clockStep = time.Second

// heal moves a pause that began in the future to the present: it lasts as long as it
// was meant to, and not as much longer as the clock went back.
func (p *Pauses) heal(ctx context.Context, pause Pause, now time.Time) Pause {
	// If this fails the next look does it.
	_ = healScript.Run(ctx, p.rdb, []string{p.key}, pause.field()).Err()
	ahead := pause.Since.Sub(now)
	pause.Since, pause.Until = now, pause.Until.Add(-ahead)
	return pause
}

func parsePause(key PauseKey, text string) (Pause, bool) {
	f := strings.Split(text, ";")
	if len(f) != 9 || !slices.Contains(Scopes(), key.Scope) {
		return Pause{}, false
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(f[i], 10, 64); return n } // written by us
	p := Pause{
		PauseKey: key, By: PauseBy(f[5]), Reason: errcode.Reason(f[7]), Errcode: int(number(6)), Tries: int(number(4)),
		Began: time.UnixMilli(number(0)), Since: time.UnixMilli(number(1)), Until: time.UnixMilli(number(2)),
	}
	for lane := range strings.SplitSeq(f[8], ",") {
		if lane != "" {
			p.ByHand = append(p.ByHand, tasks.Priority(lane))
		}
	}
	return p, true
}

// Begin holds back what the pause names, or prolongs a pause whose probe failed. A
// pause that is in force stands as it is; one by hand replaces it. It reports whether
// anything changed, and until when what stands lasts.
func (p *Pauses) Begin(ctx context.Context, pause Pause, l Lengths) (changed bool, until time.Time, err error) {
	if l.First <= 0 || l.First > MaxPause {
		return false, time.Time{}, fmt.Errorf("ledger: a pause lasts more than nothing and at most %d days", int(MaxPause.Hours()/24))
	}
	byHand, err := p.pausedByHand(ctx, pause)
	if err != nil {
		return false, time.Time{}, err
	}
	values, err := pauseScript.Run(ctx, p.rdb, []string{p.key}, pause.field(),
		l.First.Milliseconds(), l.Again.Milliseconds(), max(l.Most, l.Again).Milliseconds(),
		string(pause.By), errcodeField(pause.Errcode), string(pause.Reason), byHand).Slice()
	if err != nil {
		return false, time.Time{}, fmt.Errorf("ledger: begin a pause: %w", err)
	}
	answer := reply(values)
	until = time.UnixMilli(answer.number(1))
	if answer.text(0) == "stands" {
		return false, until, nil
	}
	// What is written is found by Keep, should this process end here.
	return true, until, p.pauseLanes(ctx, pause)
}

// pausedByHand lists the lanes that a person paused before. What we paused says so: the
// pause that it was done for may end just now.
func (p *Pauses) pausedByHand(ctx context.Context, pause Pause) (string, error) {
	if pause.Scope != ScopeApp {
		return "", nil
	}
	lanes, err := p.queues.LanesPausedElsewhere(ctx, pause.App)
	if err != nil {
		return "", fmt.Errorf("ledger: begin a pause: %w", err)
	}
	names := make([]string, len(lanes))
	for i, lane := range lanes {
		names[i] = string(lane)
	}
	return strings.Join(names, ","), nil
}

func (p *Pauses) pauseLanes(ctx context.Context, pause Pause) error {
	if pause.Scope != ScopeApp {
		return nil
	}
	if err := p.queues.PauseLanes(ctx, pause.App, tasks.Priorities()); err != nil {
		return fmt.Errorf("ledger: begin a pause: %w", err)
	}
	return nil
}

// Claim lets one send at a time find out whether a pause that is PauseByProbe and has
// ended is really over. The claim lasts for lease.
func (p *Pauses) Claim(ctx context.Context, key PauseKey, lease time.Duration) (bool, error) {
	return p.probe(ctx, key, lease.Milliseconds())
}

// Unclaim lets another send find out.
func (p *Pauses) Unclaim(ctx context.Context, key PauseKey) error {
	_, err := p.probe(ctx, key, 0)
	return err
}

func (p *Pauses) probe(ctx context.Context, key PauseKey, lease int64) (bool, error) {
	values, err := probeScript.Run(ctx, p.rdb, []string{p.key}, key.field(), lease).Slice()
	if err != nil {
		return false, fmt.Errorf("ledger: probe a pause: %w", err)
	}
	return reply(values).text(0) == "yes", nil
}

// Due ends the time of a pause that is PauseByProbe and in force, as it was last begun
// or prolonged at since: something says that it may be over, and the next send finds
// out. It reports whether it did.
func (p *Pauses) Due(ctx context.Context, key PauseKey, since time.Time) (bool, error) {
	values, err := dueScript.Run(ctx, p.rdb, []string{p.key}, key.field(), since.UnixMilli()).Slice()
	if err != nil {
		return false, fmt.Errorf("ledger: end the time of a pause: %w", err)
	}
	return reply(values).text(0) == "yes", nil
}

// End ends a pause as it was read, in force or not, and reports whether it was still
// there; a zero Since ends it whichever it is. The queues that were paused for it go
// on; those somebody paused in the dashboard before do not.
func (p *Pauses) End(ctx context.Context, pause Pause) (bool, error) {
	if pause.Scope == ScopeApp {
		// What was begun anew since is not ours to touch.
		if stands, err := p.stands(ctx, pause); !stands || err != nil {
			return false, err
		}
		lanes := slices.DeleteFunc(tasks.Priorities(), func(l tasks.Priority) bool { return slices.Contains(pause.ByHand, l) })
		// Before the entry goes: while it is there, Keep finds queues that were left paused.
		if err := p.queues.UnpauseLanes(ctx, pause.App, lanes); err != nil {
			return false, fmt.Errorf("ledger: end a pause: %w", err)
		}
	}
	since := int64(0)
	if !pause.Since.IsZero() {
		since = pause.Since.UnixMilli()
	}
	values, err := resumeScript.Run(ctx, p.rdb, []string{p.key}, pause.field(), field(pause.App, resumedField, ""), since).Slice()
	if err != nil {
		return false, fmt.Errorf("ledger: end a pause: %w", err)
	}
	return reply(values).text(0) == "ended", nil
}

// stands reports whether a pause is still there as it was read.
func (p *Pauses) stands(ctx context.Context, pause Pause) (bool, error) {
	text, err := p.rdb.HGet(ctx, p.key, pause.field()).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ledger: end a pause: %w", err)
	}
	now, ok := parsePause(pause.PauseKey, text)
	return ok && (pause.Since.IsZero() || now.Since.UnixMilli() == pause.Since.UnixMilli()), nil
}

// Release lets the queues of an app go on that a pause left behind: its end and another
// process's look may cross, and Redis may lose the one and keep the others. It reports
// whether there were any.
func (p *Pauses) Release(ctx context.Context, app string) (bool, error) {
	lanes, err := p.queues.LanesPausedHere(ctx, app)
	if err != nil || len(lanes) == 0 {
		return false, err
	}
	// After the queues: a pause is written before they are paused. One that begins right
	// now has Keep pause them once more.
	there, err := p.rdb.HExists(ctx, p.key, PauseKey{App: app, Scope: ScopeApp}.field()).Result()
	if err != nil {
		return false, fmt.Errorf("ledger: look for a pause: %w", err)
	}
	if there {
		return false, nil
	}
	return true, p.queues.UnpauseLanes(ctx, app, lanes)
}

const (
	// settleIn is how long after its beginning a pause's queues may still have to be
	// paused: its writer may have died in between. Later, a queue that goes on was
	// resumed in the dashboard.
	settleIn = 5 * time.Second
	// unprobed is how long a pause waits for a send to find out whether it is over. If
	// none came by, nothing waits for it.
	unprobed = time.Hour
)

// Kept is a pause that Keep ended, and why.
type Kept struct {
	Pause
	// InDashboard says that a person resumed a queue of it there.
	InDashboard bool
}

// Keep brings the queues in line with what is held back, and ends what is over. Any
// process may call it, and several at the same time; it returns what this call ended.
func (p *Pauses) Keep(ctx context.Context, list Paused) ([]Kept, error) {
	var ended []Kept
	var failures []error
	for _, pause := range list.Pauses {
		kept, over, err := p.keep(ctx, pause, list.Now)
		if err != nil {
			failures = append(failures, err)
		}
		if over {
			ended = append(ended, kept)
		}
	}
	return ended, errors.Join(failures...)
}

func (p *Pauses) keep(ctx context.Context, pause Pause, now time.Time) (Kept, bool, error) {
	switch {
	case pause.InForce(now) && pause.Scope == ScopeApp:
		return p.keepPaused(ctx, pause, now)
	case pause.InForce(now):
		return Kept{}, false, nil
	case pause.By != PauseByProbe || now.Sub(pause.Until) > unprobed:
		over, err := p.End(ctx, pause)
		return Kept{Pause: pause}, over, err
	case pause.Scope == ScopeApp: // its probe is among what waits
		return Kept{}, false, p.unpauseFor(ctx, pause)
	}
	return Kept{}, false, nil
}

func (p *Pauses) unpauseFor(ctx context.Context, pause Pause) error {
	lanes := slices.DeleteFunc(tasks.Priorities(), func(l tasks.Priority) bool { return slices.Contains(pause.ByHand, l) })
	if err := p.queues.UnpauseLanes(ctx, pause.App, lanes); err != nil {
		return fmt.Errorf("ledger: let a probe through: %w", err)
	}
	return nil
}

// keepPaused looks whether the queues of a pause in force are paused.
func (p *Pauses) keepPaused(ctx context.Context, pause Pause, now time.Time) (Kept, bool, error) {
	lanes, err := p.queues.PausedLanes(ctx, pause.App)
	if err != nil {
		return Kept{}, false, err
	}
	switch {
	case len(lanes) == len(tasks.Priorities()):
		return Kept{}, false, nil
	case now.Sub(pause.Since) < settleIn:
		return Kept{}, false, p.pauseLanes(ctx, pause)
	case pause.Until.Sub(now) < settleIn: // another process may be ending it already
		return Kept{}, false, nil
	}
	over, err := p.End(ctx, pause)
	return Kept{Pause: pause, InDashboard: true}, over, err
}

// kindFor is how long a kind counts as one that an app sends.
const kindFor = 24 * time.Hour

// Sends notes that an app sends a kind of message.
func (p *Pauses) Sends(ctx context.Context, app string, kind tasks.Kind) error {
	if err := p.rdb.HSet(ctx, p.kinds, app+";"+string(kind), time.Now().UnixMilli()).Err(); err != nil {
		return fmt.Errorf("ledger: note a kind: %w", err)
	}
	return nil
}

// OnlyKind reports whether an app sent no other kind of message of late: then a pause
// of the kind is one of the app, whose queues wait at no cost.
func (p *Pauses) OnlyKind(ctx context.Context, app string, kind tasks.Kind) (bool, error) {
	all, err := p.rdb.HGetAll(ctx, p.kinds).Result()
	if err != nil {
		return false, fmt.Errorf("ledger: read kinds: %w", err)
	}
	for name, text := range all {
		of, other, _ := strings.Cut(name, ";")
		ms, _ := strconv.ParseInt(text, 10, 64) // written by us
		if of == app && tasks.Kind(other) != kind && time.Since(time.UnixMilli(ms)) < kindFor {
			return false, nil
		}
	}
	return true, nil
}
