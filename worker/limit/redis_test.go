package limit

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// ledgerOfLoans notes what a real lender lends.
type ledgerOfLoans struct {
	mu    sync.Mutex
	loans []lent
	calls int
}

type noted struct {
	lender
	interval time.Duration
	notes    *ledgerOfLoans
}

func (n noted) lend(ctx context.Context, count int, lead time.Duration) (loan, error) {
	got, err := n.lender.lend(ctx, count, lead)
	n.notes.mu.Lock()
	defer n.notes.mu.Unlock()
	n.notes.calls++
	if err == nil {
		n.notes.loans = append(n.notes.loans, lent{got, n.interval})
	}
	return got, err
}

// given is what was lent so far, in how many calls; one may still be under way.
func (o *ledgerOfLoans) given() ([]lent, int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.loans), o.calls
}

// worker makes a limiter with a Redis client of its own.
func (o *ledgerOfLoans) worker(t testing.TB, s *taskstest.Server, c Config) *Limiter {
	t.Helper()
	c.Redis = s.Client(t)
	l, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	l.lender = noted{l.lender, l.interval, o}
	t.Cleanup(l.Close)
	return l
}

// TestRealRedis is the whole at real speed. How fast it goes depends on the
// machine; that it is never too fast, and how often Redis is asked, does not.
func TestRealRedis(t *testing.T) {
	t.Parallel()
	s := taskstest.StartRedis(t)
	notes, other := &ledgerOfLoans{}, &ledgerOfLoans{}
	var all, slow office
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 4 {
		all.open(ctx, notes.worker(t, s, Config{Key: "slots:a", Rate: 1000}), 64, time.Millisecond, time.Millisecond)
		slow.open(ctx, other.worker(t, s, Config{Key: "slots:b", Rate: 20}), 8, time.Millisecond, time.Millisecond)
	}
	<-time.After(2 * time.Second)
	taskstest.Eventually(t, 60*time.Second, func() string { // on a busy machine slots go by unused
		if a, b := all.count(), slow.count(); a < 500 || b < 10 {
			return fmt.Sprintf("%d sent, and %d of the slow app, want 500 and 10", a, b)
		}
		return ""
	})
	cancel()
	all.all.Wait()
	slow.all.Wait()
	loans, calls := notes.given()
	slots := wantApart(t, loans)
	others, _ := other.given()
	wantApart(t, others)
	t.Logf("%d slots, %d calls, %d sent, %d in the busiest second; the slow app sent %d",
		slots, calls, len(all.sent), busiest(all.sent), len(slow.sent))
	if len(all.sent) > slots {
		t.Errorf("%d sent with %d slots", len(all.sent), slots)
	}
	if float64(calls) > 0.2*float64(slots) {
		t.Errorf("%d calls for %d slots", calls, slots)
	}
}

// TestRedisIsKilledAndComesBack: who waits goes on waiting, and then gets a slot.
func TestRedisIsKilledAndComesBack(t *testing.T) {
	t.Parallel()
	s := taskstest.StartRedis(t)
	l := (&ledgerOfLoans{}).worker(t, s, Config{Key: "slots", Rate: 1000})
	if _, err := l.Take(t.Context(), Default, false); err != nil {
		t.Fatal(err)
	}
	s.Kill()
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := l.Take(ctx, Default, false); err != ctx.Err() {
		t.Errorf("without Redis: %v", err)
	}
	q := newQueue(t, l)
	for range 20 {
		q.take(t.Context(), "", Default, false)
	}
	s.Start(t)
	q.names(20)
}

// TestCloseWhileRedisHangs: it does not wait for ever.
func TestCloseWhileRedisHangs(t *testing.T) {
	t.Parallel()
	s := taskstest.StartRedis(t)
	l := (&ledgerOfLoans{}).worker(t, s, Config{Key: "slots", Rate: 1000})
	if err := s.Client(t).ClientPause(t.Context(), time.Minute).Err(); err != nil {
		t.Fatal(err)
	}
	q := newQueue(t, l)
	q.take(t.Context(), "", Default, false)
	taskstest.Eventually(t, 10*time.Second, func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		if !l.asking {
			return "Redis was not asked"
		}
		return ""
	})
	l.Close()
	if got := <-q.done; got.err != ErrClosed {
		t.Errorf("who waited got %v", got.err)
	}
}

// BenchmarkTake is a slot from the line to its use, at a rate that is no limit.
func BenchmarkTake(b *testing.B) {
	s := taskstest.StartRedis(b)
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr})
	defer func() { _ = rdb.Close() }()
	l, err := New(Config{Redis: rdb, Key: "slots", Rate: 1e6})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	b.ReportAllocs()
	b.SetParallelism(64)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			for again := false; ; again = true {
				slot, err := l.Take(b.Context(), Default, again)
				if err != nil {
					b.Error(err)
					return
				}
				if slot.Await(b.Context()) {
					break
				}
			}
		}
	})
}
