package ledger

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// scanCount is about how many keys one step looks at: few enough to hold Redis
// for about half a millisecond.
const scanCount = 500

// visitCount is how many keys are dealt with at once: the embedded Redis returns all
// in one step, and takes its time for each.
const visitCount = 250

// walk looks at every key of Redis once, step by step.
type walk struct {
	l       *Ledger
	pattern string
	// visit deals with some of the keys of one step that match.
	visit func(ctx context.Context, keys []string) error
	// cursors holds how far each node was walked; a node that is not in it is
	// walked from its beginning, done stands for its end.
	cursors map[string]string
}

const done = "done"

// run goes on until all is walked or budget is used up, which 0 never is; it takes
// one step at least. It rests as long as each step took, so that others get their turn.
func (w *walk) run(ctx context.Context, budget time.Duration) (finished bool, err error) {
	nodes, err := w.l.nodes(ctx)
	if err != nil {
		return false, err
	}
	began := time.Now()
	for name, node := range nodes {
		for w.cursors[name] != done {
			step := time.Now()
			if err := w.step(ctx, name, node); err != nil {
				return false, err
			}
			if err := rest(ctx, time.Since(step)); err != nil {
				return false, err
			}
			if budget > 0 && time.Since(began) > budget {
				return false, nil
			}
		}
	}
	return true, nil
}

func (w *walk) step(ctx context.Context, name string, node redis.Cmdable) error {
	from, _ := strconv.ParseUint(w.cursors[name], 10, 64) // "" is the beginning
	keys, next, err := node.Scan(ctx, from, w.pattern, scanCount).Result()
	if err != nil {
		return fmt.Errorf("ledger: walk keys: %w", err)
	}
	for few := range slices.Chunk(keys, visitCount) {
		if err := w.visit(ctx, few); err != nil {
			return err
		}
	}
	w.cursors[name] = strconv.FormatUint(next, 10)
	if next == 0 {
		w.cursors[name] = done
	}
	return nil
}

// nodes are the servers that hold keys, by name.
func (l *Ledger) nodes(ctx context.Context) (map[string]redis.Cmdable, error) {
	cluster, is := l.rdb.(*redis.ClusterClient)
	if !is {
		return map[string]redis.Cmdable{"node": l.rdb}, nil
	}
	var mu sync.Mutex
	nodes := map[string]redis.Cmdable{}
	err := cluster.ForEachMaster(ctx, func(_ context.Context, c *redis.Client) error {
		mu.Lock()
		defer mu.Unlock()
		nodes[c.Options().Addr] = c
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: list the nodes of the cluster: %w", err)
	}
	return nodes, nil
}

func rest(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
