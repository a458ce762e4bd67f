// Package catalogue keeps the templates of each app as last read from WeChat.
// WeChat gives the call that lists them a small daily quota, so one worker reads
// them and all share what it found.
package catalogue

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// Template is what is kept of one template.
type Template struct {
	ID   string
	Type tasks.TemplateType
}

// Catalogue reads and writes the lists. It is safe for concurrent use.
type Catalogue struct {
	rdb redis.UniversalClient
	ns  tasks.Namespace
	now func() time.Time

	mu   sync.Mutex
	apps map[string]list
}

// list is an app's templates as this process saw them last.
type list struct {
	types map[string]tasks.TemplateType
	seen  time.Time
}

// How long a list seen in Redis answers: for templates it names, and for others.
const (
	freshFor   = time.Minute
	missingFor = 5 * time.Second
)

// New returns a catalogue on a connection made by tasks.ConnectRedis.
func New(rdb redis.UniversalClient, ns tasks.Namespace) *Catalogue {
	return &Catalogue{rdb: rdb, ns: ns, now: time.Now, apps: map[string]list{}}
}

func (c *Catalogue) key(app string) string { return c.ns.Key("templates:" + app) }

// Store replaces the list of an app by what WeChat answered.
func (c *Catalogue) Store(ctx context.Context, app string, templates []Template) error {
	fields := make([]any, 0, 2*len(templates))
	for _, t := range templates {
		fields = append(fields, t.ID, int(t.Type))
	}
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, c.key(app))
		if len(fields) > 0 {
			p.HSet(ctx, c.key(app), fields...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("catalogue: store: %w", err)
	}
	c.forget(app)
	return nil
}

func (c *Catalogue) forget(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.apps, app)
}

// Type tells how long a consent to a template lasts; tasks.TypeUnknown if the list
// does not name it or cannot be read. It asks Redis at most every few seconds.
func (c *Catalogue) Type(ctx context.Context, app, template string) tasks.TemplateType {
	known := c.cached(app)
	t, ok := known.types[template]
	age := c.now().Sub(known.seen)
	if ok && age < freshFor || !ok && age < missingFor {
		return t
	}
	types, err := c.Types(ctx, app)
	if err != nil {
		return t // what was known before is better than nothing
	}
	return types[template]
}

func (c *Catalogue) cached(app string) list {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.apps[app]
}

// Types reads an app's list from Redis. The map must not be changed.
func (c *Catalogue) Types(ctx context.Context, app string) (map[string]tasks.TemplateType, error) {
	entries, err := c.rdb.HGetAll(ctx, c.key(app)).Result()
	if err != nil {
		return nil, fmt.Errorf("catalogue: read: %w", err)
	}
	types := make(map[string]tasks.TemplateType, len(entries))
	for id, text := range entries {
		n, _ := strconv.Atoi(text) // unreadable is unknown
		types[id] = tasks.TemplateType(n)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.apps[app] = list{types: types, seen: c.now()}
	return types, nil
}
