package worker

import (
	"context"
	"errors"
	"time"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// keepLetter keeps the letter of a notification that just died. If the process ends
// before Redis has it, findArchived does it.
func (d *delivery) keepLetter(a *attempt, result answer, s ledger.Settled) {
	letter, err := ledger.NewDeadLetter(a.ref, a.Envelope)
	if err != nil {
		d.log.Error("dead letter not kept", "app", d.app, "id", a.ID, "error", err)
		return
	}
	letter.Errcode, letter.Reason, letter.Detail, letter.Attempts = result.errcode, result.reason, result.detail, s.Attempts
	_ = d.insist("dead letter", func(ctx context.Context) error { return d.ledger.KeepDead(ctx, letter) })
}

const (
	// deadEvery is how often workers look after the dead letters of an app.
	deadEvery = 5 * time.Minute
	// countDeadEvery is how often each worker tells how many there are.
	countDeadEvery = 15 * time.Second
)

// tendDead keeps the letters of what was archived without us, and drops those of
// what is not dead any more.
func (w *Worker) tendDead(ctx context.Context, j tasks.JobTask) error {
	if _, ok := w.app(j.App); !ok {
		return errNotMine
	}
	found, err := w.findArchived(ctx, j.App)
	if found > 0 {
		w.cfg.Logger.Warn("archived notifications without a dead letter found and recorded; a person or asynq archived them, or a worker died", "app", j.App, "count", found)
	}
	if err == nil {
		var expired int64
		expired, err = w.cfg.Ledger.SweepDead(ctx, j.App)
		w.cfg.Metrics.Purged(metrics.PurgedDeadLetter, int(expired))
	}
	if err != nil && time.Since(time.UnixMilli(j.Slot)) > deadEvery {
		return errSuperseded
	}
	return err
}

// findArchived looks through asynq's archive for notifications that are not listed
// as dead: asynq's recoverer, a person, or a worker that died archived them.
func (w *Worker) findArchived(ctx context.Context, app string) (found int, err error) {
	// Those that are older have had their letters, and wait for the purge. The rest of
	// the time covers clocks that differ.
	since := time.Now().Add(-w.cfg.DeadRetention / 100 * 99)
	err = w.tasks.Archived(ctx, app, since, func(page []tasks.Envelope) error {
		ids := make([]string, len(page))
		for i, e := range page {
			ids[i] = e.ID
		}
		listed, err := w.cfg.Ledger.ListedDead(ctx, app, ids)
		if err != nil {
			return err
		}
		for i, e := range page {
			if listed[i] {
				continue
			}
			dead, err := w.buryArchived(ctx, e)
			if err != nil && !errors.Is(err, ledger.ErrNewer) { // that one is the newer version's
				return err
			}
			if dead {
				found++
			}
		}
		return nil
	})
	return found, err
}

// buryArchived records one that is archived and not listed as dead, and reports whether
// it is dead.
func (w *Worker) buryArchived(ctx context.Context, e tasks.Envelope) (bool, error) {
	// Not listed may also mean dropped or replayed just now, which moves the task first.
	if archived, err := w.tasks.IsArchived(ctx, e.App, e.ID, e.Priority); !archived || err != nil {
		return false, err
	}
	dead, err := w.cfg.Ledger.BuryArchived(ctx, e)
	if dead || err != nil {
		return dead, err
	}
	return false, w.dropEnded(ctx, e)
}

// dropEnded deletes the archived task of a notification that has its outcome: once that
// is forgotten, the task would look like one that was never sent.
func (w *Worker) dropEnded(ctx context.Context, e tasks.Envelope) error {
	known, err := w.cfg.Ledger.Lookup(ctx, e.App, e.ID)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return nil
	case err != nil:
		return err
	case known.Hash != e.Hash, known.Record == nil, !known.Record.Status.Final(), known.Record.Status == tasks.Status(tasks.Dead):
		return nil
	}
	if err := w.tasks.DropArchived(ctx, e.App, e.ID, e.Priority); !errors.Is(err, tasks.ErrTaskMoved) {
		return err
	}
	return nil
}

// countDead tells how many dead letters each app has.
func (w *Worker) countDead(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, countDeadEvery)
	defer cancel()
	for _, app := range w.cfg.Apps {
		n, err := w.cfg.Ledger.CountDead(ctx, app.AppID)
		if err != nil {
			return // Redis is away, which another gauge tells
		}
		w.cfg.Metrics.DeadLetters(app.AppID, n)
	}
}
