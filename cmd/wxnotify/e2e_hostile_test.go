package main_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Strangers and bad callers hold on to a thousand connections, and send what is too
// large; the gateway stays ready, and notifications are taken and sent meanwhile.
func TestSendsGoOnAmongHostileClients(t *testing.T) {
	w := newWorld(t) // not parallel: the thousand need the machine for a moment
	worker, g := w.worker("a", nil), w.gateway()
	addr := strings.TrimPrefix(g.url, "http://")
	slow := holdConnections(t, addr, 1000)

	for i := range 20 {
		if code, _ := g.send(message(fmt.Sprintf("among-%d", i), i)); code != http.StatusAccepted {
			t.Errorf("a send is answered %d, want 202", code)
		}
	}
	w.sandbox.awaitAccepted(20)
	if code, body := get(t, g.admin+"/readyz", ""); code != http.StatusOK {
		t.Errorf("/readyz: %d %s", code, body)
	}
	for key, want := range map[string]int{gatewayKey: http.StatusRequestEntityTooLarge, "": http.StatusUnauthorized, "wrong-" + gatewayKey[:4]: http.StatusUnauthorized} {
		if code := postHuge(t, addr, key); code != want {
			t.Errorf("10 MB with the key %q: %d, want %d", key, code, want)
		}
	}
	wantClosed(t, slow[0])
	for _, conn := range slow {
		_ = conn.Close() // those with a slow body have longer
	}
	wantCleanExit(t, worker.process, g.process)
}

// holdConnections opens n connections that never finish: every second one in the
// header, the others, with a valid key, in the body.
func holdConnections(t *testing.T, addr string, n int) []net.Conn {
	t.Helper()
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		text := "POST /v1/notifications HTTP/1.1\r\nHost: h\r\n"
		if i%2 == 1 {
			text += "Authorization: Bearer " + gatewayKey + "\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n" + strings.Repeat(" ", 30000)
		}
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		conns[i] = conn
	}
	return conns
}

// wantClosed waits until the server has lost its patience.
func wantClosed(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(60 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := io.Copy(io.Discard, conn) // perhaps an answer, and then the end
	if timeout, is := err.(net.Error); is && timeout.Timeout() {
		t.Error("a connection that goes on for ever is still open")
	}
}

// postHuge sends 10 MB, as far as they are taken, and returns the status.
func postHuge(t *testing.T, addr, key string) int {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	header := "POST /v1/notifications HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: 10000000\r\n"
	if key != "" {
		header += "Authorization: Bearer " + key + "\r\n"
	}
	go func() {
		_, _ = io.WriteString(conn, header+"\r\n"+strings.Repeat(" ", 10_000_000)) // the server hangs up in between
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Errorf("10 MB: %v", err)
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// A request can be followed from the gateway's line to the outcome's, and the level
// of the log changes while the processes run.
func TestOneRequestCanBeFollowed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	worker, g := w.worker("a", nil), w.gateway()
	sendAs := func(id, requestID string) {
		req, err := http.NewRequest(http.MethodPost, g.url+"/v1/notifications", strings.NewReader(
			fmt.Sprintf(`{"id":%q,"template_id":"e2e-template","to":{"openid":%q},"data":{"thing2":"x"}}`, id, openID(1))))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+gatewayKey)
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("X-Request-Id", requestID)
		resp, err := direct.Do(req)
		if err != nil || resp.StatusCode != http.StatusAccepted || resp.Header.Get("X-Request-Id") != requestID {
			t.Fatalf("send: %v, %v", resp, err)
		}
		_ = resp.Body.Close()
		g.awaitStatus(id, "accepted", 20*time.Second)
	}
	sendAs("followed", "req-4711")
	g.line(`msg=request component=gateway request_id=(req-4711) .*id=followed`)
	worker.line(`msg="notification ended" .*id=followed .*request_id=(req-4711)`)

	for _, admin := range []string{worker.admin, g.admin} {
		if code, body := putText(t, admin+"/log-level", "loud"); code != http.StatusUnprocessableEntity || !strings.Contains(body, "debug, info, warn or error") {
			t.Errorf("PUT loud: %d %s", code, body)
		}
		if code, body := putText(t, admin+"/log-level", "warn"); code != http.StatusOK || body != "warn\n" {
			t.Errorf("PUT warn: %d %s", code, body)
		}
		if code, body := get(t, admin+"/log-level", ""); code != http.StatusOK || body != "warn\n" {
			t.Errorf("GET: %d %s", code, body)
		}
	}
	sendAs("quiet", "req-4712")
	for _, p := range []*process{worker.process, g.process} {
		if text := p.out.String(); strings.Contains(text, "req-4712") || !strings.Contains(text, `msg="log level changed" from=debug to=warn`) {
			t.Errorf("%s does not obey: %s", p.name, p.out.tail())
		}
	}
}

func putText(t *testing.T, url, text string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPut, url, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := direct.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

// What cannot work is refused at the start, by variable and with a remedy.
func TestGatewayRefusesToStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, other := issueCert(t, dir, "good", time.Hour), issueCert(t, dir, "other", time.Hour)
	base := env{"REDIS_URL": "redis://" + refusingAddr, "GATEWAY_KEYS": "e2e:" + gatewayKey}
	none := filepath.Join(dir, "none")
	for name, c := range map[string]struct {
		change env
		want   []string
	}{
		"two keys of one name": {env{"GATEWAY_KEYS": "e2e:" + gatewayKey + ",e2e:" + gatewayKey + "2"}, []string{"WXNOTIFY_GATEWAY_KEYS", "each must be its own"}},
		"certificate and key":  {env{"GATEWAY_TLS_CERT_FILE": good.Cert, "GATEWAY_TLS_KEY_FILE": other.Key}, []string{"WXNOTIFY_GATEWAY_TLS_KEY_FILE", "does not belong to the certificate"}},
		"certificate alone":    {env{"GATEWAY_TLS_CERT_FILE": good.Cert}, []string{"WXNOTIFY_GATEWAY_TLS_KEY_FILE", "missing"}},
		"no certificate file":  {env{"GATEWAY_TLS_CERT_FILE": none, "GATEWAY_TLS_KEY_FILE": good.Key}, []string{"WXNOTIFY_GATEWAY_TLS_CERT_FILE", "cannot be read"}},
		"secret file":          {env{"GATEWAY_KEYS": "", "GATEWAY_KEYS_FILE": none}, []string{"WXNOTIFY_GATEWAY_KEYS_FILE", "cannot be read"}},
		"secret folder":        {env{"GATEWAY_KEYS": "", "GATEWAY_KEYS_FILE": dir}, []string{"WXNOTIFY_GATEWAY_KEYS_FILE", "cannot be read"}},
		"log level":            {env{"LOG_LEVEL": "loud"}, []string{"WXNOTIFY_LOG_LEVEL", "debug, info, warn or error"}},
		"rate":                 {env{"GATEWAY_KEY_RATE": "fast"}, []string{"WXNOTIFY_GATEWAY_KEY_RATE", "number"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			command(t, base.with(c.change), "gateway").want(t, 1, c.want...)
		})
	}
}
