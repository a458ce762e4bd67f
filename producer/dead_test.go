package producer_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// bury makes dead letters whose tasks asynq does not have, as beyond the size of
// its archive.
func (b *bundle) bury(from, to int, change func(*producer.Notification)) {
	b.Helper()
	work := make(chan int)
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for i := range work {
				n := notification(deadID(i)).WithDefaults()
				if change != nil {
					change(&n)
				}
				e := tasks.Envelope{Notification: n, EnqueuedAt: time.Now(), Hash: n.ContentHash()}
				if dead, err := b.ledger.BuryArchived(b.Context(), e); !dead || err != nil {
					b.Error(dead, err)
				}
			}
		})
	}
	for i := from; i < to; i++ {
		work <- i
	}
	close(work)
	wg.Wait()
}

func deadID(i int) string { return fmt.Sprintf("dead-%05d", i) }

func (b *bundle) pending() int {
	b.Helper()
	info, err := asynq.NewInspectorFromRedisClient(b.server.Client(b)).GetQueueInfo(app + ".default")
	if err != nil {
		b.Fatal(err)
	}
	return info.Pending
}

var quick = producer.DeadRun{Rate: 1_000_000}

func (b *bundle) wantCounts(what string, got producer.DeadCounts, err error, want producer.DeadCounts) {
	b.Helper()
	if err != nil || got != want {
		b.Errorf("%s: %+v, %v, want %+v", what, got, err, want)
	}
}

// Letters whose tasks asynq keeps no longer: all are listed by page, and replayed by
// filter, once each, though the run is interrupted and repeated.
func TestManyDeadLetters(t *testing.T) {
	b := setup(t)
	const n, other = 2500, 100
	b.bury(0, n, nil)
	b.bury(n, n+other, func(n *producer.Notification) { n.TemplateID = "other" })
	seen := map[string]bool{}
	for cursor, first := "", true; first || cursor != ""; first = false {
		page, err := b.client.DeadLetters(t.Context(), producer.DeadFilter{App: app}, cursor, 777)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.Letters {
			if seen[d.ID] || d.ReasonCode != "archived" || d.Remedy == "" {
				t.Fatalf("%+v, seen %v", d, seen[d.ID])
			}
			seen[d.ID] = true
		}
		cursor = page.Next
	}
	if len(seen) != n+other {
		t.Fatalf("%d listed, want %d", len(seen), n+other)
	}

	ctx, stop := context.WithCancel(t.Context())
	run := quick
	run.Progress = func(c producer.DeadCounts) {
		if c.Done == 1000 {
			stop()
		}
	}
	filter := producer.DeadFilter{App: app, TemplateID: "tmpl"}
	first, err := b.client.ReplayDead(ctx, filter, run)
	if err == nil || first.Done == n || first.Done < 1000 && !errors.Is(err, producer.ErrUnavailable) {
		t.Fatalf("interrupted: %+v, %v", first, err)
	}
	var second producer.DeadCounts
	// Of what is under way when a run ends early nobody knows whether it was counted, or
	// will be twice.
	unsure := 0
	for again := true; again; again = errors.Is(err, producer.ErrUnavailable) { // on a busy machine, too
		var more producer.DeadCounts
		more, err = b.client.ReplayDead(t.Context(), filter, quick)
		second.Done += more.Done
		unsure += 100
	}
	if sum := first.Done + second.Done; err != nil || sum < n-unsure || sum > n+unsure {
		t.Errorf("%+v and %+v, %v, want %d in all", first, second, err, n)
	}
	if got := b.pending(); got != n {
		t.Errorf("%d queued, want %d", got, n)
	}
	third, err := b.client.ReplayDead(t.Context(), filter, quick)
	b.wantCounts("repeated", third, err, producer.DeadCounts{})
	dropped, err := b.client.DropDead(t.Context(), producer.DeadFilter{App: app}, quick)
	b.wantCounts("drop", dropped, err, producer.DeadCounts{Matched: other, Done: other})
}

func TestDeadRunsKeepTheirBounds(t *testing.T) {
	b := setup(t)
	b.bury(0, 10, nil)
	past := func(n *producer.Notification) { n.NotAfter = time.Now().Add(-time.Minute) }
	b.bury(10, 12, past)
	all := producer.DeadFilter{App: app}
	ctx := t.Context()

	dry := producer.DeadRun{Rate: 1, DryRun: true}
	got, err := b.client.ReplayDead(ctx, all, dry)
	b.wantCounts("dry run", got, err, producer.DeadCounts{Matched: 12, Done: 10, Expired: 2})
	got, err = b.client.ReplayDead(ctx, all, producer.DeadRun{Rate: 1000, Limit: 4})
	b.wantCounts("limit", got, err, producer.DeadCounts{Matched: 4, Done: 4, More: true})
	got, err = b.client.ReplayDead(ctx, all, producer.DeadRun{Rate: 1, Within: 900 * time.Millisecond}) // the second is due after a second
	b.wantCounts("time", got, err, producer.DeadCounts{Matched: 1, Done: 1, More: true})
	began := time.Now()
	got, err = b.client.ReplayDead(ctx, all, producer.DeadRun{Rate: 20, Limit: 5})
	b.wantCounts("the last", got, err, producer.DeadCounts{Matched: 5, Done: 5}) // the expired are nothing to do
	if took := time.Since(began); took < 190*time.Millisecond {
		t.Errorf("5 at 20/s took %v", took)
	}
	named := producer.DeadFilter{App: app, IDs: []string{deadID(11), deadID(11), deadID(0), "never"}}
	got, err = b.client.ReplayDead(ctx, named, quick)
	b.wantCounts("named", got, err, producer.DeadCounts{Matched: 1, Expired: 1, Skipped: 2})
	got, err = b.client.DropDead(ctx, named, quick)
	b.wantCounts("drop named", got, err, producer.DeadCounts{Matched: 1, Done: 1, Skipped: 2})
	if got := b.pending(); got != 10 {
		t.Errorf("%d queued, want 10", got)
	}
}

// As long as the cause stands, what is replayed dies again: a run must not send it
// again and again.
func TestDeadRunEndsWithWhatWasDeadBefore(t *testing.T) {
	b := setup(t)
	b.bury(0, 3, nil)
	dying := 10
	run := producer.DeadRun{Rate: 1000, Progress: func(producer.DeadCounts) {
		if dying < 20 {
			b.bury(dying, dying+1, nil)
			dying++
		}
	}}
	got, err := b.client.ReplayDead(t.Context(), producer.DeadFilter{App: app}, run)
	b.wantCounts("replay", got, err, producer.DeadCounts{Matched: 3, Done: 3})
	got, err = b.client.DropDead(t.Context(), producer.DeadFilter{App: app}, quick)
	b.wantCounts("what died meanwhile", got, err, producer.DeadCounts{Matched: 3, Done: 3})
}

// A run knows what it read at once; another may have dealt with that meanwhile.
func TestTwoDeadRunsAtATime(t *testing.T) {
	b := setup(t)
	b.bury(0, 8, nil)
	all := producer.DeadFilter{App: app}
	var once sync.Once
	run := producer.DeadRun{Rate: 40, Progress: func(producer.DeadCounts) {
		once.Do(func() {
			got, err := b.client.ReplayDead(t.Context(), all, producer.DeadRun{Rate: 40, Limit: 4})
			b.wantCounts("a replay in between", got, err, producer.DeadCounts{Matched: 4, Done: 4, More: true})
			got, err = b.client.DropDead(t.Context(), all, quick)
			b.wantCounts("a drop in between", got, err, producer.DeadCounts{Matched: 3, Done: 3})
		})
	}}
	got, err := b.client.ReplayDead(t.Context(), all, run)
	b.wantCounts("the replay", got, err, producer.DeadCounts{Matched: 8, Done: 1, Skipped: 7})
	if got := b.pending(); got != 5 {
		t.Errorf("%d queued, want 5", got)
	}
}

func TestDeadLetterIsShownWithoutContent(t *testing.T) {
	b := setup(t)
	b.bury(0, 1, func(n *producer.Notification) { n.NotAfter = time.Now().Add(time.Hour) })
	d, err := b.client.DeadLetter(t.Context(), app, deadID(0))
	if err != nil || d.DataLengths["thing1"] != 5 || d.Lang != "zh_CN" || d.Expired || d.NotAfter.IsZero() || d.Remedy == "" || d.RemedyZH == "" {
		t.Errorf("%+v, %v", d, err)
	}
	if text := fmt.Sprintf("%+v", d); strings.Contains(text, "hello") || strings.Contains(text, "o9AgO5Kd5ggOC") {
		t.Errorf("it shows too much: %s", text)
	}
	if s, err := b.client.Status(t.Context(), app, deadID(0)); err != nil || s.Status != "dead" || !strings.Contains(s.Remedy, "dead replay") {
		t.Errorf("%+v, %v", s, err)
	}
	if _, err := b.client.ReplayDead(t.Context(), producer.DeadFilter{App: app}, quick); err != nil {
		t.Fatal(err)
	}
	if s, err := b.client.Status(t.Context(), app, deadID(0)); err != nil || s.Status != tasks.StatusQueued || s.Remedy != "" {
		t.Errorf("after the replay: %+v, %v, want it queued", s, err)
	}
	if _, err := b.client.DeadLetter(t.Context(), app, deadID(0)); !errors.Is(err, producer.ErrNotFound) {
		t.Errorf("after the replay: %v, want ErrNotFound", err)
	}
}

func TestWrongDeadFilters(t *testing.T) {
	b := setup(t)
	for field, f := range map[string]producer.DeadFilter{
		"app": {}, "template": {App: app, TemplateID: "!"}, "reason": {App: app, Reason: "moon_phase"},
		"older_than": {App: app, OlderThan: -1}, "id": {App: app, IDs: []string{"with blanks"}},
	} {
		_, err := b.client.ReplayDead(t.Context(), f, quick)
		wantRefused(t, err, field)
	}
	good := producer.DeadFilter{App: app, Reason: "47003"}
	_, err := b.client.ReplayDead(t.Context(), good, producer.DeadRun{})
	wantRefused(t, err, "rate")
	_, err = b.client.DropDead(t.Context(), good, producer.DeadRun{Rate: 1, Limit: -1})
	wantRefused(t, err, "limit")
	_, err = b.client.DeadLetters(t.Context(), good, "", producer.MaxDeadPage+1)
	wantRefused(t, err, "limit")
	_, err = b.client.DeadLetters(t.Context(), good, "none", 1)
	wantRefused(t, err, "cursor")
	got, err := b.client.ReplayDead(t.Context(), good, quick)
	b.wantCounts("nothing matches", got, err, producer.DeadCounts{})

	served := tasks.NewServed(b.server.Client(t), "")
	if err := served.Announce(t.Context(), map[string]tasks.ConsentPolicy{"wxother": {}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.DeadLetters(t.Context(), good, "", 1); !errors.Is(err, producer.ErrUnknownApp) {
		t.Errorf("an app that nobody serves: %v, want ErrUnknownApp", err)
	}
	b.server.Kill()
	if _, err := b.client.DeadLetter(t.Context(), "wxother", "x"); !errors.Is(err, producer.ErrUnavailable) {
		t.Errorf("redis away: %v, want ErrUnavailable", err)
	}
}

func wantRefused(t *testing.T, err error, field string) {
	t.Helper()
	var refused *producer.ValidationError
	if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Field != field {
		t.Errorf("%v, want %s refused", err, field)
	}
}

// What died again, or is queued by now, is no matter of an old letter.
func TestDropLeavesWhatIsQueuedAgain(t *testing.T) {
	b := setup(t)
	n := notification("a")
	b.send(n)
	b.attempt(n, ledger.Settlement{Next: ledger.End, Outcome: tasks.Dead})
	e := tasks.Envelope{Notification: n.WithDefaults(), EnqueuedAt: time.Now(), Hash: n.WithDefaults().ContentHash()}
	if dead, err := b.ledger.BuryArchived(t.Context(), e); !dead || err != nil {
		t.Fatal(dead, err)
	}
	got, err := b.client.DropDead(t.Context(), producer.DeadFilter{App: app}, quick)
	b.wantCounts("drop", got, err, producer.DeadCounts{Matched: 1, Skipped: 1})
}
