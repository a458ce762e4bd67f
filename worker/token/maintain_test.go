package token

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// maintain runs Maintain in every process until the test ends.
func (b *bundle) maintain(ms ...*Manager) {
	ctx, cancel := context.WithCancel(b.t.Context())
	var wg sync.WaitGroup
	for _, m := range ms {
		wg.Go(func() {
			if err := m.Maintain(ctx); err != nil {
				b.t.Error(err)
			}
		})
	}
	b.t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// looks counts the looks of Maintain, so that a test can tell that nothing
// happened for a while.
type looks struct{ n atomic.Int64 }

func (l *looks) watch(c *Config) {
	c.WatchEvery = 10 * time.Millisecond
	c.ObserveExpiry = func(string, time.Time) { l.n.Add(1) }
}

func (l *looks) await(t *testing.T, more int64) {
	t.Helper()
	want := l.n.Load() + more
	taskstest.Eventually(t, 30*time.Second, func() string {
		if l.n.Load() < want {
			return "too few looks"
		}
		return ""
	})
}

func (b *bundle) awaitCalls(want int) {
	b.t.Helper()
	taskstest.Eventually(b.t, 30*time.Second, func() string {
		if got := b.fake.count(); got != want {
			return fmt.Sprintf("%d calls, want %d", got, want)
		}
		return ""
	})
}

func TestNearEndAsksOnceAMinute(t *testing.T) {
	b := setup(t)
	var eyes looks
	ms := b.processes(4, eyes.watch)
	first := b.get(ms[0])
	b.maintain(ms...)
	eyes.await(t, 40)
	b.wantCalls(1) // its end is far

	b.fake.mu.Lock()
	b.fake.end = time.Now().Add(290 * time.Second)
	b.fake.life = 0 // no successor yet: the same token until its end
	b.fake.mu.Unlock()
	b.age(2*time.Hour - 290*time.Second)
	b.shift(b.keys.budget, -time.Minute, "asked")
	b.awaitCalls(2)
	eyes.await(t, 60)
	b.wantCalls(2)
	if s := b.state(ms[1]); s.Phase != Ending || s.Generation != first.Generation() {
		t.Errorf("state %+v, want the same token near its end", s)
	}

	b.fake.mu.Lock()
	b.fake.life, b.fake.value = 2*time.Hour, ""
	b.fake.mu.Unlock()
	b.shift(b.keys.budget, -time.Minute, "asked")
	b.awaitCalls(3)
	b.shift(b.keys.budget, -time.Minute, "asked")
	eyes.await(t, 60)
	b.wantCalls(3) // a different token came
	for _, m := range ms {
		if b.get(m).Value() != tokenCanary+"-2" {
			t.Error("a process did not take the new token up")
		}
	}
	if b.result("near_end same") != 1 || b.result("near_end renewed") != 1 {
		t.Errorf("results %v", b.results)
	}
}

func TestMaintainFetchesNothingThatIsMissing(t *testing.T) {
	b := setup(t)
	var eyes looks
	ms := b.processes(3, eyes.watch)
	b.maintain(ms...)
	eyes.await(t, 30)
	tok := b.get(ms[0])
	b.invalidate(ms[0], tok)
	eyes.await(t, 30)
	b.wantCalls(1)
}

func TestMaintainTakesUpWhatOthersStored(t *testing.T) {
	b := setup(t)
	var eyes looks
	idle, busy := b.process(classic, eyes.watch), b.process(classic)
	old := b.get(idle)
	b.maintain(idle)
	b.refresh(busy, Manual)
	taskstest.Eventually(t, 30*time.Second, func() string {
		if b.get(idle).Value() == old.Value() {
			return "the old token"
		}
		return ""
	})
	b.invalidate(busy, b.get(busy))
	taskstest.Eventually(t, 30*time.Second, func() string {
		if _, ok := idle.apps[appID].local.get(time.Now()); ok {
			return "the refused token is still in memory"
		}
		return ""
	})
}

// A token that lives six seconds is renewed in time and never used after its end.
func TestLifeOfSixSeconds(t *testing.T) {
	b := setup(t)
	b.fake.life = 6 * time.Second
	ms := b.processes(3, func(c *Config) { c.MaxPerMinute = 100 })
	began, deadline := time.Now(), time.After(7*time.Second)
	b.get(ms[0])
	b.maintain(ms...)
	values := map[string]bool{}
	for {
		for _, m := range ms {
			asked := time.Now() // who gives it answers for no delay afterwards
			tok := b.get(m)
			values[tok.Value()] = true
			if !b.fake.worked(tok.Value(), asked) {
				t.Fatal("a token after its end")
			}
		}
		select {
		case <-deadline:
			most := 1 + int(time.Since(began)/(4500*time.Millisecond)) // the last quarter of a life brings a successor
			if asked := b.result("near_end renewed") + b.result("near_end same"); len(values) < 2 || len(values) > most || asked == 0 {
				t.Errorf("%d tokens, results %v; want a successor asked for near the end", len(values), b.results)
			}
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestMaintainReportsTroubleOnce(t *testing.T) {
	b := setup(t)
	var log syncBuffer
	m := b.process(b.quickToFail, func(c *Config) {
		c.WatchEvery = 10 * time.Millisecond
		c.Logger = slog.New(slog.NewTextHandler(&log, nil))
	})
	b.get(m)
	b.maintain(m)
	b.server.Kill()
	log.await(t, "cannot be looked after")
	b.server.Start(t)
	log.await(t, "is looked after again")
	if n := strings.Count(log.String(), "cannot be looked after"); n != 1 {
		t.Errorf("%d lines about one outage", n)
	}
	noCanary(t, log.String())
}

func TestExpiryIsReported(t *testing.T) {
	b := setup(t)
	reports := make(chan time.Time, 1)
	m := b.process(func(c *Config) {
		c.WatchEvery = 10 * time.Millisecond
		c.ObserveExpiry = func(_ string, at time.Time) {
			select {
			case reports <- at:
			default:
			}
		}
	})
	b.maintain(m)
	if at := <-reports; !at.IsZero() {
		t.Errorf("expiry %v without a token", at)
	}
	b.get(m)
	want := b.state(m).ExpiresAt
	taskstest.Eventually(t, 30*time.Second, func() string {
		if at := <-reports; !at.Equal(want) {
			return fmt.Sprintf("expiry %v, want %v", at, want)
		}
		return ""
	})
}

type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *syncBuffer) await(t *testing.T, text string) {
	t.Helper()
	taskstest.Eventually(t, 30*time.Second, func() string {
		if !strings.Contains(b.String(), text) {
			return "no line " + text
		}
		return ""
	})
}
