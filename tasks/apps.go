package tasks

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Served is the list of apps that workers serve, kept in Redis by the workers
// and read by producers, who know no AppID of their own: a mistyped app is
// refused when it is enqueued, and not left in a queue that nobody reads.
type Served struct {
	rdb redis.UniversalClient
	key string

	mu   sync.Mutex
	apps map[string]bool
	read time.Time
}

// servedFresh is how long a list read from Redis answers for apps it names;
// an app it does not name is looked up again at once.
const servedFresh = time.Minute

// NewServed returns the list of a namespace.
func NewServed(rdb redis.UniversalClient, ns Namespace) *Served {
	return &Served{rdb: rdb, key: ns.Key("apps")}
}

// Announce records that a worker serves apps since now. Entries stay: a fleet
// that is down for a night must not make producers refuse.
func (s *Served) Announce(ctx context.Context, apps []string, now time.Time) error {
	if len(apps) == 0 {
		return nil
	}
	values := make([]any, 0, 2*len(apps))
	for _, app := range apps {
		values = append(values, app, now.Unix())
	}
	if err := s.rdb.HSet(ctx, s.key, values...).Err(); err != nil {
		return fmt.Errorf("tasks: announce apps: %w", err)
	}
	return nil
}

// Knows reports whether a worker serves or served app. Before the first worker
// started nobody can tell, and every app passes.
func (s *Served) Knows(ctx context.Context, app string) (bool, error) {
	if s.fresh(app) {
		return true, nil
	}
	apps, err := s.load(ctx) // not under the lock: a hanging Redis must hold each caller only once
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps, s.read = apps, time.Now()
	return len(apps) == 0 || apps[app], nil
}

func (s *Served) fresh(app string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.apps[app] && time.Since(s.read) < servedFresh
}

func (s *Served) load(ctx context.Context) (map[string]bool, error) {
	names, err := s.rdb.HKeys(ctx, s.key).Result()
	if err != nil {
		return nil, fmt.Errorf("tasks: read apps: %w", err)
	}
	apps := make(map[string]bool, len(names))
	for _, name := range names {
		apps[name] = true
	}
	return apps, nil
}
