package limit

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// noon is the time of the fake Redis when a test begins.
var noon = time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)

// desk is a Redis whose clock the test moves.
type desk struct {
	*testing.T
	redis *miniredis.Miniredis
	rdb   redis.UniversalClient
	now   time.Time
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	m := miniredis.RunT(t)
	rdb := redis.NewClient(&redis.Options{Addr: m.Addr(), Protocol: 2})
	t.Cleanup(func() { _ = rdb.Close() })
	d := &desk{T: t, redis: m, rdb: rdb, now: noon}
	d.move(0)
	return d
}

// move sets the clock on, or back.
func (d *desk) move(by time.Duration) {
	d.now = d.now.Add(by)
	d.redis.SetTime(d.now)
}

// lend borrows and returns how far ahead of the clock the first slot is.
func (d *desk) lend(interval time.Duration, n int, lead time.Duration) (loan, time.Duration) {
	d.Helper()
	got, err := store{rdb: d.rdb, key: "slots", interval: interval}.lend(context.Background(), n, lead)
	if err != nil {
		d.Fatal(err)
	}
	if got.now != d.now.UnixMicro() {
		d.Fatalf("now %d, want %d", got.now, d.now.UnixMicro())
	}
	return got, time.Duration(got.start-got.now) * time.Microsecond
}

func (d *desk) wantLoan(interval time.Duration, n int, lead, ahead time.Duration) {
	d.Helper()
	if got, at := d.lend(interval, n, lead); got.n != n || at != ahead || got.wait != 0 {
		d.Fatalf("lent %d, %v ahead, wait %v; want %d, %v ahead", got.n, at, got.wait, n, ahead)
	}
}

func (d *desk) wantWait(interval time.Duration, wait time.Duration) {
	d.Helper()
	if got, _ := d.lend(interval, 1, 0); got.n != 0 || got.wait != wait {
		d.Fatalf("lent %d, wait %v; want to wait %v", got.n, got.wait, wait)
	}
}

const ms = time.Millisecond

func TestLoansFollowEachOther(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.wantLoan(10*ms, 5, 2*ms, 2*ms)
	d.wantLoan(10*ms, 1, 2*ms, 52*ms)
	d.move(30 * ms)
	d.wantLoan(10*ms, 2, 40*ms, 40*ms) // one of 32 ms would come too late to be used
	d.move(time.Minute)
	d.wantLoan(10*ms, 1, 0, 0)
}

func TestFractionsAreRoundedUp(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const interval = 102041 * time.Nanosecond // 10 000/s
	d.wantLoan(interval, 1, 0, 0)
	d.wantLoan(interval, 50, 0, 103*time.Microsecond)
	d.wantLoan(interval, 1, 0, (103+5103)*time.Microsecond)
}

func TestNothingIsLentBeyondTheHorizon(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const interval = 10 * time.Second // the horizon is 32 s
	for i := range 4 {
		d.wantLoan(interval, 1, 0, time.Duration(i)*interval)
	}
	d.wantWait(interval, 8*time.Second)
	d.wantWait(interval, 8*time.Second)
	d.move(8 * time.Second)
	d.wantLoan(interval, 1, 0, 32*time.Second)
}

// TestClockGoesBack: what was lent is still to come, so what is lent now comes
// after it, however far the clock went.
func TestClockGoesBack(t *testing.T) {
	t.Parallel()
	for _, by := range []time.Duration{time.Microsecond, time.Second, time.Hour, 1000 * time.Hour} {
		d := newDesk(t)
		d.wantLoan(10*ms, 5, 0, 0)
		d.move(20 * ms)
		d.wantLoan(10*ms, 1, 0, 30*ms)
		d.move(-by)
		d.wantLoan(10*ms, 1, 0, 40*ms)
		d.move(10 * ms)
		d.wantLoan(10*ms, 1, 0, 40*ms)
	}
}

func TestClockGoesBackWhileAllIsLent(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.wantLoan(ms, 2500, 0, 0) // the horizon is 2003 ms
	d.move(-time.Hour)
	d.wantWait(ms, 497*ms)
	d.move(500 * ms)
	d.wantLoan(ms, 1, 0, 2000*ms)
}

func TestClockGoesForward(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.wantLoan(10*ms, 5, 0, 0)
	d.move(time.Hour)
	d.wantLoan(10*ms, 1, 0, 0)
	d.move(-time.Hour) // it was set right again
	d.wantLoan(10*ms, 1, 0, 10*ms)
}

func TestRateWasRaised(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 3 {
		d.lend(10*time.Second, 1, 0)
	}
	d.wantLoan(ms, 10, 0, 0) // not only in half a minute
}

func TestKeyEnds(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.wantLoan(10*time.Second, 3, 0, 0)
	if ttl := d.redis.TTL("slots"); ttl != 90*time.Second {
		t.Errorf("TTL %v, want a minute after the last slot", ttl)
	}
	d.redis.FastForward(2 * time.Minute)
	if d.redis.Exists("slots") {
		t.Error("the key is kept")
	}
}

// TestScriptInRedis is what a fake cannot show: the numbers on their way through
// a real Redis and its own clock.
func TestScriptInRedis(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	s := store{rdb: rdb, key: "slots", interval: 102041 * time.Nanosecond}
	before := time.Now().UnixMicro()
	first, err := s.lend(context.Background(), 50, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if after := time.Now().UnixMicro(); first.now < before || first.now > after || first.n != 50 || first.start != first.now+1e6 {
		t.Errorf("%+v between %d and %d", first, before, after)
	}
	second, err := s.lend(context.Background(), 1, 0)
	if err != nil || second.start != first.start+5103 {
		t.Errorf("%+v after %+v: %v", second, first, err)
	}
	if ttl := rdb.PTTL(context.Background(), "slots").Val(); ttl <= 30*time.Second || ttl > 63*time.Second { // from 61 s on, while this goes on
		t.Errorf("TTL %v", ttl)
	}
}

func TestForeignKeyIsAnError(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	if err := d.redis.Set("slots", "text"); err != nil {
		t.Fatal(err)
	}
	_, err := store{rdb: d.rdb, key: "slots", interval: ms}.lend(context.Background(), 1, 0)
	if err == nil || !strings.HasPrefix(err.Error(), "limit: lend: ") {
		t.Errorf("error %v", err)
	}
}
