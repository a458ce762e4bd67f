package tasks

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

// Namespace sets several installations on one Redis apart: it prefixes every
// queue and every key. Empty is the usual one.
type Namespace string

const maxNamespace = 32

// Check returns an error that says what a namespace may be.
func (ns Namespace) Check() error {
	if len(ns) > maxNamespace || !allBytes(string(ns), isOpaqueByte) {
		return fmt.Errorf("tasks: namespace: use at most %d letters, digits, '_' or '-'", maxNamespace)
	}
	return nil
}

// Queue names the queue of an app's lane.
func (ns Namespace) Queue(app string, p Priority) string {
	return ns.prefix(".") + app + "." + string(p)
}

// EventsQueue names the queue of what WeChat pushes about an app's users. It is
// apart from the lanes: consents and receipts go on while sending is paused.
func (ns Namespace) EventsQueue(app string) string { return ns.prefix(".") + app + "." + eventsLane }

const eventsLane = "events"

// SystemQueue names the queue of scheduled tasks.
func (ns Namespace) SystemQueue() string { return ns.prefix(".") + "wxnotify.system" }

// Owns reports whether a queue of this Redis belongs to the namespace.
func (ns Namespace) Owns(queue string) bool {
	rest, ok := strings.CutPrefix(queue, ns.prefix("."))
	if !ok {
		return false
	}
	if rest == "wxnotify.system" {
		return true
	}
	app, lane, ok := strings.Cut(rest, ".")
	return ok && app != "" && (lane == eventsLane || slices.Contains(Priorities(), Priority(lane)))
}

// Key prefixes a Redis key of ours. Short, because it is stored with every record.
func (ns Namespace) Key(rest string) string { return "wxn:" + ns.prefix(":") + rest }

func (ns Namespace) prefix(sep string) string {
	if ns == "" {
		return ""
	}
	return string(ns) + sep
}

// TaskTimeout bounds one run of a notification's handler. The whole chain is
// HTTP timeout + LeaseMargin < TaskTimeout < shutdown timeout < the grace the
// supervisor gives; workers check it at start.
const TaskTimeout = 25 * time.Second

// LeaseMargin is what an attempt's lease adds to the HTTP timeout, for the
// settlement that follows the call.
const LeaseMargin = 5 * time.Second

// MaxAhead is how far in the future send_at may be.
const MaxAhead = 30 * 24 * time.Hour

// noRetryLimit stands for "until the horizon". asynq archives a task once its
// retry count reaches the limit, even when the error is no failure, and
// math.MaxInt wraps to -1 in its 32-bit field; the horizon is judged by the
// ledger, on Redis's clock.
const noRetryLimit = math.MaxInt32

// LanePolicy is how a worker serves a lane.
type LanePolicy struct {
	// Dequeuers is how many asynq servers share the lane: one server takes tasks
	// one after the other, a round trip each, whatever its concurrency.
	Dequeuers int
	// TaskCheckInterval is how often each of them looks for a task while there is
	// none. asynq sleeps between half and one and a half of it.
	TaskCheckInterval time.Duration
	// DelayedTaskCheckInterval is how often tasks whose time has come are
	// moved to the queue.
	DelayedTaskCheckInterval time.Duration
}

// Policy returns how the lane of p is served: the more urgent, the sooner an
// idle worker looks.
func (p Priority) Policy() LanePolicy {
	switch p {
	case Critical:
		return LanePolicy{Dequeuers: 1, TaskCheckInterval: 20 * time.Millisecond, DelayedTaskCheckInterval: 500 * time.Millisecond}
	case Bulk:
		return LanePolicy{Dequeuers: 4, TaskCheckInterval: 800 * time.Millisecond, DelayedTaskCheckInterval: time.Second}
	default:
		return LanePolicy{Dequeuers: 4, TaskCheckInterval: 44 * time.Millisecond, DelayedTaskCheckInterval: 500 * time.Millisecond}
	}
}

// EventsPolicy is how an app's events queue is served: a grant should be there
// before the send it allows.
func EventsPolicy() LanePolicy {
	return LanePolicy{Dequeuers: 1, TaskCheckInterval: 60 * time.Millisecond, DelayedTaskCheckInterval: time.Second}
}

// SystemPolicy is how the queue of scheduled tasks is served.
func SystemPolicy() LanePolicy {
	return LanePolicy{Dequeuers: 1, TaskCheckInterval: 500 * time.Millisecond, DelayedTaskCheckInterval: time.Second}
}

// notificationOptions are the asynq options of a notification's task.
func notificationOptions(queue, taskID string, sendAt time.Time) []asynq.Option {
	opts := []asynq.Option{
		asynq.Queue(queue),
		asynq.TaskID(taskID),
		asynq.MaxRetry(noRetryLimit),
		asynq.Timeout(TaskTimeout),
	}
	if !sendAt.IsZero() {
		opts = append(opts, asynq.ProcessAt(sendAt))
	}
	return opts
}
