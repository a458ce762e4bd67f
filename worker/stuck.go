package worker

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
)

const (
	// stuckEvery is how often every worker looks for tasks without a lease.
	stuckEvery = time.Minute
	// stuckAfter is how long a task must have been without one: it was seen at two looks.
	stuckAfter = stuckEvery - 5*time.Second
	// stuckTimeout bounds one look.
	stuckTimeout = 5 * time.Second
)

// stuck brings back tasks that are active and that nobody has a lease on. Any number
// of workers may look at the same queues.
type stuck struct {
	queues  []string
	tasks   *tasks.Client
	metrics *metrics.Metrics
	log     *slog.Logger
	now     func() time.Time
	// seen holds, by queue and task, what the last look found.
	seen map[string]map[string]*sighting
}

// sighting is a task without a lease.
type sighting struct {
	first time.Time
	told  bool
}

func newStuck(c *tasks.Client, m *metrics.Metrics, log *slog.Logger) *stuck {
	return &stuck{tasks: c, metrics: m, log: log, now: time.Now, seen: make(map[string]map[string]*sighting)}
}

// watch must be called for every queue before the first look.
func (s *stuck) watch(queue string) { s.queues = append(s.queues, queue) }

// look is one look at all queues.
func (s *stuck) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, stuckTimeout)
	defer cancel()
	for _, queue := range s.queues {
		if err := s.lookAt(ctx, queue); err != nil {
			s.log.Warn("tasks without a lease not looked for", "error", err)
			return // Redis is away, for the others too
		}
	}
}

func (s *stuck) lookAt(ctx context.Context, queue string) error {
	ids, err := s.tasks.Leaseless(ctx, queue)
	if err != nil {
		return err
	}
	last, seen := s.seen[queue], make(map[string]*sighting, len(ids))
	for _, id := range ids {
		if seen[id] = last[id]; seen[id] == nil {
			seen[id] = &sighting{first: s.now()}
		}
	}
	s.seen[queue] = seen // those that are not among them any more were finished
	for id, found := range seen {
		if s.now().Sub(found.first) < stuckAfter {
			continue
		}
		if err := s.bringBack(ctx, queue, id, found); err != nil {
			return err
		}
	}
	return nil
}

// bringBack makes a task asynq's to recover. What cannot be brought back is told once.
func (s *stuck) bringBack(ctx context.Context, queue, id string, found *sighting) error {
	done, err := s.tasks.Expire(ctx, queue, id)
	switch {
	case errors.Is(err, tasks.ErrBroken):
		if !found.told {
			found.told = true
			s.metrics.StuckTask()
			s.log.Error("task is active without a lease and cannot be read, left as it is", "queue", queue, "task", id)
		}
	case err != nil:
		return err
	case done:
		s.metrics.StuckTask()
		s.log.Warn("task was active without a lease, it comes back", "queue", queue, "task", id)
	}
	return nil
}
