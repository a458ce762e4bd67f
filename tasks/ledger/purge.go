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
	// waits longer.
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
	var total Purged
	w := &walk{l: l, pattern: l.ns.Key("[cf]:{*"), cursors: map[string]string{}}
	w.visit = func(ctx context.Context, keys []string) error {
		p, err := l.purgeKeys(ctx, keys)
		total.FormIDs += p.FormIDs
		total.Subscriptions += p.Subscriptions
		total.Sources += p.Sources
		return err
	}
	if err := l.loadProgress(ctx, w.cursors, run); err != nil {
		return total, false, err
	}
	if err := purgeScript.Load(ctx, l.rdb).Err(); err != nil {
		return total, false, fmt.Errorf("ledger: purge: %w", err)
	}
	finished, err := w.run(ctx, budget)
	return total, finished && err == nil, joinProgress(err, l.saveProgress(w.cursors, run))
}

// purgeKeys purges the keys of one step in one round trip.
func (l *Ledger) purgeKeys(ctx context.Context, keys []string) (Purged, error) {
	now := time.Now()
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
				now.Add(-sourcesFor).Unix(), now.Add(-subscriptionsFor).Unix(), now.Add(-erasedFor).UnixMilli()))
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

// progressFor is how long an unfinished purge can be taken up.
const progressFor = 24 * time.Hour

func (l *Ledger) progressKey() string { return l.ns.Key("purge") }

func (l *Ledger) loadProgress(ctx context.Context, cursors map[string]string, run int64) error {
	all, err := l.rdb.HGetAll(ctx, l.progressKey()).Result()
	if err != nil {
		return fmt.Errorf("ledger: purge: read progress: %w", err)
	}
	prefix := strconv.FormatInt(run, 10) + " "
	for field, cursor := range all {
		if node, ok := strings.CutPrefix(field, prefix); ok {
			cursors[node] = cursor
		}
	}
	return nil
}

// saveProgress writes how far the run came, also when its context has ended.
func (l *Ledger) saveProgress(cursors map[string]string, run int64) error {
	if len(cursors) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	fields := make([]any, 0, 2*len(cursors))
	for node, cursor := range cursors {
		fields = append(fields, strconv.FormatInt(run, 10)+" "+node, cursor)
	}
	_, err := l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.HSet(ctx, l.progressKey(), fields...)
		p.Expire(ctx, l.progressKey(), progressFor)
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
