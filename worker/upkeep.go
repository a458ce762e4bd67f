package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/robfig/cron/v3"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// readTemplatesEvery is how often an app's templates are read; missingEvery is how
// often they are if a template is used that is not among them. WeChat's quota for
// that call is small.
const (
	readTemplatesEvery = 24 * time.Hour
	missingEvery       = time.Hour
)

// scheduleTemplates enqueues the reading of every app's templates.
func (w *Worker) scheduleTemplates(ctx context.Context) {
	done := make(map[string]int64)
	every(ctx, scheduleEvery, func(ctx context.Context) {
		for _, app := range w.cfg.Apps {
			slot := time.Now().Truncate(readTemplatesEvery).UnixMilli()
			if done[app.AppID] >= slot && w.missing.take(app.AppID) {
				slot = time.Now().Truncate(missingEvery).UnixMilli()
			}
			if done[app.AppID] >= slot {
				continue
			}
			if w.enqueueJob(ctx, tasks.JobTask{Job: tasks.JobReadTemplates, App: app.AppID, Slot: slot}) {
				done[app.AppID] = slot
			}
		}
	})
}

func (w *Worker) enqueueJob(ctx context.Context, j tasks.JobTask) bool {
	if _, err := w.tasks.EnqueueJob(ctx, j); err != nil {
		w.cfg.Logger.Warn("job not scheduled, trying again", "job", j.Job, "app", j.App, "error", err)
		return false
	}
	return true
}

// readTemplates reads an app's templates from WeChat.
func (w *Worker) readTemplates(ctx context.Context, j tasks.JobTask) error {
	app, ok := w.app(j.App)
	if !ok {
		return errNotMine
	}
	asked := time.Now()
	list, err := w.listTemplates(ctx, app)
	if err != nil && (time.Since(time.UnixMilli(j.Slot)) > readTemplatesEvery || onDemand(j)) {
		w.cfg.Logger.Warn("templates not read", "app", j.App, "error", err)
		return errSuperseded
	}
	if err != nil { // asking again soon would only use the quota up
		return &later{after: jitter(templatesPause(err), 0.3), why: err.Error()}
	}
	templates := make([]catalogue.Template, len(list))
	for i, t := range list {
		templates[i] = listed(t)
	}
	return w.catalogue.Store(ctx, j.App, asked, templates)
}

// onDemand reports whether somebody asked for a reading beside the daily one, who
// asks again if it fails.
func onDemand(j tasks.JobTask) bool {
	return !time.UnixMilli(j.Slot).Truncate(readTemplatesEvery).Equal(time.UnixMilli(j.Slot))
}

// listed is a template of WeChat's as the catalogue keeps it.
func listed(t wechat.Template) catalogue.Template {
	enums := make(map[string][]string, len(t.Enums))
	for _, e := range t.Enums {
		enums[e.KeywordCode] = e.Values
	}
	return catalogue.Template{
		ID: t.ID, Title: t.Title, Type: templateType(t.Type), Example: t.Example,
		Fields: catalogue.ParseFields(t.Content, t.Example, enums),
	}
}

// templatesPause is how long to wait after a failure: less where WeChat was not
// reached, or not answered by.
func templatesPause(err error) time.Duration {
	if failed := (*wechat.Error)(nil); errors.As(err, &failed) && failed.Code > 0 {
		return 6 * time.Hour
	}
	return 10 * time.Minute
}

// listTemplates asks WeChat, twice if the token was refused.
func (w *Worker) listTemplates(ctx context.Context, app App) ([]wechat.Template, error) {
	for again := false; ; again = true {
		t, err := w.cfg.Tokens.Get(ctx, app.AppID)
		if err != nil {
			return nil, err
		}
		list, err := app.WeChat.Templates(ctx, t.Value())
		failed := (*wechat.Error)(nil)
		if again || !errors.As(err, &failed) || failed.Class != errcode.Token {
			return list, err
		}
		if err := w.cfg.Tokens.Invalidate(ctx, app.AppID, t); err != nil {
			return nil, err
		}
	}
}

// templateType reads WeChat's type of a template.
func templateType(t int) tasks.TemplateType {
	switch t {
	case 2:
		return tasks.OneTime
	case 3:
		return tasks.LongTerm
	default:
		return tasks.TypeUnknown
	}
}

// schedulePurge enqueues the purge whenever its schedule says so. Every worker
// finds the same times, so one of them gets its task in.
func (w *Worker) schedulePurge(ctx context.Context) {
	var done int64
	every(ctx, scheduleEvery, func(ctx context.Context) {
		due, ok := lastDue(w.cfg.Purge, time.Now().In(w.cfg.Timezone))
		if !ok || due.UnixMilli() == done {
			return
		}
		if w.enqueueJob(ctx, tasks.JobTask{Job: tasks.JobPurge, Slot: due.UnixMilli()}) {
			done = due.UnixMilli()
		}
	})
}

// lastDue is the last time a schedule named, not after now; false if there was none
// within a year.
func lastDue(s cron.Schedule, now time.Time) (time.Time, bool) {
	for _, back := range []time.Duration{time.Hour, 25 * time.Hour, 32 * 24 * time.Hour, 367 * 24 * time.Hour} {
		due := s.Next(now.Add(-back))
		if due.IsZero() || due.After(now) {
			continue
		}
		for next := s.Next(due); !next.IsZero() && !next.After(now); next = s.Next(next) {
			due = next
		}
		return due, true
	}
	return time.Time{}, false
}

// purgeBudget is how long a run of the purge works before it lets others go first.
const purgeBudget = 10 * time.Second

// purge deletes what is over, in as many runs as it takes.
func (w *Worker) purge(ctx context.Context, j tasks.JobTask) error {
	p, finished, err := w.cfg.Ledger.Purge(ctx, j.Slot, purgeBudget)
	m := w.cfg.Metrics
	m.Purged(metrics.PurgedFormID, int(p.FormIDs))
	m.Purged(metrics.PurgedSubscription, int(p.Subscriptions))
	m.Purged(metrics.PurgedSource, int(p.Sources))
	w.cfg.Logger.Info("purged", "form_ids", p.FormIDs, "subscriptions", p.Subscriptions, "sources", p.Sources, "finished", finished)
	if err != nil {
		return err
	}
	if !finished {
		return errUnfinished
	}
	_, err = w.tasks.DeleteArchived(ctx, time.Now().Add(-w.cfg.DeadRetention)) // counted as letters, by tendDead
	return err
}

// eraseEvery is how often workers look whether somebody was erased.
const eraseEvery = 15 * time.Second

// scheduleErase enqueues the erasure of those who are due. Its slot stays the same
// until the first of them is done with, so that one task does it however long it takes.
func (w *Worker) scheduleErase(ctx context.Context) {
	due, err := w.cfg.Ledger.Erasures(ctx)
	if err != nil || len(due) == 0 {
		return // the next look finds them
	}
	w.enqueueJob(ctx, tasks.JobTask{Job: tasks.JobErase, Slot: due.Oldest().UnixMilli()})
}

// erase deletes what is kept of users who were erased: their notifications that
// wait, and the records.
func (w *Worker) erase(ctx context.Context, _ tasks.JobTask) error {
	due, err := w.cfg.Ledger.Erasures(ctx)
	if err != nil || len(due) == 0 {
		return err
	}
	users := len(due)
	var byCode []tasks.Envelope
	waiting, err := w.tasks.DeleteWaiting(ctx, func(t tasks.Task) (bool, error) {
		goes, err := w.erases(ctx, due, t)
		if goes && t.Envelope.To.Code != "" {
			byCode = append(byCode, t.Envelope)
		}
		return goes, err
	})
	if err != nil {
		return err
	}
	records, err := w.cfg.Ledger.EraseRecords(ctx, due)
	if err != nil {
		return err
	}
	// Theirs may have no record yet, with which what their login codes stood for would go.
	for _, e := range byCode {
		if err := w.cfg.Ledger.ForgetRecipient(ctx, e.App, e.ID); err != nil {
			return err
		}
	}
	w.cfg.Logger.Info("users erased", "users", users, "waiting", waiting, "records", records)
	if err := w.cfg.Ledger.Erased(ctx, due); err != nil {
		return fmt.Errorf("worker: %w", err)
	}
	return nil
}

// erases reports whether a notification that waits goes with its recipients. Of several,
// the others still get it, and the worker that sends it leaves the erased ones out; but
// one that was archived goes, as its dead letter does, with the first.
func (w *Worker) erases(ctx context.Context, due ledger.Erasures, t tasks.Task) (bool, error) {
	e := t.Envelope
	openIDs, err := w.recipients(ctx, e)
	if t.State == asynq.TaskStateArchived {
		return due.CoverAny(e.App, openIDs, e.EnqueuedAt), err
	}
	if err != nil || !due.CoverAll(e.App, openIDs, e.EnqueuedAt) {
		return false, err
	}
	due.AddAll(e.App, e.To)
	return true, nil
}

// recipients are whom a notification is for, none as long as nobody knows.
func (w *Worker) recipients(ctx context.Context, e tasks.Envelope) ([]string, error) {
	if e.To.Code == "" {
		return e.To.All(), nil
	}
	openID, err := w.cfg.Ledger.Recipient(ctx, e.App, e.ID)
	return tasks.Recipient{OpenID: openID}.All(), err
}
