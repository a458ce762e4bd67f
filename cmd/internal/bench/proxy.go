package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
)

// proxy stands between a client and Redis and counts what the client asks. Redis
// cannot tell: its own counters mix in the commands that scripts call.
type proxy struct {
	target   string
	listener net.Listener
	// commands counts the commands of the client, pipelined ones one by one.
	commands atomic.Int64
	// roundTrips counts how often the client wrote and then waited: a pipeline is
	// one.
	roundTrips atomic.Int64
	mu         sync.Mutex
	conns      []net.Conn
	closed     bool
	running    sync.WaitGroup
}

// startProxy listens on a free port. ctx bounds only its connecting to the target.
func startProxy(ctx context.Context, target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &proxy{target: target, listener: listener}
	p.running.Go(func() { p.accept(ctx) })
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// close cuts all connections.
func (p *proxy) close() {
	p.mu.Lock()
	p.closed = true
	_ = p.listener.Close() // it is not used any more
	for _, c := range p.conns {
		_ = c.Close() // nor are these
	}
	p.mu.Unlock()
	p.running.Wait()
}

func (p *proxy) accept(ctx context.Context) {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		server, err := new(net.Dialer).DialContext(ctx, "tcp", p.target)
		if err != nil {
			_ = client.Close() // the client hears that Redis is away
			continue
		}
		p.join(client, server)
	}
}

// join carries bytes between the two until either ends.
func (p *proxy) join(client, server net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_, _ = client.Close(), server.Close()
		return
	}
	p.conns = append(p.conns, client, server)
	hangUp := func() { _, _ = client.Close(), server.Close() } // closing ends the other direction
	waiting := new(atomic.Bool)
	p.running.Go(func() {
		defer hangUp()
		p.ask(server, client, waiting)
	})
	p.running.Go(func() {
		defer hangUp()
		answer(client, server, waiting)
	})
}

// ask forwards commands and counts them. waiting says that the client has asked
// and not been answered yet.
func (p *proxy) ask(server io.Writer, client io.Reader, waiting *atomic.Bool) {
	r, w := bufio.NewReaderSize(client, 64<<10), bufio.NewWriterSize(server, 64<<10)
	for {
		if _, err := r.Peek(1); err != nil {
			return
		}
		if !waiting.Swap(true) { // before the end of a large command may reach the server, and be answered
			p.roundTrips.Add(1)
		}
		if err := copyCommand(w, r); err != nil {
			return
		}
		p.commands.Add(1)
		if r.Buffered() > 0 {
			continue
		}
		if w.Flush() != nil {
			return
		}
	}
}

// answer forwards replies. The client cannot ask again before it has one, so
// waiting is false by then.
func answer(client io.Writer, server io.Reader, waiting *atomic.Bool) {
	buf := make([]byte, 64<<10)
	for {
		n, err := server.Read(buf)
		if n > 0 {
			waiting.Store(false)
			if _, err := client.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

var errRESP = errors.New("proxy: not a command")

// copyCommand copies one command: an array of bulk strings.
func copyCommand(w *bufio.Writer, r *bufio.Reader) error {
	args, err := copyLength(w, r, '*')
	if err != nil {
		return err
	}
	for range args {
		n, err := copyLength(w, r, '$')
		if err != nil {
			return err
		}
		if _, err := io.CopyN(w, r, n+int64(len("\r\n"))); err != nil {
			return err
		}
	}
	return nil
}

// copyLength copies a line such as "*3\r\n" and returns its number.
func copyLength(w *bufio.Writer, r *bufio.Reader, sort byte) (int64, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if _, err := w.Write(line); err != nil {
		return 0, err
	}
	if len(line) < len("*0\r\n") || line[0] != sort {
		return 0, errRESP
	}
	return strconv.ParseInt(string(line[1:len(line)-2]), 10, 64)
}
