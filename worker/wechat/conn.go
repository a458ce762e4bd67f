package wechat

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync/atomic"
)

// countedConn counts the bytes given to the network.
type countedConn struct {
	net.Conn
	sent atomic.Int64
}

// Write counts before it writes, so that no byte is on its way uncounted.
func (c *countedConn) Write(b []byte) (int, error) {
	c.sent.Add(int64(len(b)))
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n - len(b)))
	return n, err
}

// wire tells whether any byte of one request went out. What is written before
// the request has its connection (a proxy's CONNECT, the TLS handshake) is not
// of the request; what is written after it counts, even if it should be TLS's
// own closing note. In doubt the answer is yes.
type wire struct {
	conn   *countedConn
	before int64
	sent   bool
	hooks  httptrace.ClientTrace
}

// trace gives the context that lets w see the connection of the request. The
// transport calls the hook in the goroutine of RoundTrip.
func (w *wire) trace(ctx context.Context) context.Context {
	w.hooks.GotConn = w.gotConn
	return httptrace.WithClientTrace(ctx, &w.hooks)
}

// gotConn is called again when the transport moves to another connection.
func (w *wire) gotConn(info httptrace.GotConnInfo) {
	w.sent = w.written()
	w.conn = counted(info.Conn)
	if w.conn == nil {
		w.sent = true
		return
	}
	w.before = w.conn.sent.Load()
}

func (w *wire) written() bool {
	return w.sent || w.conn != nil && w.conn.sent.Load() > w.before
}

// counted finds the counted connection under the layers of TLS.
func counted(conn net.Conn) *countedConn {
	for {
		switch c := conn.(type) {
		case *countedConn:
			return c
		case interface{ NetConn() net.Conn }:
			conn = c.NetConn()
		default:
			return nil
		}
	}
}
