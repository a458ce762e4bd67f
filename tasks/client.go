package tasks

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// ErrDuplicate says that a task with the same app and id is in its queue already.
var ErrDuplicate = errors.New("tasks: a notification with this id is queued already")

// ErrNoTask says that no queue holds a task with this app and id.
var ErrNoTask = errors.New("tasks: no queue holds this notification")

// Client puts tasks into Redis and finds them there. Producers and workers use
// the same one. It is safe for concurrent use and does not own its connection.
type Client struct {
	rdb       redis.UniversalClient
	ns        Namespace
	queue     *asynq.Client
	inspector *asynq.Inspector
	now       func() time.Time
}

// NewClient returns a client on a connection made by ConnectRedis.
func NewClient(rdb redis.UniversalClient, ns Namespace) *Client {
	return &Client{
		rdb:       rdb,
		ns:        ns,
		queue:     asynq.NewClientFromRedisClient(rdb),
		inspector: asynq.NewInspectorFromRedisClient(rdb),
		now:       time.Now,
	}
}

// Seal fills the defaults, makes an id where there is none, and judges the
// notification. The error is a *ValidationError, or says that no id could be made.
func (c *Client) Seal(n Notification) (Envelope, error) {
	now := c.now()
	if err := n.Validate(now); err != nil {
		return Envelope{}, err
	}
	n = n.WithDefaults()
	if !n.SendAt.After(now) {
		n.SendAt = time.Time{}
	}
	if n.ID == "" {
		id, err := NewID()
		if err != nil {
			return Envelope{}, err
		}
		n.ID = id
	}
	return Envelope{Notification: n, EnqueuedAt: now, Hash: n.ContentHash()}, nil
}

// Enqueue stores a sealed notification in its queue. Once it returns nil, the
// notification is Redis's to keep. ErrDuplicate: this lane holds the id already.
func (c *Client) Enqueue(ctx context.Context, e Envelope) error {
	taskType, payload, err := Encode(e)
	if err != nil {
		return err
	}
	opts := notificationOptions(c.ns.Queue(e.App, e.Priority), TaskID(e.App, e.ID), e.SendAt)
	_, err = c.queue.EnqueueContext(ctx, asynq.NewTask(taskType, payload), opts...)
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return ErrDuplicate
	}
	if err != nil {
		return fmt.Errorf("tasks: enqueue: %w", err)
	}
	return nil
}

// queuesKey is the set of all queues.
const queuesKey = "asynq:queues"

// KeepQueues notes those queues of apps that hold a task or ever did. asynq's own clients
// do so once in their life, and in a Redis that began anew, or a replica that took over too
// early, they would find no task in a queue that they fill.
func (c *Client) KeepQueues(ctx context.Context, apps []string) error {
	queues := []string{c.ns.SystemQueue()}
	for _, app := range apps {
		queues = append(queues, c.ns.EventsQueue(app))
		for _, lane := range Priorities() {
			queues = append(queues, c.ns.Queue(app, lane))
		}
	}
	used := make([]*redis.IntCmd, len(queues))
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, queue := range queues {
			used[i] = p.Exists(ctx, pendingKey(queue), activeKey(queue), scheduledKey(queue), retryKey(queue), archivedKey(queue), processedKey(queue))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("tasks: look at queues: %w", err)
	}
	var found []any
	for i, queue := range queues {
		if used[i].Val() > 0 {
			found = append(found, queue)
		}
	}
	if len(found) == 0 {
		return nil
	}
	if err := c.rdb.SAdd(ctx, queuesKey, found...).Err(); err != nil {
		return fmt.Errorf("tasks: note queues: %w", err)
	}
	return nil
}

// Task is a notification's task as asynq holds it.
type Task struct {
	Envelope Envelope
	// State is asynq's: pending, active, scheduled, retry or archived.
	State asynq.TaskState
	// Failed reports whether an attempt failed.
	Failed bool
}

// Find looks for a notification's task in all lanes. ErrNoTask if none has it;
// other errors come from Redis or from Decode.
func (c *Client) Find(ctx context.Context, app, id string) (Task, error) {
	for _, lane := range Priorities() {
		info, err := within(ctx, func() (*asynq.TaskInfo, error) {
			return c.inspector.GetTaskInfo(c.ns.Queue(app, lane), TaskID(app, id))
		})
		if errors.Is(err, asynq.ErrTaskNotFound) || errors.Is(err, asynq.ErrQueueNotFound) {
			continue
		}
		if err != nil {
			return Task{}, fmt.Errorf("tasks: look up task: %w", err)
		}
		e, err := Decode(info.Type, info.Payload)
		if err != nil {
			return Task{}, err
		}
		return Task{Envelope: e, State: info.State, Failed: info.Retried > 0}, nil
	}
	return Task{}, ErrNoTask
}

// Queued reports whether any lane holds a task of this app and id. It costs one
// round trip, where Find costs up to three.
func (c *Client) Queued(ctx context.Context, app, id string) (bool, error) {
	cmds := make([]*redis.IntCmd, 0, len(Priorities()))
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, lane := range Priorities() {
			cmds = append(cmds, p.Exists(ctx, taskKey(c.ns.Queue(app, lane), TaskID(app, id))))
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("tasks: look up task: %w", err)
	}
	for _, cmd := range cmds {
		if cmd.Val() > 0 {
			return true, nil
		}
	}
	return false, nil
}

// taskKey is where asynq keeps a task, pendingKey the list of those that are next,
// the oldest last, archivedKey the set of those put aside. Their layout is asynq's own; tests hold these lines against the
// real thing.
func taskKey(queue, taskID string) string { return "asynq:{" + queue + "}:t:" + taskID }

func pendingKey(queue string) string { return "asynq:{" + queue + "}:pending" }

// processedKey counts all the tasks that were ever worked on.
func processedKey(queue string) string { return "asynq:{" + queue + "}:processed" }

func archivedKey(queue string) string { return "asynq:{" + queue + "}:archived" }

// within bounds a call that may know no context, as those of asynq's Inspector.
func within[T any](ctx context.Context, call func() (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	done := make(chan answer, 1)
	go func() {
		v, err := call()
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.value, a.err
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
