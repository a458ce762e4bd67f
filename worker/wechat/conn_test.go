package wechat

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// brokenConn takes a number of writes; a later one fails before its first byte.
type brokenConn struct {
	net.Conn
	left atomic.Int32
}

func (c *brokenConn) Write(b []byte) (int, error) {
	if c.left.Add(-1) < 0 {
		return 0, &net.OpError{Op: "write", Net: "tcp", Err: syscall.EPIPE}
	}
	return c.Conn.Write(b)
}

// breaking makes a client whose connections each take so many requests; it
// counts its dials and what the server heard.
func breaking(t *testing.T, requests int32) (c *Client, dials, heard *atomic.Int32) {
	dials, heard = new(atomic.Int32), new(atomic.Int32)
	c = newClient(t, newServer(t, func(w http.ResponseWriter, r *http.Request) {
		heard.Add(1)
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"errcode":0}`)
	}).URL)
	dial := c.transport.DialContext
	c.transport.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		dials.Add(1)
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		plain := conn.(*countedConn).Conn
		broken := &brokenConn{Conn: plain}
		broken.left.Store(requests)
		return &countedConn{Conn: broken}, nil
	}
	return c, dials, heard
}

func TestUnwrittenRequestMovesToAnotherConnection(t *testing.T) {
	t.Parallel()
	c, dials, heard := breaking(t, 1)
	for range 3 {
		if _, err := c.SendSubscribe(t.Context(), "t", testMessage()); err != nil {
			t.Fatal(err)
		}
	}
	if dials.Load() != 3 || heard.Load() != 3 {
		t.Errorf("%d dials, %d requests heard, want 3 of each", dials.Load(), heard.Load())
	}
}

func TestFailedFirstWriteIsNotWritten(t *testing.T) {
	t.Parallel()
	c, _, heard := breaking(t, 0)
	_, err := c.SendSubscribe(t.Context(), testToken, testMessage())
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Written || failure.Class != errcode.Transient || !errors.Is(err, syscall.EPIPE) {
		t.Errorf("got %v", err)
	}
	if heard.Load() != 0 {
		t.Errorf("the server heard %d requests", heard.Load())
	}
	assertNoLeak(t, err)
}

func TestWireCountsFromTheConnectionOn(t *testing.T) {
	t.Parallel()
	newConn := func() *countedConn {
		near, far := net.Pipe()
		go func() { _, _ = io.Copy(io.Discard, far) }()
		t.Cleanup(func() { _ = near.Close(); _ = far.Close() })
		return &countedConn{Conn: near}
	}
	write := func(c net.Conn) {
		if _, err := io.WriteString(c, "bytes"); err != nil {
			t.Error(err)
		}
	}
	var w wire
	w.trace(t.Context())
	first, second := newConn(), newConn()
	expect := func(step string, want bool) {
		t.Helper()
		if w.written() != want {
			t.Errorf("%s: written is %v", step, !want)
		}
	}
	expect("no connection", false)
	write(first) // Such as the handshake, or an earlier request.
	w.hooks.GotConn(httptrace.GotConnInfo{Conn: tls.Client(first, &tls.Config{ServerName: "x.test"})})
	expect("nothing since", false)
	write(first)
	expect("a write", true)
	w.hooks.GotConn(httptrace.GotConnInfo{Conn: second})
	expect("another connection", true)

	var blind wire
	blind.gotConn(httptrace.GotConnInfo{Conn: second.Conn})
	if !blind.written() {
		t.Error("a connection nobody counts must pass for written")
	}
}
