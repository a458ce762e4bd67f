package limit

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// office sends as long as it lives, with many hands, as workers do: a slot, an
// admission of some milliseconds, the send.
type office struct {
	mu   sync.Mutex
	sent []time.Time
	all  sync.WaitGroup
}

func (o *office) open(ctx context.Context, l *Limiter, hands int, admission, call time.Duration) {
	for range hands {
		o.all.Go(func() {
			for o.send(ctx, l, admission) == nil {
				sleep(ctx, call)
			}
		})
	}
}

func (o *office) send(ctx context.Context, l *Limiter, admission time.Duration) error {
	for again := false; ; again = true {
		s, err := l.Take(ctx, Default, again)
		if err != nil {
			return err
		}
		sleep(ctx, admission)
		if s.Await(ctx) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.sent = append(o.sent, time.Now())
			return nil
		}
		s.GiveBack()
	}
}

// count counts the sends while they go on.
func (o *office) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.sent)
}

// since counts the sends after a moment.
func (o *office) since(t time.Time) int {
	n := 0
	for _, at := range o.sent {
		if at.After(t) {
			n++
		}
	}
	return n
}

func TestFourWorkersKeepTheRate(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		rate            float64
		trip, admission time.Duration
		perSlot         float64 // Redis calls
	}{
		{1000, ms, 2 * ms, 0.12},
		{1000, 60 * ms, 60 * ms, 0.12}, // a Redis far away
		{250, ms, 2 * ms, 0.12},
		{10_000, ms, 2 * ms, 0.03},
		{20, ms, 2 * ms, 1.3},
		{1, ms, 2 * ms, 1.5},
		{1, 200 * ms, 200 * ms, 1.6},
		{0.1, ms, 2 * ms, 2.2},
	} {
		t.Run(fmt.Sprint(tc.rate, tc.trip), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d, o := newLending(), &office{}
				d.trip = tc.trip
				begin := time.Now()
				length := max(3*time.Second, time.Duration(60/tc.rate*float64(time.Second)))
				ctx, cancel := context.WithTimeout(t.Context(), length)
				defer cancel()
				hands := max(4, int(tc.rate/10))
				for range 4 {
					o.open(ctx, d.limiter(t, Config{Rate: tc.rate}), hands, tc.admission, 10*ms)
				}
				o.all.Wait()
				wantApart(t, d.given())
				settled := o.since(begin.Add(length / 3)) // with a slow Redis the first slots are lost
				mean := float64(settled) / (length * 2 / 3).Seconds()
				if mean < 0.95*tc.rate || mean > tc.rate {
					t.Errorf("%.2f/s, want %.2f", mean, tc.rate)
				}
				if n := busiest(o.sent); float64(n) > max(tc.rate, 1) {
					t.Errorf("%d in one second", n)
				}
				if calls := float64(d.asked()) / float64(len(o.sent)); calls > tc.perSlot {
					t.Errorf("%.2f calls per send, want at most %.2f", calls, tc.perSlot)
				}
			})
		})
	}
}

func TestWorkersShareFairly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newLending()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var few, many office
		few.open(ctx, d.limiter(t, Config{Rate: 1000}), 32, 2*ms, ms)
		many.open(ctx, d.limiter(t, Config{Rate: 1000}), 320, 2*ms, ms)
		few.all.Wait()
		many.all.Wait()
		if a, b := len(few.sent), len(many.sent); a < b*9/10 {
			t.Errorf("the smaller worker sent %d, the other %d", a, b)
		}
	})
}

// fill keeps the line waiting: the slot of the first Take is an hour away.
func fill(t *testing.T, change func(*Config)) (*lending, *queue) {
	d := newLending()
	c := Config{Rate: 100}
	if change != nil {
		change(&c)
	}
	d.away = true
	return d, newQueue(t, d.limiter(t, c))
}

// back ends the time in which nobody gets a slot, once all who came wait.
func back(d *lending) {
	synctest.Wait()
	d.set(func(d *lending) { d.away = false })
}

func TestUrgencyAndOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, q := fill(t, nil)
		for _, w := range []struct {
			name  string
			lane  Lane
			ahead bool
		}{
			{"b1", Bulk, false}, {"d1", Default, false}, {"d2", Default, false}, {"c1", Critical, false},
			{"d3 again", Default, true}, {"b2 again", Bulk, true}, {"c2 again", Critical, true}, {"d4 again", Default, true},
		} {
			q.send(w.name, w.lane, w.ahead)
			synctest.Wait()
		}
		back(d)
		want := []string{"c2 again", "c1", "d3 again", "d4 again", "d1", "d2", "b2 again", "b1"}
		if got := q.names(8); !slices.Equal(got, want) {
			t.Errorf("order %q\nwant  %q", got, want)
		}
	})
}

// TestUrgentOneComesLate: slots are lent for those who wait, but given at the
// last moment, so one who is urgent takes the next.
func TestUrgentOneComesLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newLending()
		q := newQueue(t, d.limiter(t, Config{Rate: 1000}))
		for range 200 {
			q.send("bulk", Bulk, false)
		}
		q.names(100)
		since := time.Now()
		q.send("critical", Critical, false)
		left := 100
		for q.names(1)[0] != "critical" {
			left--
		}
		if d := time.Since(since); d > 20*ms {
			t.Errorf("it waited %v", d)
		}
		q.names(left)
	})
}

func TestBulkShare(t *testing.T) {
	t.Parallel()
	for share, want := range map[float64]int{0: 0, 0.25: 25, 0.5: 50, 1: 100} {
		synctest.Test(t, func(t *testing.T) {
			d, q := fill(t, func(c *Config) { c.BulkShare = share })
			for range 100 {
				q.send("bulk", Bulk, false)
				q.send("default", Default, false)
			}
			back(d)
			bulk := 0
			for _, name := range q.names(100) {
				if name == "bulk" {
					bulk++
				}
			}
			if bulk != want {
				t.Errorf("share %v: %d of 100", share, bulk)
			}
			q.names(100) // alone, it gets everything
		})
	}
}

func TestGiveBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		q := newQueue(t, newLending().limiter(t, Config{Rate: 0.1}))
		q.take(t.Context(), "first", Default, false)
		first := <-q.done
		q.take(t.Context(), "second", Default, false)
		synctest.Wait()
		first.slot.GiveBack()
		first.slot.GiveBack()
		second := <-q.done
		if !second.slot.at.Equal(first.slot.at) {
			t.Error("the second got another slot than the first gave back")
		}
		if first.slot.Await(t.Context()) {
			t.Error("a slot was used by two")
		}
		if !second.slot.Await(t.Context()) {
			t.Error("the slot is not good any more")
		}
		second.slot.GiveBack()
		if second.slot.Await(t.Context()) {
			t.Error("a slot was used twice")
		}
		begin := time.Now()
		q.send("third", Default, false)
		q.names(1)
		if d := time.Since(begin); d < 10*time.Second {
			t.Errorf("the third waited %v: it got a slot that was used", d)
		}
	})
}

func TestStale(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLending().limiter(t, Config{Rate: 10})
		s, err := l.Take(t.Context(), Default, false)
		if err != nil {
			t.Fatal(err)
		}
		sleep(t.Context(), time.Until(s.at)+shortestGrace+time.Nanosecond)
		if s.Await(t.Context()) {
			t.Error("a stale slot was used")
		}
		s.GiveBack()
		next, err := l.Take(t.Context(), Default, true)
		if err != nil || !next.at.After(s.at) {
			t.Errorf("the next has the stale slot: %v", err)
		}
		sleep(t.Context(), time.Until(next.at)+shortestGrace)
		if !next.Await(t.Context()) {
			t.Error("at the end of its grace a slot is good")
		}
	})
}

// TestStockGrowsOld: a slot given back while nobody waits is not kept.
func TestStockGrowsOld(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLending().limiter(t, Config{Rate: 10})
		s, err := l.Take(t.Context(), Default, false)
		if err != nil {
			t.Fatal(err)
		}
		s.GiveBack()
		sleep(t.Context(), time.Second)
		next, err := l.Take(t.Context(), Default, false)
		if err != nil || !next.Await(t.Context()) {
			t.Errorf("the next Take is served from what is old: %v", err)
		}
	})
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newLending()
		l := d.limiter(t, Config{Rate: 0.1})
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := l.Take(ended, Default, false); !errors.Is(err, context.Canceled) || d.asked() != 0 {
			t.Errorf("Take without a context that lives: %v, %d calls", err, d.asked())
		}
		s, err := l.Take(t.Context(), Default, false)
		if err != nil || s.Await(ended) {
			t.Errorf("Await without a context that lives: %v", err)
		}
		if !s.Await(t.Context()) {
			t.Error("the slot is lost")
		}
		short, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if _, err := l.Take(short, Default, false); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Take beyond its context: %v", err)
		}
		begin := time.Now() // its slot goes to the next one
		if s, err = l.Take(t.Context(), Default, false); err != nil || !s.Await(t.Context()) || time.Since(begin) > 10*time.Second {
			t.Errorf("the next one waited %v: %v", time.Since(begin), err)
		}
	})
}

// TestContextEndsWithTheSlot: who leaves in the moment of the slot gives it on.
func TestContextEndsWithTheSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := newLending().limiter(t, Config{Rate: 0.1})
		w, err := l.join(Default, false)
		if err != nil {
			t.Fatal(err)
		}
		sleep(t.Context(), 5*ms) // it has its slot, but does not know yet
		l.leave(w)
		if s, err := l.Take(t.Context(), Default, false); err != nil || s.at.After(time.Now().Add(time.Second)) {
			t.Errorf("the slot is lost: %v", err)
		}
	})
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newLending()
		l := d.limiter(t, Config{Rate: 1000})
		d.away = true
		q := newQueue(t, l)
		for range 50 {
			q.send("", Default, false)
		}
		sleep(t.Context(), time.Minute)
		if n := d.asked(); n < 20 || n > 80 {
			t.Errorf("%d calls in a minute", n)
		}
		back(d)
		begin := time.Now()
		q.names(50)
		if d := time.Since(begin); d > 3*time.Second {
			t.Errorf("after its return it took %v", d)
		}
	})
}

func TestNobodyWaitsNothingHappens(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newLending()
		q := newQueue(t, d.limiter(t, Config{Rate: 1000}))
		for range 5 {
			q.send("", Default, false)
		}
		q.names(5)
		before := d.asked()
		sleep(t.Context(), time.Hour)
		if n := d.asked(); n != before {
			t.Errorf("%d calls while nobody waited", n-before)
		}
	})
}

// TestClockIsSet moves the lender's clock in the middle of a run: the rate
// stays, but for the slots that are lent already, and nothing gets stuck.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{time.Hour, -time.Hour, 3 * time.Second, -3 * time.Second, -ms} {
		synctest.Test(t, func(t *testing.T) {
			d, o := newLending(), &office{}
			ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
			defer cancel()
			for range 4 {
				o.open(ctx, d.limiter(t, Config{Rate: 1000}), 100, 2*ms, 10*ms)
			}
			sleep(ctx, 2*time.Second)
			d.set(func(d *lending) { d.skew += by })
			o.all.Wait()
			n, most := len(o.sent), busiest(o.sent)
			if n < 3720 || most > 1100 {
				t.Errorf("%v: %d in 4 s, %d in the busiest", by, n, most)
			}
			if by < 0 && most > 1000 {
				t.Errorf("%v: %d in one second", by, most)
			}
		})
	}
}

func TestRepeatedCommandOnlyLosesSlots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, o := newLending(), &office{}
		d.repeat = true
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		o.open(ctx, d.limiter(t, Config{Rate: 1000}), 100, 2*ms, 10*ms)
		o.all.Wait()
		wantApart(t, d.given())
		if n, most := len(o.sent), busiest(o.sent); n < 1300 || most > 1000 {
			t.Errorf("%d in 3 s, %d in the busiest second", n, most)
		}
	})
}

func TestAppsDoNotShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		fast, slow, hanging := newLending(), newLending(), newLending()
		hanging.trip = time.Hour
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		var a, b, c office
		a.open(ctx, fast.limiter(t, Config{Rate: 500}), 100, 2*ms, 10*ms)
		b.open(ctx, slow.limiter(t, Config{Rate: 50}), 100, 2*ms, 10*ms)
		c.open(ctx, hanging.limiter(t, Config{Rate: 50}), 100, 2*ms, 10*ms)
		for o, rate := range map[*office]int{&a: 500, &b: 50, &c: 0} {
			o.all.Wait()
			if n := len(o.sent); n > 3*rate || n < 3*rate*93/100 {
				t.Errorf("rate %d: %d in 3 s", rate, n)
			}
		}
	})
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newLending()
		d.trip = time.Second
		l := d.limiter(t, Config{Rate: 0.1})
		q := newQueue(t, l)
		q.take(t.Context(), "first", Bulk, false)
		first := <-q.done
		q.take(t.Context(), "second", Default, false)
		sleep(t.Context(), 10*ms) // a call is under way
		l.Close()
		l.Close()
		if second := <-q.done; !errors.Is(second.err, ErrClosed) {
			t.Errorf("who waited got %v", second.err)
		}
		if _, err := l.Take(t.Context(), Critical, false); !errors.Is(err, ErrClosed) {
			t.Errorf("afterwards: %v", err)
		}
		if !first.slot.Await(t.Context()) {
			t.Error("a slot that was handed out is not good any more")
		}
		first.slot.GiveBack()
	})
}

func TestNoRate(t *testing.T) {
	t.Parallel()
	l, err := New(Config{Observe: func(time.Duration) { t.Error("observed") }})
	if err != nil {
		t.Fatal(err)
	}
	for range 1000 {
		s, err := l.Take(t.Context(), Bulk, false)
		if err != nil || !s.Await(t.Context()) {
			t.Fatal("no slot without a limit", err)
		}
		s.GiveBack()
	}
	l.Close()
	if _, err := l.Take(t.Context(), Bulk, false); !errors.Is(err, ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var waits []time.Duration
		l := newLending().limiter(t, Config{Rate: 1, Observe: func(d time.Duration) { waits = append(waits, d) }})
		for range 2 {
			if s, err := l.Take(t.Context(), Default, false); err != nil || !s.Await(t.Context()) {
				t.Fatal("no slot", err)
			}
		}
		ended, cancel := context.WithTimeout(t.Context(), ms)
		defer cancel()
		_, _ = l.Take(ended, Default, false) // gets none
		if len(waits) != 2 || waits[0] > 10*ms || waits[1] < 900*ms || waits[1] > 1100*ms {
			t.Errorf("waits %v", waits)
		}
	})
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Config{
		"negative rate":   {Rate: -1},
		"rate NaN":        {Rate: math.NaN()},
		"rate infinite":   {Rate: math.Inf(1)},
		"rate tiny":       {Rate: 1e-300},
		"share negative":  {BulkShare: -0.1},
		"share above one": {BulkShare: 1.1},
		"share NaN":       {BulkShare: math.NaN()},
		"no Redis":        {Rate: 1, Key: "slots"},
	} {
		if _, err := New(c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
