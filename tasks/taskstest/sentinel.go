package taskstest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MasterName is what the sentinels of a Sentinel call their master.
const MasterName = "wxnotify"

// Sentinel is a master, a replica and three sentinels that watch them, all
// processes on 127.0.0.1.
type Sentinel struct {
	// URL is its redis-sentinel:// URL, which names every sentinel.
	URL string
	// Servers are the master and the replica, as they were started.
	Servers []*Server
	// Watchers are the sentinels.
	Watchers []*Server
}

// StartSentinel starts a master, its replica and three sentinels with a quorum of
// two, and stops them when the test ends. A master that ends is replaced after
// two or three seconds. More arguments are passed to master and replica.
func StartSentinel(t testing.TB, args ...string) *Sentinel {
	t.Helper()
	return startSentinel(t, time.Second, args...)
}

// startSentinel lets the sentinels give a silent master up after downAfter.
func startSentinel(t testing.TB, downAfter time.Duration, args ...string) *Sentinel {
	t.Helper()
	ports := freePorts(t, 5)
	args = append([]string{"--repl-diskless-sync-delay", "0"}, args...)
	s := &Sentinel{Servers: []*Server{
		startRedis(t, ports[0], args...),
		startRedis(t, ports[1], append([]string{"--replicaof", "127.0.0.1 " + strconv.Itoa(ports[0])}, args...)...),
	}}
	await(t, s.Servers, s.replicating)
	addrs := make([]string, 0, 3)
	for _, port := range ports[2:] {
		w := startWatcher(t, port, ports[0], downAfter)
		s.Watchers = append(s.Watchers, w)
		addrs = append(addrs, w.Addr)
	}
	await(t, s.Watchers, s.watching)
	s.URL = fmt.Sprintf("redis-sentinel://%s/0?master_name=%s&addr=%s", addrs[0], MasterName, strings.Join(addrs[1:], "&addr="))
	return s
}

// startWatcher starts a sentinel; it keeps what it learns in its configuration.
func startWatcher(t testing.TB, port, master int, downAfter time.Duration) *Server {
	t.Helper()
	w := newServer(t, port)
	conf := filepath.Join(w.dir, "sentinel.conf")
	text := fmt.Sprintf("port %d\nbind 127.0.0.1\ndir %s\nlogfile %s\n"+
		"sentinel monitor %s 127.0.0.1 %d 2\nsentinel down-after-milliseconds %s %d\nsentinel failover-timeout %s 5000\n",
		port, w.dir, w.logFile(), MasterName, master, MasterName, downAfter.Milliseconds(), MasterName)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatalf("taskstest: write the configuration of a sentinel: %v", err)
	}
	w.args = []string{conf, "--sentinel"}
	w.Start(t)
	return w
}

// replicating complains as long as the replica does not follow the master.
func (s *Sentinel) replicating() string {
	if status := s.Servers[1].info("info", "replication")["master_link_status"]; status != "up" {
		return "the replica's link is " + status
	}
	return ""
}

// watching complains about a sentinel that does not know the replica and the
// other sentinels yet: it could not replace the master.
func (s *Sentinel) watching() string {
	want := fmt.Sprintf("slaves=1,sentinels=%d", len(s.Watchers))
	for _, w := range s.Watchers {
		if known := w.info("info", "sentinel")["master0"]; !strings.HasSuffix(known, want) {
			return "sentinel " + w.Addr + " knows " + known
		}
	}
	return ""
}

// Master returns the server that all living sentinels call master.
func (s *Sentinel) Master(t testing.TB) *Server {
	t.Helper()
	var master *Server
	await(t, s.Watchers, func() string {
		addrs := s.masterAddrs()
		for _, server := range s.Servers {
			if len(addrs) == 1 && addrs[server.Addr] {
				master = server
				return ""
			}
		}
		return fmt.Sprintf("the sentinels disagree: %v", addrs)
	})
	return master
}

// masterAddrs are the masters the living sentinels name: one, if they agree.
func (s *Sentinel) masterAddrs() map[string]bool {
	addrs := map[string]bool{}
	for _, w := range s.Watchers {
		if !w.running() {
			continue
		}
		parts, err := w.command("sentinel", "get-master-addr-by-name", MasterName).StringSlice()
		if err != nil || len(parts) != 2 {
			return nil
		}
		addrs[net.JoinHostPort(parts[0], parts[1])] = true
	}
	return addrs
}

// AwaitFailover returns the new master once the sentinels have replaced one that
// was killed and it takes writes.
func (s *Sentinel) AwaitFailover(t testing.TB, dead *Server) *Server {
	t.Helper()
	await(t, append(s.Watchers, s.Servers...), func() string {
		if addrs := s.masterAddrs(); len(addrs) != 1 || addrs[dead.Addr] {
			return fmt.Sprintf("the sentinels name %v after the end of %s", addrs, dead.Addr)
		}
		for _, server := range s.Servers {
			if server != dead && server.info("info", "replication")["role"] == "master" {
				return ""
			}
		}
		return "the replica is no master yet"
	})
	return s.Master(t)
}

// Switch makes the sentinels replace the master while it lives, and returns the
// new one. The old one becomes its replica.
func (s *Sentinel) Switch(t testing.TB) *Server {
	t.Helper()
	old := s.Master(t)
	s.Watchers[0].must(t, "sentinel", "failover", MasterName)
	return s.AwaitFailover(t, old)
}
