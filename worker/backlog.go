package worker

import (
	"context"
	"sync"
	"time"
)

const (
	// lagAllowed is how long a push may wait before it is late: well below the ledger's
	// grace, which covers the rest.
	lagAllowed = 5 * time.Second
	// lagSettled is how long no push must have been late before a missing consent is
	// none: those that were taken from the queue last are still being recorded.
	lagSettled = 3 * time.Second
	// lagFresh is how long one look at the queue answers for all messages.
	lagFresh = time.Second
)

// backlog knows whether an app's pushes are late. After a time without a worker they
// wait beside the messages that they allow, and which comes first is chance.
type backlog struct {
	// lag is how long the oldest push has waited; active are those in workers' hands, and those
	// that come back to them soon.
	lag    func(ctx context.Context) (time.Duration, error)
	active func(ctx context.Context) ([]string, error)

	mu      sync.Mutex
	looking bool
	looked  time.Time
	// fineSince is when the last looks, each soon after the one before, began to find
	// no late push; zero if the last one did.
	fineSince time.Time
	// before are the pushes that active named at the last look.
	before map[string]bool
}

// late reports whether a consent may still wait in a push. Where nobody looked of
// late, one caller stays and looks until it knows: messages that come seldom, or to
// one of many workers each time, would never know otherwise.
func (b *backlog) late(ctx context.Context) bool {
	if late, known := b.last(); known {
		return late
	}
	defer b.leave()
	for {
		switch fine := b.look(ctx); {
		case fine >= lagSettled:
			return false
		case fine < 0 || !pause(ctx, lagFresh):
			return true
		}
	}
}

// look asks once, and returns how long no push has been late; below zero if one is.
func (b *backlog) look(ctx context.Context) time.Duration {
	lag, err := b.lag(ctx)
	slow, activeErr := b.slow(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.looked
	b.looked = time.Now()
	switch {
	case err != nil || activeErr != nil || slow || lag > lagAllowed:
		b.fineSince = time.Time{}
		return -1
	case b.fineSince.IsZero() || b.looked.Sub(before) > lagSettled:
		b.fineSince = b.looked
	}
	return b.looked.Sub(b.fineSince)
}

// slow reports whether a push is in a worker's hands that was so at the last look, too:
// its consent may take longer to record than any time one could wait.
func (b *backlog) slow(ctx context.Context) (bool, error) {
	active, err := b.active(ctx)
	if err != nil {
		return false, err
	}
	now := make(map[string]bool, len(active))
	slow := false
	for _, id := range active {
		now[id] = true
		slow = slow || b.before[id]
	}
	b.before = now
	return slow, nil
}

func (b *backlog) leave() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.looking = false
}

// last is what the last look found. If that is too old, its caller has to look, and
// to all others pushes are late meanwhile.
func (b *backlog) last() (late, known bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	switch {
	case b.looking:
		return true, true
	case now.Sub(b.looked) < lagFresh:
		return b.fineSince.IsZero() || now.Sub(b.fineSince) < lagSettled, true
	}
	b.looking = true
	return true, false
}
