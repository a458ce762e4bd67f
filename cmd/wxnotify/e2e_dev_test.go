package main_test

import (
	"net"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// devRedis is where dev puts its embedded Redis; it has no other choice.
const devRedis = "127.0.0.1:6380"

func TestDevRunsEverything(t *testing.T) {
	t.Parallel()
	t.Run("with its own Redis", func(t *testing.T) {
		oneDevAtATime(t)
		if conn, err := net.DialTimeout("tcp", devRedis, time.Second); err == nil {
			_ = conn.Close() // only looked whether somebody is there
			t.Skipf("%s is taken: something else runs on this machine", devRedis)
		}
		p := startDev(t, env{})
		wantWelcome(t, p, "NOT durable", "export WXNOTIFY_REDIS_URL=redis://"+devRedis)
	})
	t.Run("with a real Redis", func(t *testing.T) {
		p := startDev(t, env{"REDIS_URL": taskstest.StartRedis(t).URL})
		wantWelcome(t, p, "as WXNOTIFY_REDIS_URL says")
	})
}

// oneDevAtATime waits until no other run of these tests on this machine has devRedis: it
// holds the UDP port of the same number, which nobody uses, until the test ends.
func oneDevAtATime(t *testing.T) {
	t.Helper()
	taskstest.Eventually(t, 2*time.Minute, func() string {
		held, err := net.ListenPacket("udp", devRedis)
		if err != nil {
			return err.Error()
		}
		t.Cleanup(func() { _ = held.Close() })
		return ""
	})
}

func startDev(t *testing.T, e env) *process {
	t.Helper()
	return start(t, "dev", e.with(env{
		"GATEWAY_ADDR": "127.0.0.1:0", "ADMIN_ADDR": "127.0.0.1:0", "DASHBOARD_ADDR": "127.0.0.1:0", "SANDBOX_ADDR": "127.0.0.1:0",
	}), "dev")
}

// wantWelcome follows the printed instructions, then ends dev as a person would.
func wantWelcome(t *testing.T, p *process, notes ...string) {
	t.Helper()
	p.line(`(Ctrl-C stops everything)`)
	screen := p.out.String()
	for _, text := range append(notes, "First notification: delivered, msgid ") {
		if !strings.Contains(screen, text) {
			t.Errorf("want %q on the screen:\n%s", text, screen)
		}
	}
	for _, name := range []string{"OpenAPI", "Dashboard", "Metrics", "Sandbox"} {
		url := p.line(`(?m)^` + name + `\s+(http://\S+)`)
		if code, body := get(t, url, ""); code != http.StatusOK {
			t.Errorf("the printed URL of %s, %s, answers %d %s; want 200", name, url, code, body)
		}
	}
	wantPrintedRequests(t, p)
	if code := p.stop(syscall.SIGINT, 40*time.Second); code != 0 {
		t.Errorf("exit code %d after SIGINT, want 0", code)
	}
}

// wantPrintedRequests makes the two requests that the screen shows for curl.
func wantPrintedRequests(t *testing.T, p *process) {
	t.Helper()
	m := regexp.MustCompile(`curl -sS (\S+) -H 'Authorization: Bearer (\S+)' -H 'Content-Type: application/json' \\\s+-d '(.+)'`).
		FindStringSubmatch(p.out.String())
	if m == nil {
		t.Fatalf("no curl command that sends, want one:\n%s", p.out.String())
	}
	var body rawJSON = []byte(m[3])
	if code, answer := request(t, http.MethodPost, m[1], m[2], body); code != http.StatusAccepted {
		t.Fatalf("the printed request answers %d %s, want 202", code, answer)
	}
	url := p.line(`curl -sS '(\S+\?app=\S+)'`)
	taskstest.Eventually(t, 20*time.Second, func() string {
		code, answer := get(t, url, m[2])
		if code != http.StatusOK || !strings.Contains(answer, `"status":"delivered"`) || strings.Contains(answer, `"msgid":""`) {
			return "want it delivered with an msgid, the printed status URL answers " + answer
		}
		return ""
	})
}

// rawJSON is sent as it is.
type rawJSON []byte

// MarshalJSON implements json.Marshaler.
func (r rawJSON) MarshalJSON() ([]byte, error) { return r, nil }
