package worker

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// canaryEvery is how often a worker sends canaries through the lanes of its apps.
const canaryEvery = time.Minute

// scheduleCanaries sends canaries until ctx ends, the first ones after an interval: a
// worker that has just started has nothing to prove.
func (w *Worker) scheduleCanaries(ctx context.Context) {
	if pause(ctx, jitter(canaryEvery, 0.1)) {
		every(ctx, canaryEvery, w.sendCanaries)
	}
}

func (w *Worker) sendCanaries(ctx context.Context) {
	for _, app := range w.cfg.Apps {
		for _, lane := range tasks.Priorities() {
			if err := w.tasks.EnqueueCanary(ctx, app.AppID, lane, time.Now()); err != nil {
				w.cfg.Logger.Warn("canary not sent", "app", app.AppID, "lane", lane, "error", err)
				return // Redis is away or full, for the others too
			}
		}
	}
}

// canary notes that one came through, and how long it had waited.
func (b *binder) canary(sent time.Time) {
	if !sent.IsZero() {
		now := time.Now()
		b.metrics.Canary(b.app, string(b.lane), now, now.Sub(sent))
	}
}
