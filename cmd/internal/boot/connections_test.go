package boot

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// serveLimited runs a server that takes two connections at once.
func serveLimited(t *testing.T, h http.HandlerFunc) *HTTPServer {
	t.Helper()
	s, err := ListenHTTP("gateway", "127.0.0.1:0", h, HTTPOptions{Logger: silent(), MaxConnections: 2})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, s)
	return s
}

// serve runs a server until the test ends.
func serve(t *testing.T, s *HTTPServer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Part().Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// client is one connection.
type client struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

func connect(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return &client{t, conn, bufio.NewReader(conn)}
}

func (c *client) ask(path string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, "GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
		c.t.Fatal(err)
	}
}

// answered reads an answer.
func (c *client) answered() {
	c.t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body) // it is empty
	_ = resp.Body.Close()
}

// rests waits until the server takes it for the connection that became idle last, which
// is a moment after the answer.
func (c *client) rests(s *HTTPServer) {
	c.t.Helper()
	l := s.listener.(*limited)
	last := func() string {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.idle.Len() == 0 {
			return ""
		}
		return l.idle.Back().Value.(*limitedConn).RemoteAddr().String()
	}
	deadline := time.After(10 * time.Second)
	for last() != c.conn.LocalAddr().String() {
		select {
		case <-deadline:
			c.t.Fatal("the connection is not idle yet")
		case <-time.After(time.Millisecond):
		}
	}
}

// ended waits until the server has closed the connection.
func (c *client) ended() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err == nil {
		c.t.Fatalf("the server sent %q", b)
	} else if timeout, is := err.(net.Error); is && timeout.Timeout() {
		c.t.Fatal("the connection is still open")
	}
}

// The connection that has been idle for the longest makes room.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	t.Parallel()
	s := serveLimited(t, func(http.ResponseWriter, *http.Request) {})
	first, second := connect(t, s.Addr()), connect(t, s.Addr())
	for _, c := range []*client{first, second, first} { // so the second is idle for longer
		c.ask("/")
		c.answered()
		c.rests(s)
	}
	third := connect(t, s.Addr())
	third.ask("/")
	third.answered()
	second.ended()
	first.ask("/")
	first.answered()
}

// While none is idle a further connection waits, and gets its answer once one ends or
// becomes idle.
func TestBusyConnectionsAreWaitedFor(t *testing.T) {
	t.Parallel()
	started, release := make(chan string, 4), make(chan struct{})
	s := serveLimited(t, func(_ http.ResponseWriter, r *http.Request) {
		started <- r.URL.Path
		if r.URL.Path != "/late" {
			<-release
		}
	})
	for _, path := range []string{"/a", "/b"} {
		connect(t, s.Addr()).ask(path)
	}
	for range 2 {
		<-started
	}
	late := connect(t, s.Addr())
	late.ask("/late")
	select {
	case path := <-started:
		t.Fatalf("%s is served beside two others", path)
	case <-time.After(100 * time.Millisecond): // it could only fail by being too slow to be seen
	}
	close(release)
	late.answered()
	if path := <-started; path != "/late" {
		t.Errorf("%s was served", path)
	}
}

// A server that stops does not wait for a place.
func TestWaitingConnectionDoesNotHoldUpTheStop(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}, 4), make(chan struct{})
	s, err := ListenHTTP("gateway", "127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		started <- struct{}{}
		<-release
	}), HTTPOptions{Logger: silent(), MaxConnections: 1})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Part().Run(ctx) }()
	busy := connect(t, s.Addr())
	busy.ask("/")
	<-started
	waiting := connect(t, s.Addr())
	waiting.ask("/")
	cancel()
	waiting.ended()
	close(release)
	busy.answered()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// slowListener's connections take their time to close: each says so and waits first.
type slowListener struct {
	net.Listener
	closing chan struct{}
	release chan struct{}
}

func (l slowListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return slowConn{conn, l}, err
}

type slowConn struct {
	net.Conn
	home slowListener
}

func (c slowConn) Close() error {
	c.home.closing <- struct{}{}
	<-c.home.release
	return c.Conn.Close()
}

// A request that comes while its connection has to make room is not begun: its answer
// would be lost, and nobody would know what was done.
func TestRequestOfAConnectionThatMakesRoom(t *testing.T) {
	t.Parallel()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	slow := slowListener{inner, make(chan struct{}, 9), make(chan struct{})}
	handled := make(chan string, 9)
	server := &http.Server{
		Handler:           http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { handled <- r.URL.Path }),
		ReadHeaderTimeout: time.Minute, ErrorLog: serverLog(silent()),
	}
	s := &HTTPServer{name: "gateway", listener: slow, server: server, grace: time.Minute}
	s.limit(1)
	serve(t, s)
	release := sync.OnceFunc(func() { close(slow.release) })
	t.Cleanup(release)

	first := connect(t, s.Addr())
	first.ask("/first")
	first.answered()
	<-handled
	first.rests(s)
	second := connect(t, s.Addr())
	<-slow.closing
	first.ask("/late")
	select {
	case path := <-handled:
		t.Fatalf("%s was begun", path)
	case <-slow.closing: // by the server itself
	}
	release()
	first.ended()
	second.ask("/second")
	second.answered()
}

// Every place is given back, whoever ends a connection and however.
func TestPlacesAreGivenBack(t *testing.T) {
	t.Parallel()
	s := serveLimited(t, func(http.ResponseWriter, *http.Request) {})
	for i := range 50 {
		c := connect(t, s.Addr())
		if i%3 == 0 {
			_ = c.conn.Close() // without a word
			continue
		}
		c.ask("/")
		c.answered()
		if i%3 == 1 {
			_ = c.conn.Close()
		}
	}
}
