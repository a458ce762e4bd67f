package tasks

import (
	"context"
	"sync"
	"time"
)

// level is a reading of an amount and of its limit; a limit of 0: there is none.
type level struct{ used, limit int64 }

// gauge follows an amount in Redis that must stay below a limit. However many ask,
// one of them at a time reads it, and not often; the others go by the last reading
// and by what was added here since.
type gauge struct {
	read func(context.Context) (level, error)
	turn chan struct{} // held by whoever reads

	mu    sync.Mutex
	last  level
	at    time.Time // of the last reading; zero: none yet
	added int64     // here, since the last reading began, and before it what was not stored yet
	done  int64     // of added, what is stored or given up
}

func newGauge(read func(context.Context) (level, error)) *gauge {
	return &gauge{read: read, turn: make(chan struct{}, 1)}
}

// How old a reading may be: as much as readSeldom while a quarter of the limit or
// more is left, less the closer it comes, down to readOften. So what all processes
// together add between two readings stays small, even if they fill a quarter of
// Redis in a second. A limit that only our own additions seem to have reached is
// looked at again after readAgain: workers take away at the same time.
const (
	readSeldom = time.Second
	readOften  = 50 * time.Millisecond
	readAgain  = 10 * time.Millisecond
)

// add reports whether n more keep the amount below a share of the limit, and if so
// counts them. Once they are stored, or are not going to be, stored must be called: until
// then no reading is taken to hold them. The error is ctx's. A Redis that does not answer leaves things as
// they were last seen; whoever then writes to it learns that by itself.
func (g *gauge) add(ctx context.Context, n int64, share float64) (bool, error) {
	if err := g.refresh(ctx, share); err != nil {
		return false, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.last.limit > 0 && g.expected() >= g.bound(share) {
		return false, nil
	}
	g.added += n
	return true, nil
}

// refresh reads if it is time to. While another reads, the last answer does, unless
// it is not to be relied on.
func (g *gauge) refresh(ctx context.Context, share float64) error {
	due, must := g.due(share)
	if !due {
		return nil
	}
	if must {
		select {
		case g.turn <- struct{}{}:
		case <-ctx.Done():
			return ctx.Err()
		}
	} else {
		select {
		case g.turn <- struct{}{}:
		default:
			return nil
		}
	}
	defer func() { <-g.turn }()
	if due, _ := g.due(share); !due { // somebody else has read meanwhile
		return nil
	}
	return g.readNow(ctx)
}

// due reports whether the amount is to be read, and whether nothing can be said
// before: at the start, and when our own additions alone would make it too much.
func (g *gauge) due(share float64) (due, must bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at.IsZero() {
		return true, true
	}
	age, bound := time.Since(g.at), g.bound(share)
	if g.last.limit > 0 && g.last.used < bound && g.expected() >= bound {
		return age >= readAgain, true
	}
	return age >= g.keep(bound), false
}

// keep is how long the last reading is good for.
func (g *gauge) keep(bound int64) time.Duration {
	if g.last.limit == 0 {
		return readSeldom
	}
	left := float64(bound-g.expected()) / float64(g.last.limit)
	return max(readOften, min(readSeldom, time.Duration(4*left*float64(readSeldom))))
}

func (g *gauge) expected() int64 { return g.last.used + g.added }

func (g *gauge) bound(share float64) int64 { return int64(share * float64(g.last.limit)) }

func (g *gauge) stored(n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done += n
}

func (g *gauge) readNow(ctx context.Context) error {
	g.mu.Lock()
	before := g.done
	g.mu.Unlock()
	now, err := g.read(ctx)
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // the caller's end says nothing about Redis
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.at = time.Now()
	if err == nil {
		g.last = now
		g.added -= before // the rest was stored after the reading began and may not be in it
		g.done -= before
	}
	return nil
}
