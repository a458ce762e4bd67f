package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-parallel", "0"}, {"-only", "99"}, {"-only", ""}, {"x"}, {"-nonsense"}} {
		var stderr bytes.Buffer
		if err := run(t.Context(), args, io.Discard, &stderr); !errors.Is(err, errUsage) || stderr.Len() == 0 {
			t.Errorf("%v: %v, said %q", args, err, &stderr)
		}
	}
	if err := run(t.Context(), []string{"-h"}, io.Discard, io.Discard); err != nil {
		t.Error(err)
	}
}

func TestChosen(t *testing.T) {
	t.Parallel()
	all, short, one := options{}, options{short: true}, options{short: true, only: []string{"9a"}}
	if n := len(all.chosen()); n != len(rows()) || !all.whole() {
		t.Errorf("%d rows of %d", n, len(rows()))
	}
	if n := len(short.chosen()); n == 0 || n >= len(rows()) || short.whole() {
		t.Errorf("%d rows in the short form", n)
	}
	if list := one.chosen(); len(list) != 1 || list[0].number != "9a" || one.whole() {
		t.Errorf("%d rows instead of 9a", len(list))
	}
}

// The standard library this is built with still reads its clock where we move it.
func TestMoveClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := writeOverlay(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, "time.go")); err != nil || strings.Count(string(text), nowLine+movedLine) != 1 {
		t.Errorf("the clock is not moved: %v", err)
	}
	if _, err := moveClock("package time"); err == nil {
		t.Error("a source without the line was taken")
	}
}

func TestStand(t *testing.T) {
	t.Parallel()
	s := &stand{dir: t.TempDir()}
	closed := ""
	err := s.do(func(t testing.TB) {
		t.Helper()
		t.Cleanup(func() { closed += "a" })
		t.Cleanup(func() { closed += "b" })
		if _, err := os.Stat(t.TempDir()); err != nil {
			t.Fatal(err)
		}
		t.Logf("what %s", "happened")
		t.Fatalf("it %s", "broke")
	})
	if err == nil || err.Error() != "it broke" {
		t.Errorf("%v, want that it broke", err)
	}
	s.close()
	s.close()
	if closed != "ba" {
		t.Errorf("closed %q, want the last first, once", closed)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "redis.txt")); err != nil || string(text) != "what happened\n" {
		t.Errorf("log %q, %v", text, err)
	}
}

// The client repeats what was not answered, and gives up on what was refused.
func TestClientInsists(t *testing.T) {
	t.Parallel()
	answers := []int{500, 503, http.StatusAccepted}
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(answers[asked.Add(1)-1])
	}))
	t.Cleanup(server.Close)
	c := newClient(server.URL)
	if err := c.load(t.Context(), notifications(1), time.Millisecond); err != nil || len(c.sent()) != 1 || asked.Load() != 3 {
		t.Errorf("%v after %d requests, %d acknowledged", err, asked.Load(), len(c.sent()))
	}
	refusing := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(refusing.Close)
	c = newClient(refusing.URL)
	if err := c.load(t.Context(), notifications(1), time.Millisecond); err == nil || len(c.sent()) != 0 {
		t.Errorf("%v with %d acknowledged, want an error and none", err, len(c.sent()))
	}
}

// echo answers every piece with the same.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
			}()
		}
	}()
	return l.Addr().String()
}

func TestProxy(t *testing.T) {
	t.Parallel()
	p, err := startProxy(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	dial := func() net.Conn {
		c, err := new(net.Dialer).DialContext(context.Background(), "tcp", p.addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	// ask says whether an answer came within d; what ended the connection is an error.
	ask := func(c net.Conn, d time.Duration) error {
		_, _ = c.Write([]byte("x"))
		_ = c.SetReadDeadline(time.Now().Add(d))
		_, err := c.Read(make([]byte, 1))
		return err
	}
	const long, moment = 10 * time.Second, 300 * time.Millisecond
	c := dial()
	if err := ask(c, long); err != nil {
		t.Fatalf("in fair weather: %v", err)
	}
	p.change(lagging)
	if err := ask(c, long); err != nil {
		t.Fatalf("lagging: %v", err)
	}
	for _, bad := range []weather{silent, deaf} {
		c := dial()
		if err := ask(c, long); err != nil {
			t.Fatalf("before weather %d: %v", bad, err)
		}
		p.change(bad)
		if err := ask(c, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("weather %d: %v, want silence", bad, err)
		}
		p.change(fair)
		if err := ask(c, long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after weather %d: %v, want the connection cut", bad, err)
		}
	}
	c = dial()
	if err := ask(c, long); err != nil {
		t.Fatal(err)
	}
	p.cut()
	if err := ask(c, long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("cut: %v, want the connection closed", err)
	}
}
