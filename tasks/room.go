package tasks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// At maxmemory Redis refuses even to hand out a task, and what fills it could never
// drain. So producers stop earlier, and callbacks, acknowledgements and settlements
// have the rest.
const (
	// SendsUntil is the share of maxmemory from which on no notification is stored.
	SendsUntil = 0.85
	// ConsentsUntil is the same for consents: they are small, and the user who gave
	// one is not going to give it again.
	ConsentsUntil = 0.95
	// PushesUntil is the same for what WeChat pushes, which it pushes again: without a
	// worker, pushes alone would take the room that workers need to begin.
	PushesUntil = 0.97
)

var (
	// ErrMemoryFull says that Redis is too full to store more. Remedy: let the workers drain the
	// queues, raise maxmemory, or forget outcomes sooner (WXNOTIFY_DEDUPE_WINDOW).
	ErrMemoryFull = errors.New("tasks: redis is near its maxmemory; let workers drain the queues, or raise maxmemory")
	// ErrQueueFull says that as many notifications of the app wait as may.
	ErrQueueFull = errors.New("tasks: as many notifications of this app wait as may; let workers drain its queues, or raise WXNOTIFY_MAX_QUEUED")
)

// Room says whether more may be stored, at next to no cost: it asks Redis once a
// second, and more often only near the limit. It is safe for concurrent use; one
// per process is enough.
type Room struct {
	client    *Client
	maxQueued int64
	memory    *gauge

	mu     sync.Mutex
	queues map[string]*gauge // by app
}

// NewRoom returns the room of client's Redis. Of each app, at most about maxQueued
// notifications may wait; 0: any number. It does not count what other processes add
// between two looks.
func NewRoom(client *Client, maxQueued int) *Room {
	return &Room{
		client: client, maxQueued: int64(max(maxQueued, 0)), queues: map[string]*gauge{},
		memory: newGauge(func(ctx context.Context) (level, error) { return memoryLevel(ctx, client.rdb) }),
	}
}

// ForNotification runs store, which stores a notification, if there is room for it. The
// error is ErrMemoryFull, ErrQueueFull, ctx's or store's.
func (r *Room) ForNotification(ctx context.Context, e Envelope, store func() error) error {
	if r.maxQueued > 0 {
		enqueue := store
		store = func() error { return fit(ctx, r.queue(e.App), 1, 1, ErrQueueFull, enqueue) }
	}
	return fit(ctx, r.memory, weight(e), SendsUntil, ErrMemoryFull, store)
}

// ForConsent is ForNotification for what a user allowed. The error is ErrMemoryFull,
// ctx's or store's.
func (r *Room) ForConsent(ctx context.Context, store func() error) error {
	return fit(ctx, r.memory, consentWeight, ConsentsUntil, ErrMemoryFull, store)
}

// ForPush is ForNotification for what WeChat pushed. The error is ErrMemoryFull, ctx's or
// store's.
func (r *Room) ForPush(ctx context.Context, store func() error) error {
	return fit(ctx, r.memory, pushWeight, PushesUntil, ErrMemoryFull, store)
}

func fit(ctx context.Context, g *gauge, n int64, share float64, full error, store func() error) error {
	fits, err := g.add(ctx, n, share)
	switch {
	case err != nil:
		return err
	case !fits:
		return full
	}
	defer g.stored(n)
	return store()
}

// queue is the gauge of an app's waiting notifications.
func (r *Room) queue(app string) *gauge {
	r.mu.Lock()
	defer r.mu.Unlock()
	g := r.queues[app]
	if g == nil {
		g = newGauge(func(ctx context.Context) (level, error) {
			n, err := r.client.Waiting(ctx, app)
			return level{used: n, limit: r.maxQueued}, err
		})
		r.queues[app] = g
	}
	return g
}

// What Redis keeps for one thing that is stored, in bytes, about. It only bridges
// the time between two looks at what is really used.
const (
	taskWeight    = 700 // without the texts of the notification
	consentWeight = 300
	pushWeight    = 900
)

func weight(e Envelope) int64 {
	n := taskWeight + 3*len(e.ID)
	if e.Page != nil {
		n += len(*e.Page)
	}
	for key, value := range e.Data {
		n += len(key) + len(value)
	}
	return int64(n)
}

// Waiting is how many notifications of an app wait in its lanes: pending, scheduled
// or for another attempt. It costs one round trip.
func (c *Client) Waiting(ctx context.Context, app string) (int64, error) {
	var cmds []*redis.IntCmd
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, lane := range Priorities() {
			queue := c.ns.Queue(app, lane)
			cmds = append(cmds, p.LLen(ctx, pendingKey(queue)), p.ZCard(ctx, scheduledKey(queue)), p.ZCard(ctx, retryKey(queue)))
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("tasks: count what waits: %w", err)
	}
	var n int64
	for _, cmd := range cmds {
		n += cmd.Val()
	}
	return n, nil
}

// scheduledKey and retryKey are where asynq keeps the tasks whose time is to come. As
// with pendingKey, tests hold these lines against the real thing.
func scheduledKey(queue string) string { return "asynq:{" + queue + "}:scheduled" }

func retryKey(queue string) string { return "asynq:{" + queue + "}:retry" }

// OutOfMemory reports whether Redis refused a command because it is at its
// maxmemory. By text: asynq passes on no more, and before 7.0 a script's error has
// it in the middle.
func OutOfMemory(err error) bool {
	return err != nil && strings.Contains(err.Error(), "OOM command not allowed")
}
