package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// Running is a sandbox that listens.
type Running struct {
	sandbox  *Server
	server   *http.Server
	listener net.Listener
	leave    context.CancelFunc // ends latencies and hangs
	done     chan struct{}
	err      error // of Serve; read after done
}

// Start serves the sandbox on a TCP address, such as 127.0.0.1:0 for a free port. End it with Shutdown. A sandbox may be
// started again, on the same address too: it keeps its state.
func (s *Server) Start(addr string) (*Running, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("sandbox: listen: %w", err)
	}
	ctx, leave := context.WithCancel(context.Background())
	s.pushes.open()
	r := &Running{sandbox: s, listener: l, leave: leave, done: make(chan struct{}), server: &http.Server{
		Handler:           s,
		ReadHeaderTimeout: 10 * time.Second,
		BaseContext:       func(net.Listener) context.Context { return ctx },
	}}
	go r.serve()
	return r, nil
}

func (r *Running) serve() {
	defer close(r.done)
	if err := r.server.Serve(r.listener); !errors.Is(err, http.ErrServerClosed) {
		r.err = fmt.Errorf("sandbox: serve: %w", err)
	}
}

// Addr is the address it listens on, with the port it was given.
func (r *Running) Addr() string { return r.listener.Addr().String() }

// URL is what a client sets as WeChat's base URL.
func (r *Running) URL() string { return "http://" + r.Addr() }

// Wait returns when the sandbox no longer listens: nil after Shutdown, else why.
func (r *Running) Wait() error {
	<-r.done
	return r.err
}

// Shutdown stops listening, ends hanging answers at once and waits for the others until ctx ends; then it cuts what is
// left and ends the sandbox's pushes, as Close does. It may be called more than once.
func (r *Running) Shutdown(ctx context.Context) error {
	r.leave()
	err := r.server.Shutdown(ctx)
	if err != nil {
		_ = r.server.Close() // it reports only what Shutdown has reported
		err = fmt.Errorf("sandbox: shutdown: %w", err)
	}
	r.sandbox.Close()
	return errors.Join(err, r.Wait())
}
