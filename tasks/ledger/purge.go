package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// How long what is over is remembered, until the next purge.
const (
	// sourcesFor is how long a grant that comes again is recognised. A used form
	// id must be until it would have expired.
	sourcesFor = FormIDLife
	// subscriptionsFor is how long a subscription of which nothing is left is shown.
	subscriptionsFor = 90 * 24 * time.Hour
	// erasedFor is how long what was enqueued before an erasure is stopped: nothing
	// waits longer, but as a dead letter, whose retention is added. That of a message
	// to several may be kept after one of them was erased.
	erasedFor = openTTL
)

// Purged counts what a purge deleted.
type Purged struct {
	FormIDs, Subscriptions, Sources int64
}

// Purge deletes what is over: expired form ids, subscriptions of which nothing is
// left since subscriptionsFor, sources older than sourcesFor. What is over is not
// used either way; this makes room. It works for about budget, 0 meaning to the
// end, and says whether all was walked. The next call with the same run goes on
// from there, in whichever process; nothing is counted twice.
func (l *Ledger) Purge(ctx context.Context, run int64, budget time.Duration) (Purged, bool, error) {
	now, err := l.clock(ctx)
	if err != nil {
		return Purged{}, false, err
	}
	cursors, err := l.loadProgress(ctx, run)
	if err != nil {
		return Purged{}, false, err
	}
	var total Purged
	w := &walk{l: l, pattern: l.ns.Key("[cf]:{*"), cursors: cursors}
	w.visit = func(ctx context.Context, keys []string) error {
		p, err := l.purgeKeys(ctx, keys, now)
		total.FormIDs += p.FormIDs
		total.Subscriptions += p.Subscriptions
		total.Sources += p.Sources
		return err
	}
	if err := purgeScript.Load(ctx, l.rdb).Err(); err != nil {
		return total, false, fmt.Errorf("ledger: purge: %w", err)
	}
	finished, err := w.run(ctx, budget)
	return total, finished && err == nil, joinProgress(err, l.saveProgress(w.cursors, run))
}

// purgeKeys purges the keys of one step in one round trip.
func (l *Ledger) purgeKeys(ctx context.Context, keys []string, now time.Time) (Purged, error) {
	forms := make([]*redis.IntCmd, 0, len(keys))
	consents := make([]*redis.Cmd, 0, len(keys))
	formIDs := l.ns.Key("f:")
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			if strings.HasPrefix(key, formIDs) {
				forms = append(forms, p.ZRemRangeByScore(ctx, key, "-inf", strconv.FormatInt(now.UnixMilli(), 10)))
				continue
			}
			consents = append(consents, p.EvalSha(ctx, purgeScript.Hash(), []string{key},
				now.Add(-sourcesFor).Unix(), now.Add(-subscriptionsFor).Unix(), now.Add(-erasedFor-l.o.DeadRetention).UnixMilli()))
		}
		return nil
	})
	var p Purged
	for _, cmd := range forms {
		p.FormIDs += cmd.Val()
	}
	for _, cmd := range consents {
		counts, _ := cmd.Int64Slice()
		if len(counts) == 2 {
			p.Sources += counts[0]
			p.Subscriptions += counts[1]
		}
	}
	if err != nil {
		return p, fmt.Errorf("ledger: purge: %w", err)
	}
	return p, nil
}

// clock is Redis's: a worker's that is ahead would delete what still counts.
func (l *Ledger) clock(ctx context.Context) (time.Time, error) {
	now, err := l.rdb.Time(ctx).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ledger: read the clock: %w", err)
	}
	return now, nil
}

// progressFor is how long an unfinished purge can be taken up.
const progressFor = 24 * time.Hour

// progressKey holds how far a run came on each server, by its run id.
func (l *Ledger) progressKey(run int64) string {
	return l.ns.Key("purge:" + strconv.FormatInt(run, 10))
}

func (l *Ledger) loadProgress(ctx context.Context, run int64) (map[string]string, error) {
	cursors, err := l.rdb.HGetAll(ctx, l.progressKey(run)).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: purge: read progress: %w", err)
	}
	return cursors, nil
}

// saveProgress writes how far the run came, also when its context has ended.
func (l *Ledger) saveProgress(cursors map[string]string, run int64) error {
	if len(cursors) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, l.progressKey(run), cursors)
		p.Expire(ctx, l.progressKey(run), progressFor)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: purge: save progress: %w", err)
	}
	return nil
}

// joinProgress reports the walk's own error first.
func joinProgress(walked, saved error) error {
	if walked != nil {
		return walked
	}
	return saved
}
