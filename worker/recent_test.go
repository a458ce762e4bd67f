package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// fickle is a recent whose Redis, history and clock a test changes.
type fickle struct {
	*recent
	t       *testing.T
	ledger  *ledger.Ledger
	forget  func()
	newer   func(id string) // a newer version wrote its record
	history []string
	err     error
	clock   time.Time
}

func newFickle(t *testing.T) *fickle {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	f := &fickle{t: t, ledger: ledger.New(rdb, "", ledger.Options{}), history: []string{"one"}, clock: time.Now()}
	f.recent = newRecent(f.ledger, func(context.Context) ([]string, error) { return f.history, f.err }, nil, slog.New(slog.DiscardHandler))
	f.now = func() time.Time { return f.clock }
	f.began = f.clock
	f.forget = func() { rdb.FlushDB(t.Context()) }
	f.newer = func(id string) {
		key := "wxn:r:{" + ledger.Tag("wx1", "o-"+id) + "}:" + ledger.Tag("wx1", id)
		if found, err := rdb.SetXX(t.Context(), key, "Z;s;1", 0).Result(); err != nil || !found {
			t.Fatal(found, err)
		}
	}
	f.look(t.Context())
	return f
}

// accept makes an attempt that WeChat accepts.
func (f *fickle) accept(id string) {
	f.t.Helper()
	a := ledger.Admission{
		Ref: ledger.Ref{App: "wx1", ID: id, OpenID: "o-" + id}, Kind: tasks.KindSubscribe, Attempt: ledger.NewAttempt(),
		Lease: time.Minute, CreatedAt: time.Now(),
	}
	if err := f.ledger.Claim(f.t.Context(), a.Ref, "0123456789abcdef"); err != nil {
		f.t.Fatal(err)
	}
	if got, err := f.ledger.Admit(f.t.Context(), a); err != nil || got.Verdict != ledger.Go {
		f.t.Fatal(got, err)
	}
	s := ledger.Settlement{
		Ref: a.Ref, Kind: a.Kind, CreatedAt: a.CreatedAt, Attempt: a.Attempt, Admitted: true, Next: ledger.End, Outcome: tasks.Accepted,
	}
	settled, err := f.ledger.Settle(f.t.Context(), s)
	if err != nil {
		f.t.Fatal(err)
	}
	f.add(s, 1, settled.At)
}

// lookAfter is another look, some time later.
func (f *fickle) lookAfter(d time.Duration) {
	f.clock = f.clock.Add(d)
	f.look(f.t.Context())
}

// wantKnown fails unless exactly these of the ids are recorded as accepted.
func (f *fickle) wantKnown(known map[string]bool) {
	f.t.Helper()
	for id, want := range known {
		if err := f.ledger.Claim(f.t.Context(), ledger.Ref{App: "wx1", ID: id, OpenID: "o-" + id}, "0123456789abcdef"); err != nil {
			f.t.Fatal(err)
		}
		got, err := f.ledger.Lookup(f.t.Context(), "wx1", id)
		if is := err == nil && got.Record != nil && got.Record.Status == "accepted"; is != want {
			f.t.Errorf("%s is recorded: %v (%v), want %v", id, is, err, want)
		}
	}
}

func TestSettlementsOutliveAMaster(t *testing.T) {
	f := newFickle(t)
	f.accept("old")
	f.lookAfter(recentFor)
	f.lookAfter(recentFor) // now it is certain to be replicated
	f.accept("a")
	f.lookAfter(recentFor)
	f.accept("b")

	f.forget()
	f.lookAfter(time.Second) // the worker does not know it yet
	f.wantKnown(map[string]bool{"a": false, "b": false})
	f.history = []string{"two"}
	f.lookAfter(time.Second)
	f.wantKnown(map[string]bool{"old": false, "a": true, "b": true})

	f.accept("c") // to the old master, whose last answers were on their way
	f.forget()
	f.lookAfter(recentTwice / 2)
	f.wantKnown(map[string]bool{"a": false, "c": false})
	f.lookAfter(recentTwice)
	f.wantKnown(map[string]bool{"a": true, "b": true, "c": true})
	f.forget()
	f.lookAfter(recentTwice)
	f.wantKnown(map[string]bool{"a": false})
}

// While Redis is away nothing is forgotten, however long that takes.
func TestSettlementsOutliveAnOutage(t *testing.T) {
	f := newFickle(t)
	f.accept("a")
	f.history, f.err = nil, errors.New("away")
	for range 10 {
		f.lookAfter(recentFor)
	}
	f.forget()
	f.history, f.err = []string{"two"}, nil
	f.lookAfter(recentFor)
	f.wantKnown(map[string]bool{"a": true})
}

// One master of a cluster is away: the others alone do not end the time.
func TestSettlementsOutliveAMastersAbsence(t *testing.T) {
	f := newFickle(t)
	f.accept("a")
	f.err = errors.New("one is away")
	for range 10 {
		f.lookAfter(recentFor)
	}
	f.forget()
	f.history, f.err = []string{"one", "three"}, nil
	f.lookAfter(time.Second)
	f.wantKnown(map[string]bool{"a": true})
}

func TestRecentIsBounded(t *testing.T) {
	f := newFickle(t)
	for i := range 5*recentMost + 1 {
		f.add(ledger.Settlement{Admitted: true, Ref: ledger.Ref{ID: fmt.Sprint(i)}}, 1, time.Now())
	}
	f.add(ledger.Settlement{}, 0, time.Now()) // never: it was not admitted
	if n := len(f.last) + len(f.kept); n != recentMost+1 {
		t.Errorf("%d are kept", n)
	}
}

// What a newer version has dealt with since is not repeated without end.
func TestRepetitionLeavesWhatIsNewer(t *testing.T) {
	f := newFickle(t)
	f.accept("a")
	f.kept[0].Outcome = tasks.Rejected // an acceptance is a fact that overrides all
	f.newer("a")
	f.history = []string{"two"}
	f.look(t.Context())
	if len(f.due) != 1 { // the second time, which follows always
		t.Errorf("due at %v", f.due)
	}
}

// A failed repetition is made again at the next look.
func TestRepetitionIsRepeated(t *testing.T) {
	f := newFickle(t)
	f.accept("a")
	f.forget()
	f.history = []string{"two"}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f.look(ctx)
	f.wantKnown(map[string]bool{"a": false})
	f.lookAfter(time.Second)
	f.wantKnown(map[string]bool{"a": true})
}
