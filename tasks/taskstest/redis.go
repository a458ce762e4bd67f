// Package taskstest gives each test a real Redis of its own, for our tests and
// those of services that enqueue.
package taskstest

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// Server is a redis-server process of its own, on a free port of 127.0.0.1.
type Server struct {
	// URL is its redis:// URL.
	URL string
	// Addr is its host:port.
	Addr string

	dir  string
	args []string
	cmd  *exec.Cmd
	// ended is closed once the process has ended; exit says how.
	ended chan struct{}
	exit  error
}

// StartRedis starts a redis-server and stops it when the test ends. More
// arguments are passed on, such as "--appendonly", "yes". Without redis-server
// on the machine the test fails: a skipped test proves nothing.
func StartRedis(t testing.TB, args ...string) *Server {
	t.Helper()
	return startRedis(t, freePorts(t, 1)[0], args...)
}

func startRedis(t testing.TB, port int, args ...string) *Server {
	t.Helper()
	s := newServer(t, port)
	s.args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--logfile", s.logFile(), "--daemonize", "no"}, args...)
	s.Start(t)
	return s
}

// newServer names a server that has its folder but does not run yet. It is killed
// when the test ends.
func newServer(t testing.TB, port int) *Server {
	t.Helper()
	s := &Server{Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), dir: t.TempDir()}
	s.URL = "redis://" + s.Addr + "/0"
	t.Cleanup(s.Kill)
	return s
}

// Start runs the server, again after Stop or Kill, on the same port and folder.
func (s *Server) Start(t testing.TB) {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatal("taskstest: redis-server is needed: apt-get install redis-server, brew install redis, or run make test")
	}
	s.cmd = exec.Command(path, s.args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("taskstest: start redis-server: %v", err)
	}
	cmd, ended := s.cmd, make(chan struct{})
	s.ended = ended
	go func() {
		s.exit = cmd.Wait()
		close(ended)
	}()
	s.await(t)
}

// await returns once the server answers and has loaded its data.
func (s *Server) await(t testing.TB) {
	t.Helper()
	deadline := time.After(20 * time.Second)
	for !s.answers() {
		select {
		case <-s.ended:
			t.Fatalf("taskstest: redis-server ended: %v\n%s", s.exit, s.log())
		case <-deadline:
			t.Fatalf("taskstest: redis-server does not answer\n%s", s.log())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// answers asks without a client library, which would log every refused try.
func (s *Server) answers() bool {
	conn, err := net.DialTimeout("tcp", s.Addr, time.Second)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	// One that wants a password has loaded its data too: it accepts it at once.
	return err == nil && (strings.HasPrefix(answer, "+PONG") || strings.HasPrefix(answer, "-NOAUTH"))
}

// Stop shuts the server down as a service manager would, keeping what its
// configuration keeps.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatalf("taskstest: stop redis-server: %v", err)
	}
	<-s.ended
	s.cmd = nil
}

// Kill ends the server with SIGKILL. It may be called more than once.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill() // it may have ended by itself
	<-s.ended
	s.cmd = nil
}

// Client returns a client of the server that is closed when the test ends.
func (s *Server) Client(t testing.TB) redis.UniversalClient {
	t.Helper()
	rdb, err := tasks.ConnectRedis(s.URL, tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// running reports whether the process lives, by what Stop and Kill did.
func (s *Server) running() bool { return s.cmd != nil }

// command sends one command on a connection of its own.
func (s *Server) command(args ...any) *redis.Cmd {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1, Protocol: 2, ContextTimeoutEnabled: true})
	defer func() { _ = rdb.Close() }()
	return rdb.Do(ctx, args...)
}

// must is a command that is taken.
func (s *Server) must(t testing.TB, args ...any) string {
	t.Helper()
	text, err := s.command(args...).Text()
	if err != nil {
		t.Fatalf("taskstest: %v: %v\n%s", args, err, s.log())
	}
	return text
}

// info reads an answer of lines of name:value; it is empty if there is none.
func (s *Server) info(args ...any) map[string]string {
	values := map[string]string{}
	text, _ := s.command(args...).Text()
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			values[name] = value
		}
	}
	return values
}

func (s *Server) logFile() string { return filepath.Join(s.dir, "redis.log") }

func (s *Server) log() string {
	text, err := os.ReadFile(s.logFile())
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(text)
}

// Ports are taken from below those that systems give to outgoing connections: such
// a one could be lost before its server listens, or while it is down.
const (
	firstPort = 10_000
	portCount = 22_000
)

// FreeAddr returns an address of 127.0.0.1 that nobody listens on, for a server that is
// stopped and started again: until the test ends no other test of ours takes its port.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(freePorts(t, 1)[0]))
}

// freePorts returns n different ports of 127.0.0.1 that nobody listens on. Until
// the test ends it holds the UDP ports of the same numbers, which nobody uses: so
// no other test takes them, of this process or another.
func freePorts(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, 0, n)
	for range 100 * n {
		port := firstPort + rand.IntN(portCount)
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		held, err := net.ListenPacket("udp", addr)
		if err != nil {
			continue // another test's
		}
		t.Cleanup(func() { _ = held.Close() })
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue // another program's
		}
		_ = l.Close()
		if ports = append(ports, port); len(ports) == n {
			return ports
		}
	}
	t.Fatalf("taskstest: no %d free ports from %d on", n, firstPort)
	return nil
}
