package main_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// A million expired form ids and ten thousand live ones: the purge, which two
// workers catch up on when they start, removes exactly the expired ones, while
// messages are sent.
func TestThePurgeRemovesExactlyTheExpired(t *testing.T) {
	const expired, live = 1_000_000, 10_000
	w := newWorld(t)
	w.storeFormIDs(0, expired, time.Now().Add(-time.Minute))
	w.storeFormIDs(expired, live, time.Now().Add(time.Hour))
	g := w.gateway()
	a, b := w.worker("a", nil), w.worker("b", nil)
	purged := func(p *workerProcess) float64 {
		return series(t, p.admin, "wxnotify_purged_total", map[string]string{"record": "form_id"})
	}
	over := func() bool {
		done := 0.0
		for _, p := range []*workerProcess{a, b} {
			done += series(t, p.admin, "wxnotify_job_last_success_timestamp_seconds", map[string]string{"job": "purge"})
		}
		return done > 0
	}
	sent := g.sendUntil(over, 4*time.Minute)
	t.Logf("%d messages were sent one after the other, each to its end, while the purge ran", sent)
	if sent < 20 {
		t.Errorf("%d messages were sent during the purge, want 20 at least", sent)
	}
	wantOnce(t, w.sandbox.report(testApp, true), int64(sent))
	if got := purged(a) + purged(b); got != expired {
		t.Errorf("%v + %v form ids were purged, want %d in all", purged(a), purged(b), expired)
	}
	if left := w.countFormIDs(); left != live {
		t.Errorf("%d form ids are left, want the %d live ones", left, live)
	}
	wantCleanExit(t, a.process, b.process)
}

// sendUntil sends one message after the other, each until it is accepted, as long as
// over says no, and returns how many.
func (g *gatewayProcess) sendUntil(over func() bool, within time.Duration) int {
	g.t.Helper()
	deadline := time.Now().Add(within)
	for n := 0; ; n++ {
		if over() {
			return n
		}
		if time.Now().After(deadline) {
			g.t.Fatalf("it is not over after %v and %d messages", within, n)
		}
		id := fmt.Sprintf("during-%04d", n)
		g.mustSend(message(id, n))
		g.awaitStatus(id, "accepted", 20*time.Second)
	}
}

// storeFormIDs stores one form id for each of n users, as the ledger does.
func (w *world) storeFormIDs(first, n int, expires time.Time) {
	w.t.Helper()
	const batch, writers = 5000, 4
	ctx := w.t.Context()
	work := make(chan int)
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for from := range work {
				_, err := w.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
					for i := from; i < min(from+batch, first+n); i++ {
						p.ZAdd(ctx, "wxn:f:{"+ledger.Tag(testApp, openID(i))+"}", redis.Z{Score: float64(expires.UnixMilli()), Member: fmt.Sprintf("1;form-%024d", i)})
					}
					return nil
				})
				if err != nil {
					w.t.Errorf("store form ids: %v", err)
				}
			}
		})
	}
	for from := first; from < first+n; from += batch {
		work <- from
	}
	close(work)
	wg.Wait()
}

// countFormIDs counts the form ids that are stored, and fails for one that a user
// could not be written to with.
func (w *world) countFormIDs() int {
	w.t.Helper()
	n := 0
	ctx := context.Background()
	keys := w.rdb.Scan(ctx, 0, "wxn:f:*", 10_000).Iterator()
	for keys.Next(ctx) {
		n++
	}
	if err := keys.Err(); err != nil {
		w.t.Fatal(err)
	}
	return n
}
