package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// asynq brings back what a dead worker had in hand once its lease of 30 s is over by
// another 30 s, at the next look of any worker; the first look comes at its start.
const reliefAfter = 63 * time.Second

// lookEvery is how often everything is looked at.
const lookEvery = time.Second

// awaitEnd returns once every notification has an outcome and no task is left in the
// queues. What is still missing after a while is the judge's.
func (w *world) awaitEnd(ctx context.Context) error {
	patience, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	relief := time.Now().Add(reliefAfter)
	for {
		open, err := w.open(ctx)
		if err != nil {
			return err
		}
		if open == "" {
			return nil
		}
		if !relief.IsZero() && time.Now().After(relief) {
			relief = time.Time{}
			if err := w.addRelief(); err != nil {
				return err
			}
		}
		if lab.Sleep(patience, lookEvery) != nil {
			w.complain("after %v still: %s", endWithin, open)
			return context.Cause(ctx)
		}
	}
}

// endWithin is how long everything may take once the trouble is over.
const endWithin = 3 * time.Minute

// addRelief starts one more worker, like the first, which looks for lost tasks at
// once.
func (w *world) addRelief() error {
	workerURL, wechatURL := w.url, w.sandbox.URL
	return w.addWorker("relief", w.workerEnv(0, workerURL, wechatURL))
}

// open says what is not over yet, "" if all is.
func (w *world) open(ctx context.Context) (string, error) {
	left, err := w.left()
	if err != nil || left != "" {
		return left, err
	}
	records, err := w.records(ctx, w.client.sent())
	if err != nil {
		return "", err
	}
	n := 0
	for id, r := range records {
		if !w.forgot[id].task && (r == nil || !r.Status.Final()) {
			n++
		}
	}
	if n > 0 {
		return fmt.Sprintf("%d notifications without an outcome and without a task", n), nil
	}
	return "", nil
}

// left says how many tasks are left in the queues.
func (w *world) left() (string, error) {
	var pending, active, waiting, archived int
	for _, lane := range tasks.Priorities() {
		info, err := w.inspector.GetQueueInfo(tasks.Namespace("").Queue(chaosApp, lane))
		if errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("look at the queues: %w", err)
		}
		pending, active = pending+info.Pending, active+info.Active
		waiting, archived = waiting+info.Retry+info.Scheduled, archived+info.Archived
	}
	if pending+active+waiting+archived == 0 {
		return "", nil
	}
	return fmt.Sprintf("tasks left: %d pending, %d active, %d waiting, %d archived", pending, active, waiting, archived), nil
}

// records reads what the ledger knows; nil where it knows nothing.
func (w *world) records(ctx context.Context, list []notification) (map[string]*ledger.Record, error) {
	found := make(map[string]*ledger.Record, len(list))
	var mu sync.Mutex
	err := each(ctx, list, func(ctx context.Context, n notification) error {
		known, err := w.ledger.Lookup(ctx, chaosApp, n.id)
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		found[n.id] = known.Record
		return nil
	})
	return found, err
}

// each calls f for all of a list, a few at a time.
func each(ctx context.Context, list []notification, f func(context.Context, notification) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(8)
	for _, n := range list {
		group.Go(func() error { return f(ctx, n) })
	}
	return group.Wait()
}
