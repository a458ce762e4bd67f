package tasks

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Quotas is what WeChat said last about each app's daily quotas, kept in Redis: the
// worker that asked writes it, all workers and `check` read it.
type Quotas struct {
	rdb redis.UniversalClient
	key string
}

// QuotaKey names one quota: of an app's calls to one API, by its short name.
type QuotaKey struct{ App, API string }

// Quota is what is known of one quota. All times are Redis's.
type Quota struct {
	// Limit, Used and Remain are calls a day, as of ReadAt.
	Limit  int64 `json:"limit,omitempty"`
	Used   int64 `json:"used,omitempty"`
	Remain int64 `json:"remain,omitempty"`
	// RateCalls are allowed in each RatePeriod; both zero if WeChat did not tell.
	RateCalls  int64         `json:"rate_calls,omitempty"`
	RatePeriod time.Duration `json:"rate_period,omitempty"`
	// ReadAt is when the numbers were read; zero if there are none.
	ReadAt time.Time `json:"read_at,omitzero"`
	// AskedAt is when WeChat was asked last.
	AskedAt time.Time `json:"asked_at,omitzero"`
	// Trouble is why that brought no numbers; "" if it did.
	Trouble string `json:"trouble,omitempty"`
	// Withheld says that WeChat does not tell this quota at all.
	Withheld bool `json:"withheld,omitempty"`
}

const (
	// quotaFresh is how long the numbers are worth showing.
	quotaFresh = time.Hour
	// quotaAhead is how far in the future they may seem to be read: the clocks of a
	// Redis and of the one that took over for it differ.
	quotaAhead = time.Minute
)

// Known reports whether the numbers are there and, at now, not older than an hour.
func (q Quota) Known(now time.Time) bool {
	age := now.Sub(q.ReadAt)
	return q.Limit > 0 && q.Remain >= 0 && q.Remain <= q.Limit && age <= quotaFresh && age >= -quotaAhead
}

// NewQuotas returns the quotas of a namespace.
func NewQuotas(rdb redis.UniversalClient, ns Namespace) *Quotas {
	return &Quotas{rdb: rdb, key: ns.Key("quota")}
}

// Read returns all that is known, and what time it is on Redis's clock.
func (s *Quotas) Read(ctx context.Context) (known map[QuotaKey]Quota, now time.Time, err error) {
	if now, err = s.rdb.Time(ctx).Result(); err != nil {
		return nil, time.Time{}, fmt.Errorf("tasks: read quotas: %w", err)
	}
	entries, err := s.rdb.HGetAll(ctx, s.key).Result()
	if err != nil {
		return nil, time.Time{}, fmt.Errorf("tasks: read quotas: %w", err)
	}
	known = make(map[QuotaKey]Quota, len(entries))
	for field, entry := range entries {
		app, api, ok := strings.Cut(field, ";")
		var q Quota
		if ok && json.Unmarshal([]byte(entry), &q) == nil { // else as if never asked
			known[QuotaKey{app, api}] = q
		}
	}
	return known, now, nil
}

// Store replaces what is known of one quota.
func (s *Quotas) Store(ctx context.Context, k QuotaKey, q Quota) error {
	entry, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("tasks: encode quota: %w", err)
	}
	if err := s.rdb.HSet(ctx, s.key, k.App+";"+k.API, entry).Err(); err != nil {
		return fmt.Errorf("tasks: store quota: %w", err)
	}
	return nil
}
