package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
)

// Part is something that runs as long as the process does.
type Part struct {
	// Name tells parts apart in logs and errors.
	Name string
	// Run works until ctx ends, then puts everything away and returns. It may
	// return before, which ends the process: with an error if it failed. ctx's
	// cause says why it has to stop.
	Run func(ctx context.Context) error
}

// ended is a part that returned.
type ended struct {
	index int
	err   error
}

// Run starts all parts and returns when all have ended. The first to end, or the
// end of ctx, ends all.
//
// Parts stop one after the other, the last one first, each awaited before the
// next is told: a part may use those before it until it has ended. So what
// others need comes first (an embedded Redis, then the metrics), what takes work
// in comes last and stops first.
//
// The error joins the errors of all parts; that a context was canceled is none.
func Run(ctx context.Context, log *slog.Logger, parts ...Part) error {
	done := make(chan ended, len(parts))
	stops := make([]context.CancelCauseFunc, len(parts))
	for i, p := range parts {
		// Detached: a part is told to stop when its turn comes, not with ctx.
		partCtx, stop := context.WithCancelCause(context.WithoutCancel(ctx))
		stops[i] = stop
		go func() { done <- ended{i, p.Run(partCtx)} }()
	}
	r := &running{log: log, parts: parts, done: done, over: make([]bool, len(parts))}
	r.reason = r.first(ctx)
	log.Info("stopping", "reason", r.reason)
	for i := len(parts) - 1; i >= 0; i-- {
		stops[i](r.reason)
		r.await(i)
	}
	return errors.Join(r.errs...)
}

// running knows which parts have ended.
type running struct {
	log   *slog.Logger
	parts []Part
	done  <-chan ended
	over  []bool
	// reason is why all parts stop, once there is one.
	reason error
	errs   []error
}

// first waits for the reason to stop.
func (r *running) first(ctx context.Context) error {
	if len(r.parts) == 0 {
		return errors.New("nothing to run")
	}
	select {
	case e := <-r.done:
		r.note(e)
		if e.err != nil {
			return fmt.Errorf("%s failed: %w", r.parts[e.index].Name, e.err)
		}
		return fmt.Errorf("%s has ended", r.parts[e.index].Name)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// await returns once part i has ended. Others may end meanwhile.
func (r *running) await(i int) {
	for !r.over[i] {
		r.note(<-r.done)
	}
}

func (r *running) note(e ended) {
	name := r.parts[e.index].Name
	r.over[e.index] = true
	r.log.Debug("stopped", "part", name)
	if e.err != nil && !r.obeyed(e.err) {
		r.errs = append(r.errs, fmt.Errorf("%s: %w", name, e.err))
	}
}

// obeyed reports whether err says nothing but that the part was told to stop.
func (r *running) obeyed(err error) bool {
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return !slices.ContainsFunc(joined.Unwrap(), func(e error) bool { return !r.obeyed(e) })
	}
	return errors.Is(err, r.reason) || errors.Is(err, context.Canceled)
}
