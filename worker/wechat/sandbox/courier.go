package sandbox

import (
	"context"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// defaultPushTimeout is how long WeChat waits for the answer of a push.
	defaultPushTimeout = 5 * time.Second
	// pushTries is how often WeChat tries.
	pushTries = 3
	// maxCarriers bounds the pushes of one app at the same time.
	maxCarriers = 32
	// maxWaiting bounds the pushes of one app that wait.
	maxWaiting = 1 << 16
	// maxEventNames bounds the names that pushes are counted by; further ones are counted together.
	maxEventNames = 100
	otherEvents   = "other"
)

// PushReport counts the pushes of one event. What is neither answered nor failed is still under way.
type PushReport struct {
	// Sent counts the pushes, each repeat for itself.
	Sent int64 `json:"sent"`
	// Answered counts those answered as they must be: HTTP 200 with no body or success.
	Answered int64 `json:"answered"`
	// Failed counts those given up on, or answered 200 with anything else.
	Failed int64 `json:"failed"`
	// Retried counts the further tries of pushes that were not answered in time, or not 200.
	Retried int64 `json:"retried"`
}

// office sends the pushes of a sandbox. It can be closed, and opened again.
type office struct {
	timeout time.Duration
	client  *http.Client

	mu    sync.Mutex
	shift *shift // nil while closed
}

// shift is the time from an opening to the next closing.
type shift struct {
	ctx     context.Context
	end     context.CancelFunc
	working sync.WaitGroup
}

func newOffice(timeout time.Duration) *office {
	if timeout <= 0 {
		timeout = defaultPushTimeout
	}
	o := &office{timeout: timeout, client: &http.Client{ // without a proxy: the callback is a neighbour
		Transport:     &http.Transport{MaxIdleConnsPerHost: maxCarriers, IdleConnTimeout: 30 * time.Second},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
	o.open()
	return o
}

// open lets pushes be sent. It does nothing if they are already.
func (o *office) open() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shift == nil {
		ctx, end := context.WithCancel(context.Background())
		o.shift = &shift{ctx: ctx, end: end}
	}
}

// close ends all pushes and waits for their goroutines.
func (o *office) close() {
	o.mu.Lock()
	s := o.shift
	o.shift = nil
	o.mu.Unlock()
	if s != nil {
		s.end()
		s.working.Wait()
	}
	o.client.CloseIdleConnections()
}

// start runs f, unless the office is closed. f must return soon after its context ends.
func (o *office) start(f func(context.Context)) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.shift == nil {
		return false
	}
	ctx := o.shift.ctx
	o.shift.working.Go(func() { f(ctx) })
	return true
}

// Close ends the sandbox's pushes and waits for their goroutines; those that waited are counted as dropped. The sandbox
// goes on answering calls, and the next Start lets it push again. It may be called more than once.
func (s *Server) Close() { s.pushes.close() }

// delivery is some events that are pushed one after another.
type delivery struct {
	target *target
	events []event
	due    time.Time     // of the first
	early  bool          // before the answer of the send it is about
	done   chan struct{} // closed when all was pushed or dropped; may be nil
}

// await waits for the end of an early delivery, for the time of one push at most and no longer than ctx.
func (d *delivery) await(ctx context.Context, timeout time.Duration) {
	if d.done == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, time.Until(d.due)+timeout)
	defer cancel()
	select {
	case <-d.done:
	case <-ctx.Done():
	}
}

func (d *delivery) finish() {
	if d.done != nil {
		close(d.done)
	}
}

// courier carries the pushes of one app. Its goroutines, the carriers, exist only while there is something to carry.
type courier struct {
	office *office
	now    func() time.Time

	mu       sync.Mutex
	queue    []delivery
	waiting  int // events in queue
	carriers int
	counts   map[string]*PushReport
	dropped  int64
}

func newCourier(o *office, now func() time.Time) *courier {
	return &courier{office: o, now: now, counts: map[string]*PushReport{}}
}

// post takes a delivery, or drops it when too much waits or the office is closed.
func (c *courier) post(d delivery) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting+len(d.events) > maxWaiting || !c.staffed() {
		c.drop(d)
		return
	}
	c.queue = append(c.queue, d)
	c.waiting += len(d.events)
}

// staffed sees to a carrier for one more delivery, and tells whether there is any.
func (c *courier) staffed() bool {
	if c.carriers < maxCarriers && c.office.start(c.carry) {
		c.carriers++
	}
	return c.carriers > 0
}

func (c *courier) drop(d delivery) {
	c.dropped += int64(len(d.events))
	d.finish()
}

// carry pushes what waits until nothing does or ctx ends.
func (c *courier) carry(ctx context.Context) {
	for {
		d, ok := c.next(ctx)
		if !ok {
			return
		}
		pause(ctx, time.Until(d.due))
		for _, e := range d.events {
			c.push(ctx, d.target, e)
		}
		d.finish()
	}
}

// next takes the oldest delivery. With none left, or at the end of ctx, the carrier is dismissed; the latter empties the queue.
func (c *courier) next(ctx context.Context) (delivery, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ctx.Err() != nil {
		for _, d := range c.queue {
			c.drop(d)
		}
		c.queue, c.waiting = nil, 0
	}
	if len(c.queue) == 0 {
		c.queue = nil
		c.carriers--
		return delivery{}, false
	}
	d := c.queue[0]
	c.queue[0] = delivery{}
	c.queue = c.queue[1:]
	c.waiting -= len(d.events)
	return d, true
}

// push pushes one event, up to three times.
func (c *courier) push(ctx context.Context, t *target, e event) {
	count := c.counter(e.name)
	c.add(&count.Sent)
	for try := 1; ; try++ {
		switch right, answered := c.try(ctx, t, e); {
		case right:
			c.add(&count.Answered)
			return
		case answered, try == pushTries, ctx.Err() != nil:
			c.add(&count.Failed)
			return
		}
		pause(ctx, c.office.timeout/pushTries)
		c.add(&count.Retried)
	}
}

// try pushes once. It tells whether the answer was 200, and whether it was the right one.
func (c *courier) try(ctx context.Context, t *target, e event) (right, answered bool) {
	ctx, cancel := context.WithTimeout(ctx, c.office.timeout)
	defer cancel()
	r, err := t.request(ctx, e, c.now())
	if err != nil {
		return false, false
	}
	resp, err := c.office.client.Do(r)
	if err != nil {
		return false, false
	}
	defer func() { _ = resp.Body.Close() }() // read-only, nothing to lose
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1024))
	if err != nil || resp.StatusCode != http.StatusOK {
		return false, false
	}
	return len(body) == 0 || string(body) == "success", true
}

// counter returns where the pushes of an event are counted. After restart it counts for nobody.
func (c *courier) counter(name string) *PushReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.counts[name]; !ok && len(c.counts) >= maxEventNames {
		name = otherEvents
	}
	if c.counts[name] == nil {
		c.counts[name] = &PushReport{}
	}
	return c.counts[name]
}

func (c *courier) add(n *int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*n++
}

// restart forgets what was pushed; what waits goes on.
func (c *courier) restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts, c.dropped = map[string]*PushReport{}, 0
}

func (c *courier) report() (map[string]PushReport, int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	pushes := make(map[string]PushReport, len(c.counts))
	for name, count := range c.counts {
		pushes[name] = *count
	}
	return pushes, c.dropped
}
