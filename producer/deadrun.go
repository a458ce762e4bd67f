package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// DeadRun says how dead letters are dealt with.
type DeadRun struct {
	// Rate is how many are dealt with per second. Required.
	Rate int
	// Limit is how many are dealt with at most. 0: all.
	Limit int
	// Within bounds the time; what is left is for another run. 0: no bound.
	Within time.Duration
	// DryRun only counts, at no rate.
	DryRun bool
	// Progress is told the counts after each letter, one call at a time.
	Progress func(DeadCounts)
}

// DeadCounts tells what became of the letters that the filter chose.
type DeadCounts struct {
	// Matched counts them all; Done those that were replayed or dropped, or would be.
	Matched, Done int
	// Expired counts those whose not_after is over, which a replay leaves alone.
	Expired int
	// Skipped counts those that are no dead letter any more, or never were; those
	// that a newer version wrote; and, of those to be dropped, what is in its queue again.
	Skipped int
	// More says that the run stopped at its limit or its time before the end.
	More bool
}

// ReplayDead brings dead letters back into their queues, those that died first at
// the front, under their ids and with their not_after; those that are dead when it
// begins: what dies again meanwhile is left for another run. It may be interrupted and
// repeated: a letter is forgotten once its notification is queued, and one that is
// queued already is not queued again. The counts hold with an error, too. Errors:
// *ValidationError, ErrUnknownApp, ErrUnavailable, or ctx's.
func (c *Client) ReplayDead(ctx context.Context, f DeadFilter, o DeadRun) (DeadCounts, error) {
	return c.runDead(ctx, f, o, replayable, c.replayLetter)
}

// DropDead forgets dead letters and deletes their tasks. The notifications stay
// dead, and cannot be replayed any more. It may be interrupted and repeated. Errors
// are those of ReplayDead.
func (c *Client) DropDead(ctx context.Context, f DeadFilter, o DeadRun) (DeadCounts, error) {
	return c.runDead(ctx, f, o, func(ledger.DeadLetter) deadResult { return dealtWith }, c.dropLetter)
}

// deadResult is what becomes of one letter.
type deadResult int

const (
	dealtWith deadResult = iota
	tooOld
	passedOver
)

func replayable(d ledger.DeadLetter) deadResult {
	if expired(d) {
		return tooOld
	}
	if _, err := d.Envelope(); err != nil {
		return passedOver
	}
	return dealtWith
}

// replayLetter queues first and forgets then: whatever stops it in between, the
// letter is there for another run.
func (c *Client) replayLetter(ctx context.Context, d ledger.DeadLetter) (deadResult, error) {
	if there, err := c.unchanged(ctx, d); err != nil || !there {
		return passedOver, err
	}
	e, err := d.Envelope()
	if err != nil { // replayable has seen to that
		return 0, err
	}
	if err := c.tasks.Replay(ctx, e); err != nil {
		return 0, err
	}
	return dealtWith, c.ledger.ForgetDead(ctx, d.App, d.ID, d.DiedAt)
}

// dropLetter deletes the task first: while it is there, a worker keeps its letter.
func (c *Client) dropLetter(ctx context.Context, d ledger.DeadLetter) (deadResult, error) {
	if there, err := c.unchanged(ctx, d); err != nil || !there {
		return passedOver, err
	}
	err := c.tasks.DropArchived(ctx, d.App, d.ID, d.Lane)
	if errors.Is(err, tasks.ErrTaskMoved) {
		return passedOver, nil
	}
	if err != nil {
		return 0, err
	}
	return dealtWith, c.ledger.ForgetDead(ctx, d.App, d.ID, d.DiedAt)
}

// unchanged reports whether a letter that was read a while ago is there still: another
// run beside this one may have dealt with it.
func (c *Client) unchanged(ctx context.Context, d ledger.DeadLetter) (bool, error) {
	now, err := c.ledger.DeadLetter(ctx, d.App, d.ID)
	if errors.Is(err, ledger.ErrNotFound) {
		return false, nil
	}
	return err == nil && now.DiedAt.Equal(d.DiedAt), err
}

var (
	detailRate      = "must be above 0: how many letters per second"
	detailDeadLimit = "must not be negative: how many letters at most"
)

func (c *Client) runDead(ctx context.Context, f DeadFilter, o DeadRun, judge func(ledger.DeadLetter) deadResult,
	act func(context.Context, ledger.DeadLetter) (deadResult, error)) (DeadCounts, error) {
	refused := f.check()
	refused.check(o.Rate > 0, "rate", detailRate)
	refused.check(o.Limit >= 0, "limit", detailDeadLimit)
	if err := refused.err(); err != nil {
		return DeadCounts{}, err
	}
	if err := c.serves(ctx, f.App); err != nil {
		return DeadCounts{}, err
	}
	f.IDs = slices.Compact(slices.Sorted(slices.Values(f.IDs)))
	r := &deadRun{client: c, filter: f, o: o, judge: judge, act: act, began: time.Now()}
	r.next = r.began
	err := r.all(ctx)
	return r.counts, err
}

// deadRun is one run of a replay or a drop.
type deadRun struct {
	client *Client
	filter DeadFilter
	o      DeadRun
	// judge says what will become of a letter, act does it.
	judge func(ledger.DeadLetter) deadResult
	act   func(context.Context, ledger.DeadLetter) (deadResult, error)
	began time.Time
	// until is when the last letter died that this run deals with.
	until time.Time
	// next is when the rate allows the next one.
	next time.Time

	mu     sync.Mutex
	counts DeadCounts
}

// deadRunPage is how many letters a run reads at once.
const deadRunPage = 200

func (r *deadRun) all(ctx context.Context) error {
	if found, err := r.bound(ctx); err != nil || !found {
		return err
	}
	for cursor := ""; ; {
		room := deadRunPage
		if r.o.Limit > 0 {
			room = min(room, r.o.Limit-r.counts.Done)
		}
		if room == 0 {
			return r.lookAhead(ctx, cursor)
		}
		page, missing, next, err := r.fetch(ctx, cursor, room)
		if err != nil {
			return err
		}
		r.counts.Skipped += missing
		if stopped, err := r.page(ctx, page); stopped || err != nil {
			r.counts.More = stopped
			return err
		}
		if cursor = next; next == "" {
			return nil
		}
	}
}

// bound has the run end with what is listed now: what it replays and what dies again
// comes after that. It reports whether there is anything to do. Named letters are dealt
// with once each anyway.
func (r *deadRun) bound(ctx context.Context) (found bool, err error) {
	if len(r.filter.IDs) > 0 {
		return true, nil
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if r.until, err = r.client.ledger.NewestDead(ctx, r.filter.App); err != nil {
		return false, unavailable(ctx, err)
	}
	return !r.until.IsZero(), nil
}

// lookAhead finds out whether the limit left anything to do.
func (r *deadRun) lookAhead(ctx context.Context, cursor string) error {
	for {
		page, _, next, err := r.fetch(ctx, cursor, deadRunPage)
		if err != nil {
			return err
		}
		for _, d := range page {
			if r.judge(d) == dealtWith {
				r.counts.More = true
				return nil
			}
		}
		if cursor = next; next == "" {
			return nil
		}
	}
}

// fetch reads at most n letters. missing counts ids of which there is none.
func (r *deadRun) fetch(ctx context.Context, cursor string, n int) (page []ledger.DeadLetter, missing int, next string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	if len(r.filter.IDs) > 0 {
		return r.fetchNamed(ctx, cursor, n)
	}
	filter := r.filter.ledger()
	filter.Until = r.until
	page, next, err = r.client.ledger.DeadLetters(ctx, r.filter.App, filter, cursor, n)
	if err != nil {
		return nil, 0, "", unavailable(ctx, err)
	}
	return page, 0, next, nil
}

// fetchNamed reads letters by their ids; its cursor is a number of ids.
func (r *deadRun) fetchNamed(ctx context.Context, cursor string, n int) (page []ledger.DeadLetter, missing int, next string, err error) {
	from, _ := strconv.Atoi(cursor) // "" is the beginning
	to := min(from+n, len(r.filter.IDs))
	for _, id := range r.filter.IDs[from:to] {
		d, err := r.client.ledger.DeadLetter(ctx, r.filter.App, id)
		switch {
		case errors.Is(err, ledger.ErrNotFound):
			missing++
		case err != nil:
			return nil, 0, "", unavailable(ctx, err)
		case r.filter.covers(d):
			page = append(page, d)
		}
	}
	if to < len(r.filter.IDs) {
		next = strconv.Itoa(to)
	}
	return page, missing, next, nil
}

// page deals with some letters, several at a time as the rate demands: each takes a
// few round trips. stopped says that the time was over before the end.
func (r *deadRun) page(ctx context.Context, letters []ledger.DeadLetter) (stopped bool, err error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(min(1+r.o.Rate/50, parallelSends))
	for _, d := range letters {
		result := r.judge(d)
		if result != dealtWith || r.o.DryRun {
			r.count(result)
			continue
		}
		if stopped = !r.pace(ctx); stopped {
			break
		}
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, answerWithin)
			defer cancel()
			result, err := r.act(ctx, d)
			if err != nil {
				return unavailable(ctx, err)
			}
			r.count(result)
			return nil
		})
	}
	ended := ctx.Err() // Wait ends this context too
	if err := g.Wait(); err != nil {
		return false, err
	}
	if ended != nil {
		return false, fmt.Errorf("producer: %w", ended)
	}
	return stopped, nil
}

// count notes what became of a letter.
func (r *deadRun) count(result deadResult) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.counts.Matched++
	switch result {
	case dealtWith:
		r.counts.Done++
	case tooOld:
		r.counts.Expired++
	case passedOver:
		r.counts.Skipped++
	}
	if r.o.Progress != nil {
		r.o.Progress(r.counts)
	}
}

// arrears is how much of the rate can be made up for after a delay.
const arrears = 50 * time.Millisecond

// pace waits until the rate allows one more, and reports false if the run's time or
// ctx is over by then.
func (r *deadRun) pace(ctx context.Context) bool {
	now := time.Now()
	if r.next.Before(now.Add(-arrears)) {
		r.next = now.Add(-arrears)
	}
	at := r.next
	if due := max(at.Sub(r.began), now.Sub(r.began)); r.o.Within > 0 && due >= r.o.Within {
		return false
	}
	r.next = at.Add(time.Second / time.Duration(r.o.Rate))
	timer := time.NewTimer(time.Until(at))
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
