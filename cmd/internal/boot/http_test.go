package boot

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

func listen(t *testing.T, h http.HandlerFunc, grace time.Duration) *HTTPServer {
	t.Helper()
	s, err := ListenHTTP("gateway", "127.0.0.1:0", h, HTTPOptions{Variable: "WXNOTIFY_GATEWAY_ADDR", Logger: silent(), ShutdownTimeout: grace})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// get asks a server, on a connection of its own.
func get(url string) (string, error) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	res, err := client.Get(url)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	return string(body), err
}

func TestServes(t *testing.T) {
	t.Parallel()
	s := listen(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") }, 0)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Run(ctx, silent(), s.Part()) }()
	if body, err := get("http://" + s.Addr()); err != nil || body != "hello" {
		t.Errorf("%q, %v", body, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if _, err := get("http://" + s.Addr()); err == nil {
		t.Error("it still listens")
	}
}

func TestTakenAddressNamesTheVariable(t *testing.T) {
	t.Parallel()
	first := listen(t, nil, 0)
	defer func() { _ = first.Close() }()
	_, err := ListenHTTP("admin", first.Addr(), nil, HTTPOptions{Variable: "WXNOTIFY_ADMIN_ADDR", Logger: silent()})
	if err == nil || !strings.Contains(err.Error(), "WXNOTIFY_ADMIN_ADDR") || !strings.Contains(err.Error(), "in use") {
		t.Errorf("error %v", err)
	}
}

func TestRequestsEndInPeace(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	s := listen(t, func(w http.ResponseWriter, r *http.Request) {
		close(started)
		<-release
		if r.Context().Err() == nil {
			_, _ = io.WriteString(w, "in peace")
		}
	}, 30*time.Second)
	ctx, cancel := context.WithCancel(context.Background())
	ended, answer := make(chan error, 1), make(chan string, 1)
	go func() { ended <- s.Part().Run(ctx) }()
	go func() {
		body, _ := get("http://" + s.Addr()) // an empty body tells enough
		answer <- body
	}()
	<-started
	cancel()
	close(release)
	if body := <-answer; body != "in peace" {
		t.Errorf("answer %q", body)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestRequestsAreCutOff(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	s := listen(t, func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}, 50*time.Millisecond)
	ctx, cancel := context.WithCancel(context.Background())
	ended, failed := make(chan error, 1), make(chan error, 1)
	go func() { ended <- s.Part().Run(ctx) }()
	go func() {
		_, err := get("http://" + s.Addr())
		failed <- err
	}()
	<-started
	cancel()
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("error %v", err)
	}
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}

func TestLostListenerEndsTheServer(t *testing.T) {
	t.Parallel()
	s := listen(t, nil, 0)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Part().Run(context.Background()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("error %v", err)
	}
}

func TestHugeHeadersAreRefused(t *testing.T) {
	t.Parallel()
	s := listen(t, func(http.ResponseWriter, *http.Request) {}, 0)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Part().Run(ctx) }()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: h\r\nX: "+strings.Repeat("x", 64<<10)+"\r\n\r\n") // it may hang up midway
	status := make([]byte, 12)
	if _, err := io.ReadFull(conn, status); err == nil && string(status) != "HTTP/1.1 431" {
		t.Errorf("status %q", status)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
