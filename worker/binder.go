package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
)

// setAsideFor is how long a task waits that somebody else has to deal with.
const setAsideFor = time.Minute

// binder reads a task of an app's lane once and hands it on typed.
type binder struct {
	app     string
	lane    tasks.Priority
	deliver func(context.Context, tasks.Envelope) error
	metrics *metrics.Metrics
	log     *slog.Logger
}

// ProcessTask implements asynq.Handler.
func (b *binder) ProcessTask(ctx context.Context, t *asynq.Task) (err error) {
	defer func() {
		if x := recover(); x != nil {
			err = b.panicked(x)
		}
	}()
	if sent, canary := tasks.DecodeCanary(t.Type(), t.Payload()); canary {
		b.canary(sent)
		return nil
	}
	e, err := tasks.Decode(t.Type(), t.Payload())
	if err != nil {
		return b.setAside(err, t.Type())
	}
	if e.App != b.app {
		return b.setAside(fmt.Errorf("%w: app: it lies in another app's queue", tasks.ErrGarbage), t.Type())
	}
	return b.deliver(ctx, e)
}

func (b *binder) setAside(err error, taskType string) error {
	return setAside(b.metrics, b.log, err, "app", b.app, "lane", b.lane, "type_len", len(taskType))
}

// setAside deals with what cannot be read: only our own garbage is buried. What
// others or a newer version put there waits for them. where says for the log where
// it lay.
func setAside(m *metrics.Metrics, log *slog.Logger, err error, where ...any) error {
	reason := setAsideReason(err)
	m.SetAside(reason)
	log.Warn("task set aside", append(where, "reason", reason, "error", err.Error())...)
	if reason == metrics.SetAsideGarbage {
		return bury(err.Error())
	}
	return &later{after: jitter(setAsideFor, 0.3), why: err.Error()}
}

func setAsideReason(err error) string {
	switch {
	case errors.Is(err, tasks.ErrForeign):
		return metrics.SetAsideForeign
	case errors.Is(err, tasks.ErrNewer):
		return metrics.SetAsideNewer
	default:
		return metrics.SetAsideGarbage
	}
}

// panicked turns a bug before admission into a retry. The panic's value may hold
// content and is not printed.
func (b *binder) panicked(x any) error {
	logPanic(b.log, x)
	return &later{after: jitter(10*time.Second, 0.3), failure: true, why: "the handler panicked; the worker's log has the stack"}
}

func logPanic(log *slog.Logger, x any) {
	log.Error("panic while handling a notification", "panic_type", fmt.Sprintf("%T", x), "stack", string(debug.Stack()))
}
