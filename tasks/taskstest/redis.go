// Package taskstest gives each test a real Redis of its own, for our tests and
// those of services that enqueue.
package taskstest

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
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
	port := freePort(t)
	s := &Server{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)),
		dir:  t.TempDir(),
	}
	s.URL = "redis://" + s.Addr + "/0"
	s.args = append([]string{"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", s.dir,
		"--save", "", "--appendonly", "no", "--logfile", filepath.Join(s.dir, "redis.log"), "--daemonize", "no"}, args...)
	s.Start(t)
	t.Cleanup(func() { s.Kill() })
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
	return err == nil && strings.HasPrefix(answer, "+PONG")
}

// Stop shuts the server down as an operator would, keeping what its
// configuration keeps.
func (s *Server) Stop(t testing.TB) {
	t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.Addr, MaxRetries: -1})
	defer func() { _ = rdb.Close() }()
	// SHUTDOWN closes the connection instead of answering.
	_ = rdb.Shutdown(context.Background()).Err()
	if s.cmd != nil {
		<-s.ended
		s.cmd = nil
	}
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

func (s *Server) log() string {
	text, err := os.ReadFile(filepath.Join(s.dir, "redis.log"))
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(text)
}

func freePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("taskstest: free port: %v", err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}
