package main

import (
	"context"
	"sync"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// forgotten is what a Redis that came back, or took over, had not received, by id.
type forgotten map[string]gap

// gap is what it had not received of one notification.
type gap struct {
	// task: neither its task nor an outcome.
	task bool
	// send: nothing of an attempt that reached WeChat.
	send bool
}

// survey notes what the Redis that serves now does not have of what was acknowledged
// by the one before. Nothing may be in the middle of an admission.
func (w *world) survey(ctx context.Context) error {
	report, err := w.sandbox.Report(ctx, true)
	if err != nil {
		return err
	}
	received := report.Apps[chaosApp].ReceivedByID
	var mu sync.Mutex
	return each(ctx, w.client.sent(), func(ctx context.Context, n notification) error {
		g, err := w.gap(ctx, n, received[n.id] > 0)
		if err != nil || g == (gap{}) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		before := w.forgot[n.id]
		w.forgot[n.id] = gap{task: before.task || g.task, send: before.send || g.send}
		return nil
	})
}

// gap looks for the task first: it is deleted after the outcome was written.
func (w *world) gap(ctx context.Context, n notification, received bool) (gap, error) {
	queued, err := w.tasks.Queued(ctx, chaosApp, n.id)
	if err != nil {
		return gap{}, err
	}
	records, err := w.records(ctx, []notification{n})
	if err != nil {
		return gap{}, err
	}
	r := records[n.id]
	return gap{
		task: !queued && (r == nil || !r.Status.Final()),
		send: received && (r == nil || untried(*r)),
	}, nil
}

// untried: the record knows of no attempt that may have reached WeChat.
func untried(r ledger.Record) bool {
	return r.Unknowns == 0 && (r.Status == tasks.StatusQueued || r.Status == tasks.StatusRetrying)
}
