package worker

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"testing"
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
	var lag time.Duration
	var err error
	now := time.Now()
	b := &backlog{now: func() time.Time { return now }}
	b.lag = func(context.Context) (time.Duration, error) {
		if !b.late(t.Context()) {
			t.Error("not late, while another one looks")
		}
		return lag, err
	}
	for i, c := range []struct {
		after, lag time.Duration
		err        error
		late       bool
	}{
		{0, 0, nil, true}, // one look tells too little
		{2 * time.Second, time.Second, nil, true},
		{time.Second, time.Second, nil, false},
		{lagFresh / 2, time.Minute, nil, false}, // no need to look
		{lagFresh, time.Minute, nil, true},
		{lagFresh, 0, nil, true}, // being recorded
		{lagSettled, 0, nil, false},
		{time.Hour, 0, nil, true}, // what was before?
		{lagSettled, 0, nil, false},
		{lagFresh, 0, errors.New("redis is away"), true},
		{lagFresh, 0, nil, true},
		{lagSettled, 0, nil, false},
	} {
		now, lag, err = now.Add(c.after), c.lag, c.err
		if got, again := b.late(t.Context()), b.late(t.Context()); got != c.late || again != c.late {
			t.Errorf("step %d: late is %v, then %v, want %v", i, got, again, c.late)
		}
	}
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
