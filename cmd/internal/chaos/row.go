package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// row is one kind of trouble.
type row struct {
	number string
	what   string
	// short: part of the short form, too.
	short bool
	// binary is what the workers run, failpoint where those built with them die.
	binary    binary
	failpoint string
	// redis starts the row's Redis.
	redis func(*world) error
	// workers is how many there are, 2 if it is zero.
	workers int
	// latency is how long the sandbox takes for an answer.
	latency time.Duration
	// env is added to the environment of the i-th worker.
	env func(i int) []string
	// rate is the sends per second of all workers, 0 for no limit.
	rate int
	// hurry is how many times faster than planned the notifications come in, so that
	// they have to wait; 1 if it is zero.
	hurry int
	// proxied puts a proxy between the workers and one side.
	proxied side
	// trouble is made while notifications come in, or a little longer. It puts right
	// what it did.
	trouble func(context.Context, *world) error
	// What the trouble must have come to in the long form, or the row proves nothing.
	kills, redisFaults, otherFaults int
	// unknownPerKill: every kill leaves an attempt nobody knows the end of.
	unknownPerKill bool
	// mayForget: the Redis of the row may lose what it acknowledged.
	mayForget bool
	// check looks for what only this row can tell.
	check func(context.Context, *world) ([]string, error)
}

// plan is how much of everything a row has.
type plan struct {
	// load is how long notifications come in, n how many.
	load time.Duration
	n    int
	// share of the long form's trouble.
	share float64
}

var (
	longPlan  = plan{load: time.Minute, n: 1000, share: 1}
	shortPlan = plan{load: 8 * time.Second, n: 120, share: 0.15}
)

// of is the plan's part of a number in the long form.
func (p plan) of(n int) int {
	if n == 0 {
		return 0
	}
	return max(1, int(float64(n)*p.share))
}

// result is what a row came to.
type result struct {
	row
	verdict
	tally
	// busiest is the most sends that arrived within a second.
	busiest int
	took    time.Duration
	// complaints are why the row failed.
	complaints []string
}

func (r result) passed() bool { return len(r.complaints) == 0 }

func (r result) String() string {
	text := fmt.Sprintf("row %s, %s: passed in %.0f s", r.number, r.what, r.took.Seconds())
	if !r.passed() {
		text = fmt.Sprintf("row %s, %s: FAILED: %s", r.number, r.what, strings.Join(r.complaints, "; "))
	}
	return text
}

// runRow runs one row from an empty Redis to its result.
func runRow(ctx context.Context, r row, p plan, b *binaries, dir string, keep bool) result {
	began := time.Now()
	w, err := openWorld(r, p, b, filepath.Join(dir, "row-"+r.number))
	if err == nil {
		err = w.run(ctx)
		w.close()
	}
	if err != nil {
		w.complain("%v", err)
	}
	res := w.result()
	res.took = time.Since(began)
	if res.passed() && !keep {
		_ = os.RemoveAll(w.dir) // a temporary folder: the system cleans up after us
	} else if !res.passed() {
		res.complaints = append(res.complaints, "logs in "+w.dir)
	}
	return res
}

// run starts everything, makes the trouble and waits until all is over.
func (w *world) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, w.plan.load+rowWithin, fmt.Errorf("the row took longer than %v", w.plan.load+rowWithin))
	defer cancel()
	if err := w.start(ctx); err != nil {
		return err
	}
	if err := w.loadAndTrouble(ctx); err != nil {
		return err
	}
	if err := w.awaitEnd(ctx); err != nil {
		return err
	}
	w.stopMembers()
	return w.judge(ctx)
}

// rowWithin is how long a row may take beside its load: asynq needs two minutes for
// what a killed worker had in hand, and that may be killed again.
const rowWithin = 6 * time.Minute

// loadAndTrouble enqueues everything, and makes trouble as long as that takes.
func (w *world) loadAndTrouble(ctx context.Context) error {
	group, gctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		defer close(w.loaded)
		return w.client.load(gctx, notifications(w.plan.n), w.plan.load/time.Duration(max(w.row.hurry, 1)))
	})
	group.Go(func() error {
		if err := w.awaitArrivals(gctx, 1); err != nil {
			return err
		}
		if err := w.row.trouble(gctx, w); err != nil {
			return fmt.Errorf("trouble: %w", err)
		}
		return nil
	})
	err := group.Wait()
	w.disarm()
	return err
}
