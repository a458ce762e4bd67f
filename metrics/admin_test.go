package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// ask sends one request to the admin port.
func ask(h http.Handler, method, path string) *http.Response {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, path, nil))
	return rec.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestAdminPaths(t *testing.T) {
	t.Parallel()
	h := AdminMux(New(Info{}), nil)
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", "/metrics", 200}, {"HEAD", "/metrics", 200}, {"POST", "/metrics", 405},
		{"GET", "/healthz", 200}, {"HEAD", "/healthz", 200}, {"DELETE", "/healthz", 405},
		{"GET", "/readyz", 200}, {"HEAD", "/readyz", 200}, {"PUT", "/readyz", 405},
		{"GET", "/", 404}, {"GET", "/healthz/", 404}, {"GET", "/debug/pprof/", 404}, {"POST", "/", 404},
	} {
		if r := ask(h, c.method, c.path); r.StatusCode != c.code {
			t.Errorf("%s %s: %d, want %d", c.method, c.path, r.StatusCode, c.code)
		}
	}
}

func TestHealthyWhileNotReady(t *testing.T) {
	t.Parallel()
	ready := func(context.Context) error {
		return errors.Join(errors.New("redis does not answer"), errors.New("shutting down"))
	}
	h := AdminMux(New(Info{}), ready)

	r := ask(h, "GET", "/readyz")
	if got := body(t, r); r.StatusCode != 503 || got != "redis does not answer\nshutting down\n" {
		t.Errorf("/readyz: %d %q", r.StatusCode, got)
	}
	if ct := r.Header.Get("Content-Type"); ct != "text/plain; charset=utf-8" {
		t.Errorf("/readyz: Content-Type %q", ct)
	}
	r = ask(h, "GET", "/healthz")
	if got := body(t, r); r.StatusCode != 200 || got != "ok\n" {
		t.Errorf("/healthz: %d %q", r.StatusCode, got)
	}
}

func TestReadinessIsAskedEachTime(t *testing.T) {
	t.Parallel()
	var reason error
	h := AdminMux(nil, func(context.Context) error { return reason })
	for _, c := range []struct {
		reason error
		code   int
	}{{nil, 200}, {errors.New("draining"), 503}, {nil, 200}} {
		reason = c.reason
		if r := ask(h, "GET", "/readyz"); r.StatusCode != c.code {
			t.Errorf("%v: %d, want %d", c.reason, r.StatusCode, c.code)
		}
	}
}

func TestReadinessCheckIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := AdminMux(nil, func(ctx context.Context) error {
			<-ctx.Done()
			return errors.New("redis does not answer")
		})
		start := time.Now()
		if r := ask(h, "GET", "/readyz"); r.StatusCode != 503 {
			t.Errorf("%d, want 503", r.StatusCode)
		}
		if took := time.Since(start); took != readyTimeout {
			t.Errorf("took %v, want %v", took, readyTimeout)
		}
	})
}

func TestAdminWithoutMetrics(t *testing.T) {
	t.Parallel()
	h := AdminMux(nil, nil)
	if r := ask(h, "GET", "/metrics"); r.StatusCode != 404 {
		t.Errorf("/metrics: %d, want 404", r.StatusCode)
	}
	if r := ask(h, "GET", "/readyz"); r.StatusCode != 200 {
		t.Errorf("/readyz: %d, want 200", r.StatusCode)
	}
}

// Through a real server: the text format, and no body for HEAD.
func TestScrapeOverHTTP(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(AdminMux(New(Info{Version: "v9"}), nil))
	defer srv.Close()
	get, err := srv.Client().Get(srv.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = get.Body.Close() }()
	if ct := get.Header.Get("Content-Type"); !strings.HasPrefix(ct, "text/plain") {
		t.Errorf("Content-Type %q", ct)
	}
	if !strings.Contains(body(t, get), `version="v9"`) {
		t.Error("build info is missing")
	}
	head, err := srv.Client().Head(srv.URL + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = head.Body.Close() }()
	if head.StatusCode != 200 || body(t, head) != "" {
		t.Errorf("HEAD: %d with a body", head.StatusCode)
	}
}
