package taskstest

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// masters is how many masters a Cluster has; fewer than three cannot agree on a
// takeover.
const masters = 3

// slots is how many hash slots a Redis Cluster has.
const slots = 16384

// Cluster is a Redis Cluster of redis-server processes on 127.0.0.1.
type Cluster struct {
	// URL is its redis-cluster:// URL, which names every node.
	URL string
	// Servers are the three masters and then their replicas, as they were started.
	Servers []*Server
}

// StartCluster starts a Redis Cluster of three masters with so many replicas each
// and stops it when the test ends. It takes two seconds: a master does not answer
// earlier. With replicas, a master that ends is replaced within seconds; without,
// nodes are never given up. More arguments are passed to every node. It needs
// Redis 7, the first that can be told its bus port.
func StartCluster(t testing.TB, replicas int, args ...string) *Cluster {
	t.Helper()
	// A busy machine must not look like a dead node where nobody could take over.
	nodeTimeout := 15 * time.Second
	if replicas > 0 {
		nodeTimeout = 2 * time.Second
	}
	c := &Cluster{}
	n := masters * (1 + replicas)
	ports := freePorts(t, 2*n)
	for i := range n {
		bus := strconv.Itoa(ports[n+i])
		own := append([]string{"--cluster-enabled", "yes", "--cluster-port", bus,
			"--cluster-node-timeout", strconv.FormatInt(nodeTimeout.Milliseconds(), 10),
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0"}, args...)
		c.Servers = append(c.Servers, startRedis(t, ports[i], own...))
	}
	c.join(t, ports)
	c.URL = "redis-cluster://" + c.Servers[0].Addr + "?addr=" + strings.Join(c.addrs()[1:], "&addr=")
	return c
}

// join makes one cluster of the nodes.
func (c *Cluster) join(t testing.TB, ports []int) {
	t.Helper()
	for i, s := range c.Servers {
		s.must(t, "cluster", "set-config-epoch", i+1)
		if i < masters {
			s.must(t, "cluster", "addslotsrange", slots*i/masters, slots*(i+1)/masters-1)
		}
	}
	for i := 1; i < len(c.Servers); i++ {
		c.Servers[0].must(t, "cluster", "meet", "127.0.0.1", ports[i], ports[len(c.Servers)+i])
	}
	c.await(t, c.meeting)
	for i := masters; i < len(c.Servers); i++ {
		c.Servers[i].must(t, "cluster", "replicate", c.Servers[i%masters].must(t, "cluster", "myid"))
	}
	c.await(t, c.trouble)
}

// meeting complains about a node that does not know all others yet.
func (c *Cluster) meeting() string {
	for _, s := range c.Servers {
		if known := s.info("cluster", "info")["cluster_known_nodes"]; known != strconv.Itoa(len(c.Servers)) {
			return s.Addr + " knows " + known + " nodes"
		}
	}
	return ""
}

// trouble complains about a living node that does not serve or replicate.
func (c *Cluster) trouble() string {
	for _, s := range c.Servers {
		if !s.running() {
			continue
		}
		if state := s.info("cluster", "info")["cluster_state"]; state != "ok" {
			return s.Addr + " says that the cluster's state is " + state
		}
		if info := s.info("info", "replication"); info["role"] == "slave" && info["master_link_status"] != "up" {
			return s.Addr + " does not replicate"
		}
	}
	return ""
}

// await polls check and shows what the nodes wrote if it keeps complaining.
func (c *Cluster) await(t testing.TB, check func() string) {
	t.Helper()
	await(t, c.Servers, check)
}

// Master returns the master that serves key, by what the living nodes say.
func (c *Cluster) Master(t testing.TB, key string) *Server {
	t.Helper()
	var master *Server
	c.await(t, func() string {
		var err error
		master, err = c.owner(key)
		if err != nil {
			return err.Error()
		}
		return ""
	})
	return master
}

// owner asks a living node who serves key.
func (c *Cluster) owner(key string) (*Server, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rdb, err := tasks.ConnectRedis(c.URL, tasks.RedisOptions{Timeout: time.Second})
	if err != nil {
		return nil, err
	}
	defer func() { _ = rdb.Close() }()
	node, err := rdb.(*redis.ClusterClient).MasterForKey(ctx, key)
	if err != nil {
		return nil, fmt.Errorf("taskstest: master of %s: %w", key, err)
	}
	for _, s := range c.Servers {
		if s.Addr == node.Options().Addr && s.running() {
			return s, nil
		}
	}
	return nil, fmt.Errorf("taskstest: the master of %s is %s, which has ended", key, node.Options().Addr)
}

// AwaitTakeover returns once a replica has taken over from a master that was
// killed, and the cluster serves all keys again.
func (c *Cluster) AwaitTakeover(t testing.TB, dead *Server) {
	t.Helper()
	c.await(t, func() string {
		if n := c.mastersWithSlots(); n < masters {
			return fmt.Sprintf("%d living masters, want %d after the end of %s", n, masters, dead.Addr)
		}
		return c.trouble()
	})
}

// mastersWithSlots counts the living nodes that serve keys.
func (c *Cluster) mastersWithSlots() int {
	n := 0
	for _, s := range c.Servers {
		if s.running() && s.info("info", "replication")["role"] == "master" {
			n++
		}
	}
	return n
}

func (c *Cluster) addrs() []string {
	addrs := make([]string, len(c.Servers))
	for i, s := range c.Servers {
		addrs[i] = s.Addr
	}
	return addrs
}

// Keys lists all keys that match pattern, on every master of a cluster.
func Keys(ctx context.Context, rdb redis.UniversalClient, pattern string) ([]string, error) {
	var mu sync.Mutex
	var keys []string
	err := OnMasters(ctx, rdb, func(ctx context.Context, node redis.Cmdable) error {
		found, err := node.Keys(ctx, pattern).Result()
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, found...)
		return err
	})
	return keys, err
}

// Flush deletes everything, on every master of a cluster.
func Flush(t testing.TB, rdb redis.UniversalClient) {
	t.Helper()
	err := OnMasters(t.Context(), rdb, func(ctx context.Context, node redis.Cmdable) error { return node.FlushAll(ctx).Err() })
	if err != nil {
		t.Fatalf("taskstest: flush: %v", err)
	}
}

// OnMasters calls f for each master of a cluster, at the same time, or for the one
// server.
func OnMasters(ctx context.Context, rdb redis.UniversalClient, f func(context.Context, redis.Cmdable) error) error {
	if cluster, is := rdb.(*redis.ClusterClient); is {
		return cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return f(ctx, node) })
	}
	return f(ctx, rdb)
}

// await polls check for half a minute and then fails with all that servers wrote.
func await(t testing.TB, servers []*Server, check func() string) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			for _, s := range servers {
				t.Logf("%s wrote:\n%s", s.Addr, s.log())
			}
			t.Fatalf("taskstest: %s", complaint)
		}
		<-time.After(50 * time.Millisecond)
	}
}
