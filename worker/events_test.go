package worker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// An accepted template that is not listed makes a worker read the list: it may be a
// standing one, which the first send must not use up.
func TestAcceptedTemplatesAreLookedUp(t *testing.T) {
	t.Parallel()
	asked := 0
	types := map[string]tasks.TemplateType{"listed": tasks.OneTime}
	h := &events{
		app: "wx1", policy: tasks.ConsentPolicy{Mode: tasks.CreditsEnforce, Source: tasks.ConsentEvent},
		ledger:  ledger.New(taskstest.StartRedis(t).Client(t), "", ledger.Options{}),
		types:   func(_ context.Context, _, template string) tasks.TemplateType { return types[template] },
		missing: func() { asked++ },
		metrics: metrics.New(metrics.Info{}), log: slog.New(slog.DiscardHandler),
	}
	for i, c := range []struct {
		item tasks.EventItem
		want int
	}{
		{tasks.EventItem{TemplateID: "listed", Status: "accept"}, 0},
		{tasks.EventItem{TemplateID: "new", Status: "reject"}, 0},
		{tasks.EventItem{TemplateID: "new", Status: "accept"}, 1},
	} {
		e := tasks.Event{App: "wx1", OpenID: "o1", Name: tasks.EventPopup, At: time.Now(), Source: string(rune('a' + i)), Items: []tasks.EventItem{c.item}}
		if err := h.grant(t.Context(), e); err != nil || asked != c.want {
			t.Errorf("%+v: the list was asked for %d times, %v, want %d", c.item, asked, err, c.want)
		}
	}
}

// A consent may be missing because its push waits, is being recorded, or because nobody
// can tell.
func TestBacklog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var lag time.Duration
		var err error
		b := &backlog{}
		b.lag = func(context.Context) (time.Duration, error) {
			if !b.late(t.Context()) {
				t.Error("not late, while another one looks")
			}
			return lag, err
		}
		var inHand []string
		b.active = func(context.Context) ([]string, error) { return inHand, nil }
		for i, c := range []struct {
			after, lag time.Duration
			err        error
			late       bool
			took       time.Duration
		}{
			{0, 0, nil, false, lagSettled},             // one look tells too little
			{lagFresh / 2, time.Minute, nil, false, 0}, // no need to look
			{lagFresh, time.Minute, nil, true, 0},
			{lagFresh, 0, nil, false, lagSettled}, // what was late is being recorded
			{lagFresh, lagAllowed, nil, false, 0},
			{time.Hour, 0, nil, false, lagSettled}, // what was before?
			{lagFresh, 0, errors.New("redis is away"), true, 0},
			{time.Minute, 0, nil, false, lagSettled}, // however seldom it is asked
		} {
			time.Sleep(c.after) // fake time
			lag, err = c.lag, c.err
			began := time.Now()
			if got := b.late(t.Context()); got != c.late || time.Since(began) != c.took {
				t.Errorf("step %d: late is %v after %v, want %v after %v", i, got, time.Since(began), c.late, c.took)
			}
			if again := b.late(t.Context()); again != c.late {
				t.Errorf("step %d: late is %v at once after, want %v", i, again, c.late)
			}
		}
		time.Sleep(time.Hour)
		lag, err, inHand = 0, nil, []string{"a"}
		if !b.late(t.Context()) {
			t.Error("a push that a worker has in hand for long may hold the consent")
		}
		inHand = nil
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), lagFresh/2)
		defer cancel()
		lag, err = 0, nil
		if !b.late(ctx) {
			t.Error("a run that ends before it knows must not take it for settled")
		}
	})
}

// An erasure that is noted is done, also if Redis's clock went back since the last one.
func TestErasureAfterTheClockWentBack(t *testing.T) {
	t.Parallel()
	ran := 0
	j := &jobs{
		run:     map[string]func(context.Context, tasks.JobTask) error{},
		runs:    newRuns(taskstest.StartRedis(t).Client(t), ""),
		metrics: metrics.New(metrics.Info{}), log: slog.New(slog.DiscardHandler),
	}
	for _, job := range tasks.Jobs() {
		j.run[job] = func(context.Context, tasks.JobTask) error { ran++; return nil }
	}
	for _, c := range []struct {
		job  string
		want int
	}{{tasks.JobErase, 2}, {tasks.JobPurge, 1}} {
		ran = 0
		for _, slot := range []int64{2000, 1000} {
			if err := j.runOnce(t.Context(), tasks.JobTask{Job: c.job, Slot: slot}); err != nil {
				t.Fatal(err)
			}
		}
		if ran != c.want {
			t.Errorf("%s ran %d times, want %d", c.job, ran, c.want)
		}
	}
}

// A push that names a template more than once is one answer about it.
func TestOneAnswerPerTemplate(t *testing.T) {
	t.Parallel()
	e := tasks.Event{Items: []tasks.EventItem{
		{TemplateID: "a", Status: "accept"}, {TemplateID: "b", Status: "accept"}, {TemplateID: "a", Status: "accept"},
		{TemplateID: "b", Status: "reject"}, {TemplateID: "b", Status: "accept"}, {TemplateID: "c", Status: "reject"}, {TemplateID: "c", Status: "accept"},
	}}
	want := map[string]bool{"a": true, "b": false, "c": false}
	if got := answersOf(e); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}
