package producer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// Notification is one message to one recipient; see the fields for what is
// required and what has a default.
type Notification = tasks.Notification

// Recipient names who gets a notification.
type Recipient = tasks.Recipient

// answerWithin bounds every call: a caller learns within 2 s that Redis hangs.
const answerWithin = 2 * time.Second

// commandTimeout bounds one command, so that the bound above leaves room for
// the clear error.
const commandTimeout = 1500 * time.Millisecond

// Client enqueues notifications, tells what became of them, and keeps what users
// allowed. It is safe for concurrent use; one per process is enough.
type Client struct {
	rdb    redis.UniversalClient
	tasks  *tasks.Client
	ledger *ledger.Ledger
	served *tasks.Served
	pauses *ledger.Pauses
	stats  *tasks.Stats
	zone   *time.Location
	room   *tasks.Room
	// catalogue is what is sent is judged by.
	catalogue *catalogue.Catalogue
	// types looks up an app's templates by id; nil: every template's type is unknown.
	types func(ctx context.Context, app string) map[string]tasks.TemplateType
}

// Option changes how a client is made.
type Option func(*settings)

type settings struct {
	namespace tasks.Namespace
	poolSize  int
	maxQueued int
	zone      *time.Location
}

// WithNamespace sets the namespace, WXNOTIFY_NAMESPACE of the workers. Default: none.
func WithNamespace(ns string) Option {
	return func(s *settings) { s.namespace = tasks.Namespace(ns) }
}

// WithPoolSize bounds the connections to Redis. Default: ten per CPU.
func WithPoolSize(n int) Option {
	return func(s *settings) { s.poolSize = n }
}

// WithMaxQueued lets at most about n notifications of one app wait; beyond that Send
// answers ErrBusy. It counts what all producers enqueued, and looks at it once a
// second or more often. Default 0: Redis's memory alone is the limit.
func WithMaxQueued(n int) Option {
	return func(s *settings) { s.maxQueued = n }
}

// WithTimezone sets the zone that tells the days of Stats apart: WXNOTIFY_TIMEZONE of
// the workers. Default Asia/Shanghai.
func WithTimezone(zone *time.Location) Option {
	return func(s *settings) { s.zone = zone }
}

// New returns a client for a redis://, rediss://, redis-sentinel:// or
// redis-cluster:// URL. It opens no connection, so it does not fail when Redis
// is away; the first Send does. Close it when done.
func New(redisURL string, options ...Option) (*Client, error) {
	s := settings{zone: shanghai}
	for _, o := range options {
		o(&s)
	}
	if err := s.namespace.Check(); err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	rdb, err := tasks.ConnectRedis(redisURL, tasks.RedisOptions{Timeout: commandTimeout, MaxRetries: 1, PoolSize: s.poolSize})
	if err != nil {
		return nil, fmt.Errorf("producer: %w", err)
	}
	queues, templates := tasks.NewClient(rdb, s.namespace), catalogue.New(rdb, s.namespace)
	return &Client{
		rdb:       rdb,
		tasks:     queues,
		ledger:    ledger.New(rdb, s.namespace, ledger.Options{}),
		served:    tasks.NewServed(rdb, s.namespace),
		pauses:    ledger.NewPauses(rdb, s.namespace),
		stats:     tasks.NewStats(rdb, s.namespace),
		zone:      s.zone,
		room:      tasks.NewRoom(queues, s.maxQueued),
		catalogue: templates,
		types:     typesFrom(templates),
	}, nil
}

// typesFrom looks types up in the list that workers keep. Without it every type is
// unknown, which is no reason to fail.
func typesFrom(c *catalogue.Catalogue) func(context.Context, string) map[string]tasks.TemplateType {
	return func(ctx context.Context, app string) map[string]tasks.TemplateType {
		types, err := c.Types(ctx, app)
		if err != nil {
			return nil
		}
		return types
	}
}

// Close closes the connections. Calls under way fail.
func (c *Client) Close() error {
	c.catalogue.Close()
	if err := c.rdb.Close(); err != nil && !errors.Is(err, redis.ErrClosed) {
		return fmt.Errorf("producer: close: %w", err)
	}
	return nil
}

// Ping reports whether Redis answers; the error is ErrUnavailable, also for ErrForbidden.
func (c *Client) Ping(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := c.rdb.Ping(ctx).Err(); err != nil {
		return unavailable(ctx, err)
	}
	return nil
}
