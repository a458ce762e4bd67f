package producer

import (
	"context"
	"errors"
	"fmt"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// Errors that a caller may want to tell apart with errors.Is. What is refused for
// what it holds gets a *ValidationError.
var (
	// ErrConflict: the id was used for other content or another recipient.
	// Remedy: an id of its own for every notification.
	ErrConflict = errors.New("producer: this id was used for a notification with other content; give every notification an id of its own")
	// ErrUnknownApp: no worker serves the app. Remedy: check the AppID, or add it
	// to WXNOTIFY_APPS of a worker first.
	ErrUnknownApp = errors.New("producer: no worker serves this app; check the AppID or add it to WXNOTIFY_APPS of a worker")
	// ErrNotFound: nothing is known under this id, or no longer.
	ErrNotFound = errors.New("producer: nothing is known under this id, or no longer")
	// ErrUnreadable: what is stored under this id was written by a newer version of
	// wxnotify, or is no task of wxnotify. Remedy: upgrade this service.
	ErrUnreadable = errors.New("producer: what is stored under this id cannot be read by this version; upgrade")
	// ErrNoWorker: whether a report of consent counts is the workers' to say, and none
	// has said anything yet. Nothing was stored. Remedy: start a worker, then repeat
	// the report with the same id.
	ErrNoWorker = errors.New("producer: no worker has announced itself yet, so nobody can tell whether reports count; start one and repeat the report")
	// ErrBusy: there is no room for more, for the reason it wraps: tasks.ErrMemoryFull,
	// Redis is near its maxmemory, or tasks.ErrQueueFull, as many notifications of the
	// app wait as may. Nothing was stored. Once Redis is at its maxmemory every call that
	// writes may answer so. Remedy: repeat the request some seconds later;
	// if it stays so, see that workers run, or make more room.
	ErrBusy = errors.New("producer: busy, nothing was stored; repeat the request later, with the same id if it has one")
	// ErrUnavailable: Redis did not answer in time, or refused. Nobody can tell
	// whether the request took effect; repeating it with the same id is safe.
	ErrUnavailable = errors.New("producer: redis is not available; repeat the request unchanged, with the same id if it has one")
	// ErrForbidden: Redis answers, but the user that this service logs in as lacks a
	// right; the *tasks.ForbiddenError that it comes with says which. It is an ErrUnavailable, too, so that
	// whoever keeps and repeats requests for that loses none. Remedy: the rights of
	// deploy/redis/users.acl; repeating before helps nobody.
	ErrForbidden error = forbidden{}
)

// forbidden is the type of ErrForbidden.
type forbidden struct{}

func (forbidden) Error() string {
	return "producer: redis refuses the user of this service; once its rights are there, repeat the request unchanged, with the same id if it has one"
}

// Is has ErrForbidden be an ErrUnavailable, without its words.
func (forbidden) Is(target error) bool { return target == ErrUnavailable }

// ValidationError lists what is wrong with a notification, a form id or a report,
// field by field.
type ValidationError = tasks.ValidationError

// NotCancelableError says why a notification cannot be canceled any more.
type NotCancelableError struct {
	// Status is where it stands: sending, or an outcome.
	Status tasks.Status
}

func (e *NotCancelableError) Error() string {
	return fmt.Sprintf("producer: too late to cancel: the notification is %s", e.Status)
}

// unavailable marks a failure of Redis. What the caller's own context ended
// stays what it is, and what cannot be read or has no room is another matter.
func unavailable(ctx context.Context, err error) error {
	switch {
	case errors.Is(err, tasks.ErrMemoryFull), errors.Is(err, tasks.ErrQueueFull):
		return fmt.Errorf("%w: %w", ErrBusy, err)
	case tasks.OutOfMemory(err): // a script is refused before it writes anything
		return fmt.Errorf("%w: %w: %w", ErrBusy, tasks.ErrMemoryFull, err)
	}
	if refused := tasks.Forbidden(err); refused != nil {
		return fmt.Errorf("%w: %w", ErrForbidden, refused)
	}
	for _, unreadable := range []error{ledger.ErrNewer, tasks.ErrNewer, tasks.ErrGarbage, tasks.ErrForeign} {
		if errors.Is(err, unreadable) {
			return fmt.Errorf("%w: %w", ErrUnreadable, err)
		}
	}
	if cause := ctx.Err(); errors.Is(cause, context.Canceled) {
		return fmt.Errorf("producer: %w", cause)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}
