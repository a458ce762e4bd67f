package tasks

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// amount is what a test's gauge reads. A reading takes a millisecond.
type amount struct {
	mu    sync.Mutex
	level level
	err   error
	reads atomic.Int64
}

func (a *amount) set(used, limit int64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.level, a.err = level{used, limit}, err
}

func (a *amount) read(ctx context.Context) (level, error) {
	a.reads.Add(1)
	select {
	case <-time.After(time.Millisecond):
	case <-ctx.Done():
		return level{}, ctx.Err()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.level, a.err
}

// mustAdd adds and stores at once.
func mustAdd(t *testing.T, g *gauge, n int64, want bool) {
	t.Helper()
	mustBegin(t, g, n, want)
	if want {
		g.stored(n)
	}
}

// mustBegin adds what is not stored yet.
func mustBegin(t *testing.T, g *gauge, n int64, want bool) {
	t.Helper()
	if fits, err := g.add(t.Context(), n, 0.85); err != nil || fits != want {
		t.Fatalf("%v %v, want %v; used %d, added %d", fits, err, want, g.last.used, g.added)
	}
}

// However many ask, Redis is read once a second while there is much room, also
// where there is no limit.
func TestGaugeIsReadOnceASecond(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{0, 1000} {
		synctest.Test(t, func(t *testing.T) {
			a := &amount{level: level{100, limit}}
			g := newGauge(a.read)
			var callers sync.WaitGroup
			for range 50 {
				callers.Go(func() {
					for range 1000 {
						mustAdd(t, g, 0, true)
						<-time.After(10 * time.Millisecond)
					}
				})
			}
			callers.Wait()
			if n := a.reads.Load(); n < 9 || n > 11 {
				t.Errorf("limit %d: read %d times in 10 s", limit, n)
			}
		})
	}
}

func TestGaugeIsReadMoreOftenNearItsLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &amount{level: level{840, 1000}}
		g := newGauge(a.read)
		for range 100 {
			mustAdd(t, g, 0, true)
			<-time.After(10 * time.Millisecond)
		}
		if n := a.reads.Load(); n < 15 || n > 21 {
			t.Errorf("read %d times in a second", n)
		}
	})
}

// A burst is stopped by what was counted here, at the next look goes on as far as
// Redis has room, and ends when that says so.
func TestGaugeCountsItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &amount{level: level{100, 1000}}
		g := newGauge(a.read)
		for range 75 {
			mustAdd(t, g, 10, true)
		}
		mustAdd(t, g, 10, false) // the look is too young to look again
		<-time.After(readAgain)
		a.set(500, 1000, nil) // workers took away as much
		mustAdd(t, g, 10, true)
		if n := a.reads.Load(); n != 2 {
			t.Errorf("read %d times", n)
		}
		a.set(900, 1000, nil)
		<-time.After(readSeldom)
		mustAdd(t, g, 10, false)
		a.set(100, 1000, nil)
		<-time.After(readOften)
		mustAdd(t, g, 10, true)
	})
}

// What is added while a reading is under way is not forgotten by it.
func TestGaugeKeepsWhatIsAddedDuringAReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &amount{level: level{0, 1000}}
		g := newGauge(a.read)
		mustAdd(t, g, 100, true)
		<-time.After(readSeldom)
		var reader sync.WaitGroup
		reader.Go(func() { mustAdd(t, g, 0, true) })
		synctest.Wait() // it reads
		mustAdd(t, g, 700, true)
		reader.Wait()
		if g.added != 700 {
			t.Errorf("added %d", g.added)
		}
	})
}

// What was counted and is not stored yet cannot be in a reading.
func TestGaugeKeepsWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &amount{level: level{100, 1000}}
		g := newGauge(a.read)
		mustBegin(t, g, 750, true)
		<-time.After(readSeldom)
		mustAdd(t, g, 100, false)
		g.stored(750)
		<-time.After(readSeldom)
		mustAdd(t, g, 100, true)
	})
}

// A Redis that does not answer leaves things as they were, and what a caller's own
// end cuts off is no reading.
func TestGaugeWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		a := &amount{level: level{900, 1000}}
		g := newGauge(a.read)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := g.add(ended, 1, 0.85); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		mustAdd(t, g, 1, false)
		a.set(0, 0, errors.New("connection refused"))
		<-time.After(readSeldom)
		mustAdd(t, g, 1, false)
	})
}

// Before the first reading everybody waits for it, but no longer than their call may take.
func TestGaugeBeforeItsFirstReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newGauge(func(ctx context.Context) (level, error) {
			<-ctx.Done()
			return level{}, ctx.Err()
		})
		start := time.Now()
		var callers sync.WaitGroup
		for range 10 {
			callers.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				if _, err := g.add(ctx, 1, 0.85); !errors.Is(err, context.DeadlineExceeded) {
					t.Error(err)
				}
			})
		}
		callers.Wait()
		if took := time.Since(start); took > 2*time.Second {
			t.Error(took)
		}
	})
}

func TestFullestMasterDecides(t *testing.T) {
	t.Parallel()
	nodes := []Memory{{Used: 50, Max: 0}, {Used: 30, Max: 100}, {Used: 60, Max: 100}, {Used: 90, Max: 1000}}
	if m := fullest(nodes); m != nodes[2] {
		t.Error(m)
	}
}
