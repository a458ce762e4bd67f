package taskstest_test

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func connect(t *testing.T, url string) redis.UniversalClient {
	t.Helper()
	rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// set writes the keys and complains if one is refused.
func set(t *testing.T, rdb redis.UniversalClient, keys ...string) string {
	for _, key := range keys {
		if err := rdb.Set(t.Context(), key, "v", 0).Err(); err != nil {
			return err.Error()
		}
	}
	return ""
}

func TestSentinelFailsOver(t *testing.T) {
	t.Parallel()
	s := taskstest.StartSentinel(t)
	rdb := connect(t, s.URL)
	if trouble := set(t, rdb, "a"); trouble != "" {
		t.Fatal(trouble)
	}
	dead := s.Master(t)
	if dead != s.Servers[0] {
		t.Errorf("the master is %s, want the first server", dead.Addr)
	}
	dead.Kill()
	if now := s.AwaitFailover(t, dead); now != s.Servers[1] || s.Master(t) != now {
		t.Errorf("the master is %s, want the second server", now.Addr)
	}
	taskstest.Eventually(t, 20*time.Second, func() string { return set(t, rdb, "a") })
}

func TestClusterTakesOver(t *testing.T) {
	t.Parallel()
	c := taskstest.StartCluster(t, 1)
	rdb := connect(t, c.URL)
	if trouble := set(t, rdb, "a", "b", "c"); trouble != "" {
		t.Fatal(trouble)
	}
	dead := c.Master(t, "a")
	dead.Kill()
	c.AwaitTakeover(t, dead)
	if now := c.Master(t, "a"); now == dead {
		t.Errorf("%s is still the master", now.Addr)
	}
	// The client learns from the others where the keys are now.
	taskstest.Eventually(t, 20*time.Second, func() string { return set(t, rdb, "a", "b", "c") })
}
