package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
	// cursors holds how far each server was walked, by its run id; one that is not
	// in it is walked from its beginning, done stands for its end.
	cursors map[string]string
}

const done = "done"

// run goes on until all is walked or budget is used up, which 0 never is; it takes
// one step at least. A cursor means nothing to another server, nor to the same one
// after a restart: one that took over meanwhile is walked as well.
func (w *walk) run(ctx context.Context, budget time.Duration) (finished bool, err error) {
	began := time.Now()
	for {
		nodes, err := w.l.nodes(ctx)
		if err != nil {
			return false, err
		}
		name := w.undone(nodes)
		if name == "" {
			return true, nil
		}
		for w.cursors[name] != done {
			if err := w.stepAndRest(ctx, name, nodes[name]); err != nil {
				return false, err
			}
			if budget > 0 && time.Since(began) > budget {
				return false, nil
			}
		}
	}
}

// undone names a server that is not walked to its end, "" if there is none.
func (w *walk) undone(nodes map[string]redis.Cmdable) string {
	for name := range nodes {
		if w.cursors[name] != done {
			return name
		}
	}
	return ""
}

// stepAndRest rests as long as the step took, so that others get their turn.
func (w *walk) stepAndRest(ctx context.Context, name string, node redis.Cmdable) error {
	began := time.Now()
	if err := w.step(ctx, name, node); err != nil {
		return err
	}
	return rest(ctx, time.Since(began))
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

// nodes are the servers that hold keys, by their run id.
func (l *Ledger) nodes(ctx context.Context) (map[string]redis.Cmdable, error) {
	cluster, is := l.rdb.(*redis.ClusterClient)
	if !is {
		id, err := runID(ctx, l.rdb)
		return map[string]redis.Cmdable{id: l.rdb}, err
	}
	var mu sync.Mutex
	nodes := map[string]redis.Cmdable{}
	err := cluster.ForEachMaster(ctx, func(ctx context.Context, c *redis.Client) error {
		id, err := runID(ctx, c)
		mu.Lock()
		defer mu.Unlock()
		nodes[id] = c
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("ledger: list the nodes of the cluster: %w", err)
	}
	return nodes, nil
}

// runID names one run of a server's process. A server that does not tell, as some
// managed ones and the embedded one, goes by its address.
func runID(ctx context.Context, node redis.Cmdable) (string, error) {
	text, err := node.Info(ctx, "server").Result()
	if _, answered := errors.AsType[redis.Error](err); err != nil && !answered {
		return "", fmt.Errorf("ledger: ask a server for its name: %w", err)
	}
	for line := range strings.Lines(text) {
		if id, ok := strings.CutPrefix(strings.TrimSpace(line), "run_id:"); ok {
			return id, nil
		}
	}
	return nameOf(node), nil
}

func nameOf(node redis.Cmdable) string {
	if c, is := node.(*redis.Client); is {
		return c.Options().Addr
	}
	return "node"
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
