package tasks

import (
	"cmp"
	"context"
	"fmt"
	"strings"
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
	apps map[string]ConsentPolicy
	read time.Time
}

// ConsentPolicy is how an app's workers keep its users' consent.
type ConsentPolicy struct {
	Mode   CreditMode
	Source ConsentSource
}

// CreditMode says what the ledger of consents decides.
type CreditMode string

const (
	// CreditsOff: no books are kept of subscriptions.
	CreditsOff CreditMode = "off"
	// CreditsObserve: books are kept, and every message is sent. The default.
	CreditsObserve CreditMode = "observe"
	// CreditsEnforce: what no consent covers is not sent.
	CreditsEnforce CreditMode = "enforce"
)

// ConsentSource says whose word adds a credit. Only one does, or one acceptance
// would count twice.
type ConsentSource string

const (
	// ConsentEvent: WeChat's push. The default.
	ConsentEvent ConsentSource = "event"
	// ConsentReport: what the Mini Program reports through POST /v1/subscriptions.
	ConsentReport ConsentSource = "report"
)

// How long a list read from Redis answers for apps it names, when asked whether an
// app is served and when asked how its consents are kept. An app it does not name
// is looked up again at once.
const (
	servedFresh  = time.Minute
	consentFresh = 3 * time.Second
)

// NewServed returns the list of a namespace.
func NewServed(rdb redis.UniversalClient, ns Namespace) *Served {
	return &Served{rdb: rdb, key: ns.Key("apps")}
}

// Announce records that a worker serves apps at now, and how it keeps their users'
// consent. Entries stay: a fleet that is down for a night must not make producers refuse.
func (s *Served) Announce(ctx context.Context, apps map[string]ConsentPolicy, now time.Time) error {
	if len(apps) == 0 {
		return nil
	}
	values := make([]any, 0, 2*len(apps))
	for app, p := range apps {
		values = append(values, app, fmt.Sprintf("%d;%s;%s", now.Unix(), p.Mode, p.Source))
	}
	if err := s.rdb.HSet(ctx, s.key, values...).Err(); err != nil {
		return fmt.Errorf("tasks: announce apps: %w", err)
	}
	return nil
}

// Knows reports whether a worker serves or served app. Before the first worker
// started nobody can tell, and every app passes.
func (s *Served) Knows(ctx context.Context, app string) (bool, error) {
	_, known, any, err := s.find(ctx, app, servedFresh)
	return known || err == nil && !any, err
}

// Consent returns how an app's workers keep its users' consent; false if no
// worker has announced the app.
func (s *Served) Consent(ctx context.Context, app string) (ConsentPolicy, bool, error) {
	p, known, _, err := s.find(ctx, app, consentFresh)
	return p, known, err
}

// find looks an app up; any says whether there is any app at all.
func (s *Served) find(ctx context.Context, app string, fresh time.Duration) (p ConsentPolicy, known, any bool, err error) {
	if p, known := s.recent(app, fresh); known {
		return p, true, true, nil
	}
	apps, err := s.All(ctx) // not under the lock: a hanging Redis must hold each caller only once
	if err != nil {
		return ConsentPolicy{}, false, false, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apps, s.read = apps, time.Now()
	p, known = apps[app]
	return p, known, len(apps) > 0, nil
}

func (s *Served) recent(app string, fresh time.Duration) (ConsentPolicy, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, known := s.apps[app]
	return p, known && time.Since(s.read) < fresh
}

// All lists the apps that workers serve or served, and how each keeps its users' consent.
func (s *Served) All(ctx context.Context) (map[string]ConsentPolicy, error) {
	entries, err := s.rdb.HGetAll(ctx, s.key).Result()
	if err != nil {
		return nil, fmt.Errorf("tasks: read apps: %w", err)
	}
	apps := make(map[string]ConsentPolicy, len(entries))
	for app, entry := range entries {
		f := append(strings.Split(entry, ";"), "", "") // earlier workers wrote the time alone
		apps[app] = ConsentPolicy{
			Mode: cmp.Or(CreditMode(f[1]), CreditsObserve), Source: cmp.Or(ConsentSource(f[2]), ConsentEvent),
		}
	}
	return apps, nil
}
