package limit

import (
	"context"
	"time"
)

// Slot is the right to send once, at its time. It is used by one goroutine.
type Slot struct {
	limiter *Limiter  // nil: there is no limit
	at      time.Time // on our own monotonic clock
	handed  time.Time
	asked   bool // Await was called
	over    bool // it was used, or given back
}

// Await waits for the slot's time and reports whether the send may go out, at
// once. It may not when ctx has ended or the time went by unused: then Take
// another one, ahead of the others. Without a limit it is true at once.
func (s *Slot) Await(ctx context.Context) bool {
	if s.limiter == nil {
		return true
	}
	if s.over {
		return false
	}
	now := time.Now()
	if !s.asked {
		s.asked = true
		s.limiter.prepared(now.Sub(s.handed))
	}
	if !sleep(ctx, s.at.Sub(now)) {
		return false
	}
	if time.Since(s.at) > s.limiter.grace {
		return false
	}
	s.over = true
	return true
}

// GiveBack lets another Take of this process have the slot, if it was not used.
// It may be called at any time, and more than once.
func (s *Slot) GiveBack() {
	if s.limiter == nil || s.over {
		return
	}
	s.over = true
	s.limiter.takeBack(s.at)
}

// sleep waits for d and reports false if ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	if ctx.Err() != nil {
		return false
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
