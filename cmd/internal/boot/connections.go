package boot

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// limited is a listener that hands out at most so many connections at once. A
// further one takes the place of the one that has been idle for the longest; if
// none is idle, it waits in the system's queue until one ends.
type limited struct {
	net.Listener
	most int

	mu   sync.Mutex
	cond *sync.Cond
	open int
	idle *list.List // of *limitedConn, the longest idle first
	over bool
}

func limit(l net.Listener, most int) *limited {
	limited := &limited{Listener: l, most: most, idle: list.New()}
	limited.cond = sync.NewCond(&limited.mu)
	return limited
}

// Accept returns the next connection once there is a place for it.
func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if !l.enter() {
		_ = conn.Close() // nobody has read from it
		return nil, net.ErrClosed
	}
	return &limitedConn{Conn: conn, home: l}, nil
}

// Close ends a waiting Accept, too.
func (l *limited) Close() error {
	l.mu.Lock()
	l.over = true
	l.cond.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// enter takes a place, and reports false if the listener is closed first.
func (l *limited) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.open >= l.most && !l.over {
		oldest := l.idle.Front()
		if oldest == nil {
			l.cond.Wait()
			continue
		}
		conn := l.idle.Remove(oldest).(*limitedConn)
		conn.place, conn.evicted = nil, true
		l.mu.Unlock()
		_ = conn.Close() // which frees its place, whatever it says
		l.mu.Lock()
	}
	if l.over {
		return false
	}
	l.open++
	return true
}

func (l *limited) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rouse(c)
	l.open--
	l.cond.Signal()
}

// rouse takes a connection off the list of the idle ones.
func (l *limited) rouse(c *limitedConn) {
	if c.place != nil {
		l.idle.Remove(c.place)
		c.place = nil
	}
}

// observe is http.Server's ConnState: it tells which connections are idle. A request that
// came while its connection had to make room is not begun, since its answer would be lost:
// the panic ends the connection before the handler.
func (l *limited) observe(conn net.Conn, state http.ConnState) {
	if secure, is := conn.(*tls.Conn); is {
		conn = secure.NetConn()
	}
	c, ours := conn.(*limitedConn)
	if !ours {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c.evicted && state == http.StateActive {
		panic(http.ErrAbortHandler)
	}
	l.rouse(c)
	if state == http.StateIdle && !c.gone {
		c.place = l.idle.PushBack(c)
		l.cond.Signal()
	}
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	home *limited

	place   *list.Element // among the idle ones; home.mu
	evicted bool          // to make room; home.mu
	gone    bool          // home.mu
}

// Close closes the connection; a second time changes nothing.
func (c *limitedConn) Close() error {
	c.home.mu.Lock()
	first := !c.gone
	c.gone = true
	c.home.mu.Unlock()
	if first {
		defer c.home.leave(c)
	}
	return c.Conn.Close()
}

// CloseWrite lets net/http end a connection whose request it has not read to its end
// without cutting off the answer.
func (c *limitedConn) CloseWrite() error {
	if half, can := c.Conn.(interface{ CloseWrite() error }); can {
		return half.CloseWrite()
	}
	return nil
}
