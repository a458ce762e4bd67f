package main

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
)

func serve(t *testing.T, h http.HandlerFunc) (addr string) {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func requests(t *testing.T, addr string, n int) [][]byte {
	t.Helper()
	list, err := openedPushes(t.Context(), addr, n)
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestFireSendsEachOnce(t *testing.T) {
	t.Parallel()
	var got atomic.Int64
	addr := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		got.Add(1)
		_, _ = io.WriteString(w, success)
	})
	figures, err := fire(t.Context(), addr, requests(t, addr, 500))
	if err != nil {
		t.Fatal(err)
	}
	if got.Load() != 500 || len(figures.waits) != 500 || figures.rate <= 0 {
		t.Errorf("%d requests, %d waits, %.0f/s", got.Load(), len(figures.waits), figures.rate)
	}
	for i, d := range figures.waits {
		if d <= 0 {
			t.Errorf("request %d took %v", i, d)
		}
	}
}

// What is refused or not stored is answered fast, and measures nothing.
func TestFireTakesOnlySuccess(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]http.HandlerFunc{
		"refused": func(w http.ResponseWriter, _ *http.Request) { http.Error(w, success, http.StatusForbidden) },
		"other":   func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "stored") },
	} {
		addr := serve(t, answer)
		if _, err := fire(t.Context(), addr, requests(t, addr, 10)); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

func TestFireEndsWithItsContext(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}, connections), make(chan struct{})
	addr := serve(t, func(http.ResponseWriter, *http.Request) {
		asked <- struct{}{}
		<-release
	})
	t.Cleanup(func() { close(release) }) // before the server's: that waits for what is under way
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := fire(ctx, addr, requests(t, addr, 10)); err == nil {
		t.Error("ended as if everything had been answered")
	}
}
