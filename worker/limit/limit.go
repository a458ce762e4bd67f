package limit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrClosed is the error of a Take after Close, or one that Close ended.
var ErrClosed = errors.New("limit: closed")

// leastRate is one send in eleven days, and keeps times within their types.
const leastRate = 1e-6

// Config is how fast one app may send.
type Config struct {
	// Redis is a client whose commands obey a context's deadline. It stays the
	// caller's.
	Redis redis.UniversalClient
	// Key is where the app's slots are counted. Nobody else writes it.
	Key string
	// Rate is how many sends per second all processes may make together. 0: any
	// number; then Redis and Key are not used.
	Rate float64
	// BulkShare is the most that Bulk gets of this process's slots while Default
	// waits too, from 0 to 1. Critical comes before both; with 0 Bulk gets what
	// nobody else wants.
	BulkShare float64
	// Observe is told how long each Take has waited that got a slot. Default
	// none. It is not called without a rate.
	Observe func(waited time.Duration)
}

func (c Config) check() error {
	switch {
	case math.IsNaN(c.Rate) || math.IsInf(c.Rate, 0) || c.Rate < 0 || c.Rate > 0 && c.Rate < leastRate:
		return fmt.Errorf("limit: Rate: must be 0 or a number from %g on", leastRate)
	case math.IsNaN(c.BulkShare) || c.BulkShare < 0 || c.BulkShare > 1:
		return errors.New("limit: BulkShare: must be a number from 0 to 1")
	case c.Rate > 0 && (c.Redis == nil || c.Key == ""):
		return errors.New("limit: Redis and Key: are needed where there is a Rate")
	}
	return nil
}

// pace is the share of the rate at which slots are lent. A send goes out up to
// grace after its slot; the rest is room for that, so that no second sees more
// sends than the rate.
const pace = 0.98

// Limiter keeps the sends of one app, by all its processes together, at its rate.
type Limiter struct {
	lender   lender        // nil without a rate
	interval time.Duration // between two slots
	grace    time.Duration // how long after its time a slot may be used
	batch    int           // slots of one loan
	observe  func(time.Duration)
	life     context.Context // ends with Close
	end      context.CancelFunc
	asks     sync.WaitGroup // the call in flight

	mu       sync.Mutex
	closed   bool
	waiting  waiters
	stock    []time.Time // slots nobody has yet, the earliest first
	timer    *time.Timer // calls tick when there is something to do
	asking   bool
	askFrom  time.Time // no question before this
	failures int       // questions in a row without an answer
	sight    sight
	trip     typical // of a question
	handling typical // from handing a slot out to Await
}

// New returns a limiter. It starts nothing and does not look for Redis.
func New(c Config) (*Limiter, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	if c.Rate == 0 {
		return newLimiter(c, 0, nil), nil
	}
	interval := time.Duration(math.Ceil(float64(time.Second) / (pace * c.Rate)))
	return newLimiter(c, interval, store{rdb: c.Redis, key: c.Key, interval: interval}), nil
}

func newLimiter(c Config, interval time.Duration, from lender) *Limiter {
	l := &Limiter{
		lender: from, interval: interval, grace: max(shortestGrace, interval/50), batch: batchOf(c.Rate),
		observe: c.Observe, waiting: waiters{bulkShare: c.BulkShare},
		trip: typical{most: longestTrip}, handling: typical{most: longestHandling},
	}
	if l.observe == nil {
		l.observe = func(time.Duration) {}
	}
	l.life, l.end = context.WithCancel(context.Background())
	l.timer = time.AfterFunc(time.Hour, l.tick)
	l.timer.Stop()
	return l
}

// batchOf is how many slots are asked for at a time, if as many wait. Few keep
// what other processes wait for short; above 200/s ten or more save Redis's
// time.
func batchOf(rate float64) int {
	n := math.Round(pace * rate / 100) // 10 ms of them
	if rate > 200 {
		n = max(10, math.Round(pace*rate/200)) // 5 ms
	}
	return int(min(max(n, 1), math.MaxInt32))
}

// Take waits in line for a slot: after those of the same lane that came before,
// or with ahead only after those of them that came with ahead too. The slot's
// own time is yet to come, by about 5 ms: prepare the send, then Await. The
// error is ctx's or ErrClosed.
func (l *Limiter) Take(ctx context.Context, lane Lane, ahead bool) (*Slot, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	w, err := l.join(lane, ahead)
	if err != nil {
		return nil, err
	}
	if w == nil {
		return &Slot{}, nil
	}
	select {
	case s, ok := <-w.slot:
		if !ok {
			return nil, ErrClosed
		}
		l.observe(s.handed.Sub(w.since))
		return s, nil
	case <-ctx.Done():
		l.leave(w)
		return nil, ctx.Err()
	}
}

// join puts a waiter in line. Without a limit it returns none.
func (l *Limiter) join(lane Lane, ahead bool) (*waiter, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.lender == nil {
		return nil, nil
	}
	w := &waiter{slot: make(chan *Slot, 1), since: time.Now()}
	l.waiting.join(w, lane, ahead)
	l.turn(w.since)
	return w, nil
}

// leave ends the waiting of w. A slot that it got just now goes to the next one.
func (l *Limiter) leave(w *waiter) {
	l.mu.Lock()
	waited := l.waiting.leave(w)
	l.mu.Unlock()
	if waited {
		return
	}
	if s, ok := <-w.slot; ok {
		s.GiveBack()
	}
}

// Close ends what the limiter has started; those who wait get ErrClosed. It
// waits for a question to Redis that is under way, at most about 2 s. Slots that
// were handed out remain good.
func (l *Limiter) Close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		l.end()
		l.timer.Stop()
		for l.waiting.count > 0 {
			close(l.waiting.next().slot)
		}
	}
	l.mu.Unlock()
	l.asks.Wait()
}
