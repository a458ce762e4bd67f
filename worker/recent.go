package worker

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

const (
	// historyEvery is how often a worker looks whether Redis is still the one it was.
	historyEvery = time.Second
	// recentFor is how long a settlement is kept, at least, while Redis is.
	recentFor = 15 * time.Second
	// recentMost bounds how many of one such time are kept: about 26 MB of a busy worker for both.
	recentMost = 10_000
	// recentTogether is how many are recorded once more at a time.
	recentTogether = 32
	// recentTwice is how long after the first time all is recorded a second time: until
	// then the last commands to the old master have ended.
	recentTwice = 10 * time.Second
)

// recent keeps what was settled in the last seconds. A replica that takes over does not
// know the last that its master acknowledged, nor does a Redis that lost its host; asynq's
// acknowledgement may reach the new one all the same, and then nobody comes back to the
// notification. So it is all recorded once more, which changes only what is missing.
type recent struct {
	ledger  *ledger.Ledger
	ids     func(context.Context) ([]string, error)
	metrics *metrics.Metrics
	log     *slog.Logger
	now     func() time.Time

	mu        sync.Mutex
	last      []settlement // of the time before
	kept      []settlement // since began
	began     time.Time
	histories map[string]bool // nil until the first look
	due       []time.Time     // when all is recorded once more
}

// settlement is one of an admitted attempt, its number, and when it was recorded.
type settlement struct {
	ledger.Settlement
	attempt int
	at      time.Time
}

func newRecent(l *ledger.Ledger, ids func(context.Context) ([]string, error), m *metrics.Metrics, log *slog.Logger) *recent {
	return &recent{ledger: l, ids: ids, metrics: m, log: log, now: time.Now, began: time.Now()}
}

func (r *recent) add(s ledger.Settlement, attempt int, at time.Time) {
	if !s.Admitted {
		return // it may come anew
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) >= recentMost {
		r.turn()
	}
	r.kept = append(r.kept, settlement{s, attempt, at})
}

// turn begins another time.
func (r *recent) turn() { r.last, r.kept, r.began = r.kept, nil, r.now() }

// look records everything once more if Redis has another history than before. As long as
// Redis does not answer nothing is forgotten.
func (r *recent) look(ctx context.Context) {
	ids, err := r.ids(ctx)
	if len(ids) == 0 {
		return // Redis is away, and others tell
	}
	if list := r.missing(ids, err == nil); list != nil {
		r.repeat(ctx, list)
	}
}

// missing notes the histories and returns what is to be recorded once more now. complete
// says that every master told its own.
func (r *recent) missing(ids []string, complete bool) []settlement {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if r.changed(ids) {
		r.due = []time.Time{now, now.Add(recentTwice)}
	}
	if len(r.due) == 0 {
		if complete && now.Sub(r.began) >= recentFor {
			r.turn()
		}
		return nil
	}
	if now.Before(r.due[0]) {
		return nil
	}
	r.due = r.due[1:]
	return append(append([]settlement{}, r.last...), r.kept...)
}

// changed reports whether there is a history that was not there before.
func (r *recent) changed(ids []string) bool {
	first, changed := r.histories == nil, false
	if first {
		r.histories = make(map[string]bool)
	}
	for _, id := range ids {
		if id != "" && !r.histories[id] { // a managed Redis may keep it to itself
			r.histories[id], changed = true, true
		}
	}
	return changed && !first
}

func (r *recent) repeat(ctx context.Context, list []settlement) {
	var restored, failed atomic.Int64
	var g errgroup.Group
	g.SetLimit(recentTogether)
	for _, s := range list {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, settleTimeout)
			defer cancel()
			changed, err := r.ledger.Resettle(ctx, s.Settlement, s.attempt, s.at)
			switch {
			case errors.Is(err, ledger.ErrNewer): // dealt with since, and so it will stay
			case err != nil:
				failed.Add(1)
			case changed:
				restored.Add(1)
				r.metrics.Restored()
			}
			return nil
		})
	}
	_ = g.Wait() // none returns an error
	r.log.Warn("redis is another than before or began anew: what was settled in the last seconds is recorded once more",
		"settlements", len(list), "lost", restored.Load(), "failed", failed.Load())
	if failed.Load() > 0 {
		r.soon()
	}
}

// soon lets the next look repeat all.
func (r *recent) soon() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due = append([]time.Time{r.now()}, r.due...)
}
