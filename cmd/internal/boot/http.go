package boot

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// HTTPOptions shapes an HTTP server.
type HTTPOptions struct {
	// Variable is the environment variable that holds the address, for the error
	// when it cannot be listened on.
	Variable string
	// Logger gets what net/http has to say. Required.
	Logger *slog.Logger
	// TLS, if set, has the server speak HTTPS, and tell browsers to insist on it.
	// Default: plain HTTP.
	TLS *tls.Config
	// MaxConnections is how many connections may be open at once. A further one takes
	// the place of an idle one, or waits. Default 0: any number.
	MaxConnections int
	// WriteTimeout bounds the time from the end of the request's header to the
	// end of the answer. Default 30s.
	WriteTimeout time.Duration
	// ShutdownTimeout is how long requests may go on after the stop; then they are
	// cut off. Default 10s.
	ShutdownTimeout time.Duration
}

const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 15 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeaderBytes    = 16 << 10
)

// HTTPServer listens from the start and answers once it runs.
type HTTPServer struct {
	name     string
	listener net.Listener
	server   *http.Server
	grace    time.Duration
}

// ListenHTTP listens on addr, host:port, where port 0 means any free one. The
// caller runs the server's Part, or closes it.
func ListenHTTP(name, addr string, h http.Handler, o HTTPOptions) (*HTTPServer, error) {
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.ShutdownTimeout <= 0 {
		o.ShutdownTimeout = 10 * time.Second
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("boot: %s: cannot listen on the address of %s: %w", name, o.Variable, err)
	}
	s := &HTTPServer{
		name:     name,
		listener: listener,
		grace:    o.ShutdownTimeout,
		server: &http.Server{
			Handler:           h,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      o.WriteTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
			ErrorLog:          serverLog(o.Logger.With("component", name)),
		},
	}
	s.limit(o.MaxConnections)
	s.secure(o.TLS)
	return s, nil
}

func (s *HTTPServer) limit(most int) {
	if most > 0 {
		l := limit(s.listener, most)
		s.listener, s.server.ConnState = l, l.observe
	}
}

// secure has the server speak TLS: HTTP/1.1 alone, so that a connection carries one
// request at a time and the bound on connections bounds what they cost.
func (s *HTTPServer) secure(config *tls.Config) {
	if config == nil {
		return
	}
	config = config.Clone()
	config.NextProtos = []string{"http/1.1"}
	s.listener = tls.NewListener(s.listener, config)
	s.server.Handler = strict(s.server.Handler)
}

// strict has browsers use HTTPS alone for this host, for a year.
func strict(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		next.ServeHTTP(w, r)
	})
}

// serverLog takes the lines of net/http. A TLS handshake that fails is the client's
// affair: load balancers and scanners make one after the other.
func serverLog(logger *slog.Logger) *log.Logger {
	return log.New(serverLines{logger}, "", 0)
}

type serverLines struct{ log *slog.Logger }

// Write takes one line.
func (l serverLines) Write(line []byte) (int, error) {
	level := slog.LevelWarn
	if bytes.HasPrefix(line, []byte("http: TLS handshake error")) {
		level = slog.LevelDebug
	}
	l.log.Log(context.Background(), level, string(bytes.TrimRight(line, "\n")))
	return len(line), nil
}

// Addr is the address it listens on, with the port that was chosen for 0.
func (s *HTTPServer) Addr() string { return s.listener.Addr().String() }

// Part serves until it is told to stop, then lets requests end.
func (s *HTTPServer) Part() Part { return Part{Name: s.name, Run: s.run} }

// Close stops listening. It is for a server whose Part was never run.
func (s *HTTPServer) Close() error { return s.listener.Close() }

func (s *HTTPServer) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	select {
	case err := <-served:
		return errors.Join(fmt.Errorf("boot: serve: %w", err), s.server.Close())
	case <-ctx.Done():
	}
	// Requests keep their own contexts: they may end in peace.
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.grace)
	defer cancel()
	err := s.server.Shutdown(grace)
	if errors.Is(err, context.DeadlineExceeded) {
		err = errors.Join(fmt.Errorf("boot: requests cut off after %v", s.grace), s.server.Close())
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, fmt.Errorf("boot: serve: %w", ended))
	}
	return err
}
