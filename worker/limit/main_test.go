package limit

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errAway = errors.New("redis is away")
	errLate = errors.New("the slot went by")
)

// lent is a loan as it was given, to be looked at afterwards.
type lent struct {
	loan
	interval time.Duration
}

// lending is a lender that several limiters share, without a Redis: it does what
// the script does on a clock that the test sets. With the fake time of synctest
// every run is the same.
type lending struct {
	mu       sync.Mutex
	born     time.Time
	skew     time.Duration // of its clock
	trip     time.Duration
	away     bool
	repeat   bool // every command is run twice, its first answer lost
	free, at int64
	calls    int
	loans    []lent
}

func newLending() *lending { return &lending{born: time.Now(), trip: time.Millisecond} }

// branch is the lender as one process sees it.
type branch struct {
	*lending
	interval time.Duration
}

func (b branch) lend(ctx context.Context, n int, lead time.Duration) (loan, error) {
	if !sleep(ctx, b.trip/2) {
		return loan{}, ctx.Err()
	}
	got, err := b.decide(n, lead)
	if !sleep(ctx, b.trip/2) {
		return loan{}, ctx.Err()
	}
	return got, err
}

func (b branch) decide(n int, lead time.Duration) (loan, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls++
	if b.away {
		return loan{}, errAway
	}
	if b.repeat {
		b.grant(n, lead)
	}
	got := b.grant(n, lead)
	b.loans = append(b.loans, lent{got, b.interval})
	return got, nil
}

func (b branch) grant(n int, lead time.Duration) loan {
	now := int64(math.Pow10(15)) + (time.Since(b.born) + b.skew).Microseconds()
	if now < b.at {
		b.free += now - b.at
	}
	b.at = now
	horizon := store{interval: b.interval}.horizon().Microseconds()
	if wait := b.free - now - horizon; wait > 0 {
		return loan{now: now, wait: time.Duration(wait) * time.Microsecond}
	}
	start := max(b.free, now+lead.Microseconds())
	length := (time.Duration(n)*b.interval + time.Microsecond - 1) / time.Microsecond
	b.free = start + int64(length)
	return loan{now: now, n: n, start: start}
}

// set changes the lender while limiters use it.
func (d *lending) set(change func(*lending)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	change(d)
}

// given is what was lent so far; a question may still be under way.
func (d *lending) given() []lent {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.loans)
}

func (d *lending) asked() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.calls
}

// limiter makes one more process. The test's end closes it.
func (d *lending) limiter(t testing.TB, c Config) *Limiter {
	t.Helper()
	interval := time.Duration(math.Ceil(float64(time.Second) / (pace * c.Rate)))
	l := newLimiter(c, interval, branch{d, interval})
	t.Cleanup(l.Close)
	return l
}

// wantApart fails the test if two slots that were lent are closer than an
// interval, and returns how many there are. It sorts the loans.
func wantApart(t *testing.T, loans []lent) int {
	t.Helper()
	slices.SortFunc(loans, func(a, b lent) int { return int(a.start - b.start) })
	n, free := 0, int64(0)
	for _, l := range loans {
		if l.n == 0 {
			continue
		}
		if l.start < free {
			t.Fatalf("a slot at %d µs, but those before reach to %d", l.start, free)
		}
		n += l.n
		free = l.start + (time.Duration(l.n) * l.interval).Microseconds()
	}
	return n
}

// busiest returns the highest number of times within any [t, t+1s).
func busiest(times []time.Time) int {
	slices.SortFunc(times, time.Time.Compare)
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return most
}

// took is what became of a Take.
type took struct {
	name string
	slot *Slot
	err  error
}

// queue lets Takes wait side by side, and tells in which order they got a slot.
type queue struct {
	*testing.T
	l    *Limiter
	done chan took
}

func newQueue(t *testing.T, l *Limiter) *queue {
	return &queue{T: t, l: l, done: make(chan took, 1000)}
}

// take starts a Take whose end goes to done.
func (q *queue) take(ctx context.Context, name string, lane Lane, ahead bool) {
	go func() {
		s, err := q.l.Take(ctx, lane, ahead)
		q.done <- took{name, s, err}
	}()
}

// send starts a Take that uses its slot before it goes to done.
func (q *queue) send(name string, lane Lane, ahead bool) {
	go func() {
		s, err := q.l.Take(q.Context(), lane, ahead)
		if err == nil && !s.Await(q.Context()) {
			err = errLate
		}
		q.done <- took{name, s, err}
	}()
}

// names lists the next n to end, which must have got a slot.
func (q *queue) names(n int) []string {
	q.Helper()
	var list []string
	for range n {
		got := <-q.done
		if got.err != nil {
			q.Fatalf("%s: %v", got.name, got.err)
		}
		list = append(list, got.name)
	}
	return list
}
