package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// side is where a proxy stands: between the workers and one of these.
type side int

const (
	noSide side = iota
	redisSide
	wechatSide
)

// weather is what a proxy does to what it carries.
type weather int32

const (
	// fair: nothing.
	fair weather = iota
	// lagging: every piece is late.
	lagging
	// silent: nothing moves, and nobody hears that a connection has ended.
	silent
	// deaf: what is asked gets through, the answers do not.
	deaf
)

// proxy carries bytes, or does not.
type proxy struct {
	target   string
	listener net.Listener
	weather  atomic.Int32
	end      chan struct{}
	running  sync.WaitGroup

	mu     sync.Mutex
	conns  map[net.Conn]bool
	closed bool
}

// startProxy listens on a free port.
func startProxy(target string) (*proxy, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy: %w", err)
	}
	p := &proxy{target: target, listener: listener, end: make(chan struct{}), conns: map[net.Conn]bool{}}
	p.running.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

func (p *proxy) close() {
	close(p.end)
	_ = p.listener.Close() // it is not used any more
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.cut()
	p.running.Wait()
}

// change lets other weather in. What was held back before is never delivered: its
// connections are cut.
func (p *proxy) change(to weather) {
	before := weather(p.weather.Swap(int32(to)))
	if before == silent || before == deaf {
		p.cut()
	}
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close() // that is what it is for
	}
	clear(p.conns)
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		p.running.Go(func() { p.serve(client) })
	}
}

func (p *proxy) serve(client net.Conn) {
	p.keep(client)
	server, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.target)
	if err != nil {
		p.forget(client) // it hears that the other side is away
		return
	}
	p.keep(server)
	p.running.Go(func() { p.carry(client, server, true) })
	p.carry(server, client, false)
}

// keep remembers a connection, so that it can be cut.
func (p *proxy) keep(c net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		_ = c.Close() // whoever reads from it ends
		return
	}
	p.conns[c] = true
}

// forget closes a connection that has ended.
func (p *proxy) forget(c net.Conn) {
	_ = c.Close() // it may be closed
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, c)
}

// carry moves bytes one way until either end closes, and then closes both, but for
// the one that is not to hear of it.
func (p *proxy) carry(to, from net.Conn, answers bool) {
	defer func() {
		p.forget(from)
		if weather(p.weather.Load()) != silent {
			p.forget(to)
		}
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && p.passes(answers) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// passes reports whether a piece gets through, and makes it wait if it is to be late.
func (p *proxy) passes(answer bool) bool {
	switch weather(p.weather.Load()) {
	case silent:
		return false
	case deaf:
		return !answer
	case lagging:
		timer := time.NewTimer(20*time.Millisecond + rand.N(130*time.Millisecond))
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-p.end:
		}
	}
	return true
}
