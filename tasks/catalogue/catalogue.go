package catalogue

import (
	"context"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// Catalogue reads and writes the lists. It is safe for concurrent use. Close it
// before its connection.
type Catalogue struct {
	rdb  redis.UniversalClient
	ns   tasks.Namespace
	jobs *tasks.Client
	now  func() time.Time

	mu       sync.Mutex
	apps     map[string]*held
	closed   bool
	readings sync.WaitGroup
}

// held is what this process knows of one app.
type held struct {
	view *view // nil before the first that could be read
	// tried is when Redis was last asked, reading closed when that has ended; nil if
	// nobody asks.
	tried   time.Time
	reading chan struct{}
	// asked is the last slot in which a worker was asked to read.
	asked int64
}

// view is an app's templates as this process saw them in Redis. It never changes.
type view struct {
	list      *List
	templates map[string]*Template
	types     map[string]tasks.TemplateType
	wanted    map[string]time.Time
	seen      time.Time
}

var nothing = &view{list: &List{}}

const (
	// freshFor is how long what was seen in Redis answers for templates that are in it;
	// then it is read again behind the scenes.
	freshFor = 20 * time.Second
	// staleAfter is when it is no longer good enough to go on with in the meantime.
	staleAfter = time.Minute
	// missingFor is freshFor for templates that are not in it, and how long nobody asks
	// a Redis that did not answer.
	missingFor = 5 * time.Second
	// readWithin bounds one reading.
	readWithin = 2 * time.Second
)

// New returns a catalogue on a connection made by tasks.ConnectRedis.
func New(rdb redis.UniversalClient, ns tasks.Namespace) *Catalogue {
	return &Catalogue{rdb: rdb, ns: ns, jobs: tasks.NewClient(rdb, ns), now: time.Now, apps: map[string]*held{}}
}

// Close waits for what is being read. After it, what was known stays known.
func (c *Catalogue) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.readings.Wait()
}

// Type tells how long a consent to a template lasts; tasks.TypeUnknown if the list
// does not name it or cannot be read. It asks Redis at most every few seconds.
func (c *Catalogue) Type(ctx context.Context, app, template string) tasks.TemplateType {
	return c.find(ctx, app, template).types[template]
}

// find returns the newest view that is worth its price: as a rule the one in memory.
func (c *Catalogue) find(ctx context.Context, app, template string) *view {
	v, reading, wait := c.look(app, template)
	if wait {
		select {
		case <-reading:
		case <-ctx.Done():
		}
		v, _, _ = c.look(app, template)
	}
	return v
}

// look returns what is known, and starts a reading if that is due. wait says that its
// end should be awaited.
func (c *Catalogue) look(app, template string) (v *view, reading <-chan struct{}, wait bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.held(app)
	v = nothing
	if h.view != nil {
		v = h.view
	}
	now := c.now()
	age := now.Sub(v.seen)
	_, known := v.types[template]
	if known && age < freshFor || !known && age < missingFor {
		return v, nil, false
	}
	if h.reading == nil && now.Sub(h.tried) >= missingFor && !c.closed {
		c.start(app, h, now)
	}
	return v, h.reading, h.reading != nil && (!known || age >= staleAfter)
}

// held is an app's; c.mu is held.
func (c *Catalogue) held(app string) *held {
	h := c.apps[app]
	if h == nil {
		h = &held{}
		c.apps[app] = h
	}
	return h
}

// start reads an app's templates behind the scenes, one reading at a time. c.mu is held.
func (c *Catalogue) start(app string, h *held, now time.Time) {
	done := make(chan struct{})
	h.tried, h.reading = now, done
	c.readings.Go(func() {
		ctx, cancel := context.WithTimeout(context.Background(), readWithin)
		defer cancel()
		v, err := c.read(ctx, app)
		c.mu.Lock()
		defer c.mu.Unlock()
		if err == nil { // else what was known before is better than nothing
			h.view = v
		}
		h.reading = nil
		close(done)
	})
}

// keep remembers what was read.
func (c *Catalogue) keep(app string, v *view) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.held(app).view = v
}

// forget makes the next look a reading.
func (c *Catalogue) forget(app string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.apps, app)
}
