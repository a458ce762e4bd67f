package ledger_test

import (
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// pausing is a namespace's pauses on a Redis of their own.
type pausing struct {
	*testing.T
	rdb    redis.UniversalClient
	pauses *ledger.Pauses
	queues *tasks.Client
}

func newPausing(t *testing.T) *pausing {
	t.Helper()
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	return &pausing{T: t, rdb: rdb, pauses: ledger.NewPauses(rdb, "ns"), queues: tasks.NewClient(rdb, "ns")}
}

func (b *pausing) list() ledger.Paused {
	b.Helper()
	list, err := b.pauses.List(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return list
}

// only is the one pause there is.
func (b *pausing) only() ledger.Pause {
	b.Helper()
	list := b.list()
	if len(list.Pauses) != 1 {
		b.Fatalf("%+v, want one pause", list.Pauses)
	}
	return list.Pauses[0]
}

func (b *pausing) begin(p ledger.Pause, l ledger.Lengths) bool {
	b.Helper()
	changed, _, err := b.pauses.Begin(b.Context(), p, l)
	if err != nil {
		b.Fatal(err)
	}
	return changed
}

func (b *pausing) keep() []ledger.Kept {
	b.Helper()
	ended, err := b.pauses.Keep(b.Context(), b.list())
	if err != nil {
		b.Fatal(err)
	}
	return ended
}

func (b *pausing) pausedLanes() []tasks.Priority {
	b.Helper()
	lanes, err := b.queues.PausedLanes(b.Context(), "wx1")
	if err != nil {
		b.Fatal(err)
	}
	slices.Sort(lanes)
	return lanes
}

// elapse waits until the pause's time is over on Redis's clock.
func (b *pausing) elapse(p ledger.Pause) {
	b.Helper()
	taskstest.Eventually(b, 10*time.Second, func() string {
		if p.InForce(b.list().Now) {
			return "the pause is in force"
		}
		return ""
	})
}

var (
	appPause  = ledger.Pause{PauseKey: ledger.PauseKey{App: "wx1", Scope: ledger.ScopeApp}, By: ledger.PauseByProbe, Errcode: 45009}
	kindPause = ledger.Pause{
		PauseKey: ledger.PauseKey{App: "wx1", Scope: ledger.ScopeKind, Name: "template"}, By: ledger.PauseByProbe, Errcode: 45103, Reason: errcode.ReasonRetired,
	}
	short  = ledger.Lengths{First: 50 * time.Millisecond, Again: 10 * time.Minute, Most: 15 * time.Minute}
	hourly = ledger.Lengths{First: time.Hour, Again: time.Hour, Most: time.Hour}
)

func TestAPauseOfAnApp(t *testing.T) {
	b := newPausing(t)
	if !b.begin(appPause, hourly) || b.begin(appPause, hourly) {
		t.Fatal("the first begins it, and a second finds it")
	}
	p := b.only()
	if p.PauseKey != appPause.PauseKey || p.By != ledger.PauseByProbe || p.Errcode != 45009 || !p.InForce(b.list().Now) || p.Until.Sub(p.Since) != time.Hour {
		t.Errorf("%+v", p)
	}
	if lanes := b.pausedLanes(); len(lanes) != 3 {
		t.Errorf("paused: %v, want all lanes", lanes)
	}
	if yes, err := b.pauses.Claim(t.Context(), p.PauseKey, time.Minute); yes || err != nil {
		t.Errorf("a probe while it is in force: %v %v", yes, err)
	}
	if ended := b.keep(); len(ended) != 0 {
		t.Errorf("ended: %+v", ended)
	}
	if ended, err := b.pauses.End(t.Context(), p); !ended || err != nil {
		t.Fatalf("%v %v", ended, err)
	}
	if ended, err := b.pauses.End(t.Context(), p); ended || err != nil {
		t.Errorf("a second time: %v %v", ended, err)
	}
	list := b.list()
	if lanes := b.pausedLanes(); len(lanes) != 0 || len(list.Pauses) != 0 || list.Now.Sub(list.Resumed["wx1"]) > 10*time.Second {
		t.Errorf("%v %+v", lanes, list)
	}
}

// After its time one send finds out, again and again ever later.
func TestProbes(t *testing.T) {
	b := newPausing(t)
	b.begin(appPause, short)
	b.elapse(b.only())
	b.keep()
	if lanes := b.pausedLanes(); len(lanes) != 0 {
		t.Fatalf("paused: %v, so no probe comes through", lanes)
	}
	claim := func() bool {
		yes, err := b.pauses.Claim(t.Context(), appPause.PauseKey, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	if !claim() || claim() {
		t.Fatal("one send finds out, not two")
	}
	if err := b.pauses.Unclaim(t.Context(), appPause.PauseKey); err != nil || !claim() {
		t.Fatal("the next one may, if it did not")
	}
	before := b.only()
	if !b.begin(appPause, short) {
		t.Fatal("not prolonged")
	}
	p := b.only()
	if p.Tries != 1 || p.Until.Sub(p.Since) != 10*time.Minute || !p.Began.Equal(before.Began) || len(b.pausedLanes()) != 3 {
		t.Errorf("%+v", p)
	}
	if ended, err := b.pauses.End(t.Context(), before); ended || err != nil {
		t.Errorf("an answer that came before it was prolonged ended it: %v %v", ended, err)
	}
}

// Something says that a pause may be over: its time ends, and nothing else changes.
func TestDue(t *testing.T) {
	b := newPausing(t)
	due := func(p ledger.Pause) bool {
		yes, err := b.pauses.Due(t.Context(), p.PauseKey, p.Since)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	b.begin(appPause, hourly)
	p := b.only()
	earlier := p
	earlier.Since = p.Since.Add(-time.Millisecond)
	if due(kindPause) || due(earlier) || !b.only().InForce(b.list().Now) {
		t.Error("another pause, or this one before it was prolonged, is not meant")
	}
	if !due(p) || due(p) {
		t.Error("its time ends once")
	}
	after := b.only()
	if p.Until = after.Until; after.InForce(b.list().Now) || !reflect.DeepEqual(p, after) {
		t.Errorf("%+v, want the rest as it was: %+v", after, p)
	}
	if ended := b.keep(); len(ended) != 0 || len(b.pausedLanes()) != 0 {
		t.Errorf("ended %v, paused %v: want a probe let through", ended, b.pausedLanes())
	}
	b.begin(appPause, hourly)
	if p := b.only(); p.Tries != 1 || !p.InForce(b.list().Now) || len(b.pausedLanes()) != 3 {
		t.Errorf("%+v, want it prolonged like any other", p)
	}

	b.begin(ledger.Pause{PauseKey: appPause.PauseKey, By: ledger.PauseByHand}, hourly)
	if due(b.only()) {
		t.Error("a person's word stands")
	}
}

func TestProbesGrowRarer(t *testing.T) {
	b := newPausing(t)
	lengths := ledger.Lengths{First: time.Millisecond, Again: 2 * time.Millisecond, Most: 5 * time.Millisecond}
	for i, want := range []time.Duration{1, 2, 4, 5, 5} {
		b.begin(kindPause, lengths)
		p := b.only()
		if got := p.Until.Sub(p.Since); got != want*time.Millisecond || p.Tries != i {
			t.Errorf("try %d: %v, tries %d, want %v ms", i, got, p.Tries, want)
		}
		b.elapse(p)
	}
}

func TestOneOfAKindLeavesTheQueuesAlone(t *testing.T) {
	b := newPausing(t)
	b.begin(kindPause, hourly)
	template := ledger.Pause{PauseKey: ledger.PauseKey{App: "wx1", Scope: ledger.ScopeTemplate, Name: "t_1-x"}, By: ledger.PauseByTime, Errcode: 43107}
	b.begin(template, short)
	if lanes := b.pausedLanes(); len(lanes) != 0 {
		t.Errorf("paused: %v", lanes)
	}
	list := b.list()
	if len(list.Pauses) != 2 || list.Pauses[0].Reason != errcode.ReasonRetired || list.Pauses[1].Name != "t_1-x" {
		t.Fatalf("%+v", list.Pauses)
	}
	b.elapse(list.Pauses[1])
	if ended := b.keep(); len(ended) != 1 || ended[0].Name != "t_1-x" || ended[0].InDashboard {
		t.Errorf("ended: %+v", ended)
	}
	if p := b.only(); p.PauseKey != kindPause.PauseKey {
		t.Errorf("%+v", p)
	}
}

// A person's pause stands, whatever WeChat answers meanwhile, and takes another's place.
func TestByHand(t *testing.T) {
	b := newPausing(t)
	hand := ledger.Pause{PauseKey: appPause.PauseKey, By: ledger.PauseByHand, Reason: errcode.ReasonPaused}
	b.begin(appPause, short)
	if !b.begin(hand, hourly) || b.begin(appPause, short) {
		t.Fatal("a person's word stands")
	}
	if p := b.only(); p.By != ledger.PauseByHand || p.Until.Sub(p.Since) != time.Hour {
		t.Errorf("%+v", p)
	}
	if !b.begin(hand, short) {
		t.Fatal("a person may change it")
	}
	b.elapse(b.only())
	if ended := b.keep(); len(ended) != 1 || len(b.list().Pauses) != 0 || len(b.pausedLanes()) != 0 {
		t.Errorf("ended: %+v", ended)
	}
}

func TestLengthsAreChecked(t *testing.T) {
	b := newPausing(t)
	for _, d := range []time.Duration{0, -time.Second, ledger.MaxPause + 1} {
		if _, _, err := b.pauses.Begin(t.Context(), appPause, ledger.Lengths{First: d}); err == nil {
			t.Errorf("%v was taken", d)
		}
	}
	if len(b.list().Pauses) != 0 {
		t.Error("something is paused")
	}
}

// What somebody paused in the dashboard before stays paused after.
func TestLanesPausedInTheDashboardStaySo(t *testing.T) {
	b := newPausing(t)
	if err := asynq.NewInspectorFromRedisClient(b.rdb).PauseQueue("ns.wx1.bulk"); err != nil {
		t.Fatal(err)
	}
	b.begin(appPause, hourly)
	if p := b.only(); !slices.Equal(p.ByHand, []tasks.Priority{tasks.Bulk}) || len(b.pausedLanes()) != 3 {
		t.Errorf("%+v", p)
	}
	if _, err := b.pauses.End(t.Context(), b.only()); err != nil {
		t.Fatal(err)
	}
	if lanes := b.pausedLanes(); !slices.Equal(lanes, []tasks.Priority{tasks.Bulk}) {
		t.Errorf("paused: %v", lanes)
	}
}

// Two processes at once: one begins a pause after it has looked at the queues, another
// ends the pause before. Nothing of that is a person's, and all of it is resumed.
func TestAPauseThatBeginsWhileAnotherEnds(t *testing.T) {
	b := newPausing(t)
	b.begin(appPause, hourly)
	// What Begin sees of the queues, between the two commands of End and before them.
	b.rdb.HDel(t.Context(), "wxn:ns:pauses", "wx1;app;")
	b.begin(appPause, hourly)
	if p := b.only(); len(p.ByHand) != 0 {
		t.Errorf("paused by hand: %v, want none", p.ByHand)
	}
	if _, err := b.pauses.End(t.Context(), b.only()); err != nil {
		t.Fatal(err)
	}
	if lanes := b.pausedLanes(); len(lanes) != 0 {
		t.Errorf("paused for ever: %v", lanes)
	}
}

// A late end of what a pause by hand replaced leaves its queues alone.
func TestALateEndLeavesTheNextPauseAlone(t *testing.T) {
	b := newPausing(t)
	b.begin(appPause, hourly)
	before := b.only()
	b.move(-time.Minute) // so that the two do not begin in the same millisecond
	byHand := appPause
	byHand.By = ledger.PauseByHand
	b.begin(byHand, hourly)
	if ended, err := b.pauses.End(t.Context(), before); ended || err != nil {
		t.Fatal(ended, err)
	}
	if lanes := b.pausedLanes(); len(lanes) != 3 {
		t.Errorf("paused: %v, want all lanes", lanes)
	}
	b.move(-time.Minute)
	if ended := b.keep(); len(ended) != 0 || len(b.list().Pauses) != 1 {
		t.Errorf("ended %+v: nobody resumed it in the dashboard", ended)
	}
}

// Queues that a pause left paused go on; those of a pause, and those that a person
// paused, do not.
func TestQueuesLeftPausedGoOn(t *testing.T) {
	b := newPausing(t)
	release := func(want bool, paused int) {
		t.Helper()
		if found, err := b.pauses.Release(t.Context(), "wx1"); found != want || err != nil {
			t.Errorf("%v %v, want %v", found, err, want)
		}
		if lanes := b.pausedLanes(); len(lanes) != paused {
			t.Errorf("paused: %v, want %d", lanes, paused)
		}
	}
	release(false, 0)
	if err := asynq.NewInspectorFromRedisClient(b.rdb).PauseQueue("ns.wx1.bulk"); err != nil {
		t.Fatal(err)
	}
	b.begin(appPause, hourly)
	release(false, 3)
	b.rdb.Del(t.Context(), "wxn:ns:pauses") // as a failover of its master may
	release(true, 1)
	release(false, 1)
}

// Who writes a pause may die before its queues are paused; and a person may resume them
// in the dashboard.
func TestKeepBringsQueuesInLine(t *testing.T) {
	b := newPausing(t)
	b.begin(appPause, hourly)
	if err := b.queues.UnpauseLanes(t.Context(), "wx1", []tasks.Priority{tasks.Critical}); err != nil {
		t.Fatal(err)
	}
	if ended := b.keep(); len(ended) != 0 || len(b.pausedLanes()) != 3 {
		t.Fatalf("ended %v, paused %v: want it paused like the others", ended, b.pausedLanes())
	}
	b.move(-time.Minute)
	if err := b.queues.UnpauseLanes(t.Context(), "wx1", []tasks.Priority{tasks.Critical}); err != nil {
		t.Fatal(err)
	}
	if ended := b.keep(); len(ended) != 1 || !ended[0].InDashboard || len(b.pausedLanes()) != 0 || len(b.list().Pauses) != 0 {
		t.Errorf("ended %+v, paused %v: want all resumed", ended, b.pausedLanes())
	}
}

// move makes the pause begin and end so much later, or earlier.
func (b *pausing) move(d time.Duration) {
	b.Helper()
	const key = "wxn:ns:pauses"
	text := b.rdb.HGet(b.Context(), key, "wx1;app;").Val()
	fields := strings.Split(text, ";")
	p := b.only()
	fields[1] = strconv.FormatInt(p.Since.Add(d).UnixMilli(), 10)
	fields[2] = strconv.FormatInt(p.Until.Add(d).UnixMilli(), 10)
	b.rdb.HSet(b.Context(), key, "wx1;app;", strings.Join(fields, ";"))
}

// Redis's clock goes back: the pause lasts as long as it was meant to.
func TestTheClockGoesBack(t *testing.T) {
	b := newPausing(t)
	b.begin(appPause, hourly)
	b.move(5 * time.Hour)
	list := b.list()
	if p := list.Pauses[0]; p.Until.Sub(list.Now) > time.Hour || !p.InForce(list.Now) {
		t.Errorf("it lasts for %v, want an hour", p.Until.Sub(list.Now))
	}
	if p := b.only(); p.Since.After(list.Now.Add(time.Minute)) {
		t.Errorf("it was not mended: %+v", p)
	}
}

// A pause that nothing waits for is not kept for ever.
func TestAPauseWithoutAProbeEnds(t *testing.T) {
	b := newPausing(t)
	b.begin(appPause, short)
	b.move(-2 * time.Hour)
	if ended := b.keep(); len(ended) != 1 || len(b.list().Pauses) != 0 {
		t.Errorf("ended: %+v", ended)
	}
}

func TestKindsAnAppSends(t *testing.T) {
	b := newPausing(t)
	only := func() bool {
		yes, err := b.pauses.OnlyKind(t.Context(), "wx1", tasks.KindSubscribe)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	for _, s := range []struct {
		app  string
		kind tasks.Kind
		want bool
	}{{"wx1", tasks.KindSubscribe, true}, {"wx2", tasks.KindTemplate, true}, {"wx1", tasks.KindTemplate, false}} {
		if err := b.pauses.Sends(t.Context(), s.app, s.kind); err != nil {
			t.Fatal(err)
		}
		if got := only(); got != s.want {
			t.Errorf("after %s of %s: %v", s.kind, s.app, got)
		}
	}
}
