package worker

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// tallyEvery is how often a worker adds its counts to the stats: what one that is killed
// has counted since is missing there.
const tallyEvery = 5 * time.Second

// tally counts what became of notifications and adds it to the stats, in batches that
// count once.
type tally struct {
	stats  *tasks.Stats
	days   *time.Location
	log    *slog.Logger
	now    func() time.Time
	writer string

	mu     sync.Mutex
	counts batch

	// The batch on its way, for the flush alone.
	flushing sync.Mutex
	number   int64
	pending  batch
}

// batch are counts by app and day.
type batch map[tasks.StatsDay]map[tasks.StatsField]int64

func newTally(s *tasks.Stats, days *time.Location, log *slog.Logger) *tally {
	return &tally{stats: s, days: days, log: log, now: time.Now, writer: ledger.NewAttempt(), counts: batch{}}
}

func (t *tally) count(app string, f tasks.StatsField) {
	day := tasks.StatsDay{App: app, Day: t.now().In(t.days).Format(time.DateOnly)}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.counts[day] == nil {
		t.counts[day] = make(map[tasks.StatsField]int64)
	}
	t.counts[day][f]++
}

// flush adds what was counted. What Redis does not take now is added as the same batch
// later, since nobody knows whether it did; what was counted meanwhile follows it at once.
func (t *tally) flush(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	t.flushing.Lock()
	defer t.flushing.Unlock()
	if !t.add(ctx) {
		return
	}
	t.pending = t.take()
	t.number++
	t.add(ctx)
}

// add adds the batch on its way, and reports whether all of it is in Redis.
func (t *tally) add(ctx context.Context) bool {
	for day, counts := range t.pending {
		if err := t.stats.Add(ctx, day, t.writer, t.number, counts); err != nil {
			t.log.Warn("counts not added to the stats yet, trying again", "error", err)
			return false
		}
		delete(t.pending, day)
	}
	return true
}

func (t *tally) take() batch {
	t.mu.Lock()
	defer t.mu.Unlock()
	taken := t.counts
	t.counts = batch{}
	return taken
}
