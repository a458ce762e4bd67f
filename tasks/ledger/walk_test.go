package ledger

import (
	"context"
	"strconv"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// The server ends in the middle of a walk and another process takes over, to which
// the cursor means nothing: all keys are visited all the same.
func TestWalkVisitsAllWhenAnotherServerTakesOver(t *testing.T) {
	t.Parallel()
	const n = 20 * scanCount
	server := taskstest.StartRedis(t, "--appendonly", "yes")
	rdb := server.Client(t)
	_, err := rdb.Pipelined(t.Context(), func(p redis.Pipeliner) error {
		for i := range n {
			p.Set(t.Context(), "wxn:c:{"+strconv.Itoa(i)+"}", "", 0)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	w := &walk{l: New(rdb, "", Options{}), pattern: "wxn:[cf]:{*", cursors: map[string]string{}}
	w.visit = func(_ context.Context, keys []string) error {
		before := len(seen)
		for _, key := range keys {
			seen[key] = true
		}
		if before < n/2 && len(seen) >= n/2 {
			server.Stop(t)
			server.Start(t)
		}
		return nil
	}
	if finished, err := w.run(t.Context(), 0); err != nil || !finished {
		t.Fatal(finished, err)
	}
	if len(seen) != n {
		t.Errorf("%d keys were visited, want all %d", len(seen), n)
	}
}
