package wechat

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// calls are all calls of the client. A new one belongs here, in one line.
var calls = []struct {
	api string
	do  func(context.Context, *Client) error
}{
	{errcode.APIToken, func(ctx context.Context, c *Client) error {
		_, err := c.Token(ctx, testCredential())
		return err
	}},
	{errcode.APIStableToken, func(ctx context.Context, c *Client) error {
		_, err := c.StableToken(ctx, testCredential(), false)
		return err
	}},
	{errcode.APISubscribeSend, func(ctx context.Context, c *Client) error {
		_, err := c.SendSubscribe(ctx, testToken, testMessage())
		return err
	}},
	{errcode.APITemplateSend, func(ctx context.Context, c *Client) error {
		_, err := c.SendTemplate(ctx, testToken, testTemplateMessage())
		return err
	}},
	{errcode.APICodeToSession, func(ctx context.Context, c *Client) error {
		_, err := c.CodeToSession(ctx, testCredential(), testCode)
		return err
	}},
	{errcode.APIGetTemplates, func(ctx context.Context, c *Client) error {
		_, err := c.Templates(ctx, testToken)
		return err
	}},
	{errcode.APIGetQuota, func(ctx context.Context, c *Client) error {
		_, err := c.Quota(ctx, testToken, PathSubscribeSend)
		return err
	}},
	{errcode.APIDeviceSend, func(ctx context.Context, c *Client) error {
		_, err := c.SendDevice(ctx, testToken, testDeviceMessage())
		return err
	}},
	{errcode.APISetUserNotify, func(ctx context.Context, c *Client) error {
		return c.SetUserNotify(ctx, testToken, testCard(), testCardContent(), nil)
	}},
	{errcode.APISetUserNotifyExt, func(ctx context.Context, c *Client) error {
		return c.SetUserNotifyExt(ctx, testToken, testCard(), testCardContent())
	}},
	{errcode.APIGetUserNotify, func(ctx context.Context, c *Client) error {
		_, err := c.UserNotify(ctx, testToken, testCard())
		return err
	}},
}

// noAnswer is how long a call waits for an answer that never comes: long enough
// for a busy machine to write.
const noAnswer = 600 * time.Millisecond

// failures are all ways a call can fail, with what must be told of each.
var failures = []struct {
	name    string
	start   func(*testing.T) (context.Context, *Client)
	written bool
	class   errcode.Class
	is      error // errors.Is must find it; nil: not checked
	text    string
}{
	{"name not found", on(func(t *testing.T) *Client { return newClient(t, "http://a..b") }),
		false, errcode.Transient, nil, "no such host"},
	{"dial refused", on(func(t *testing.T) *Client { return newClient(t, "http://"+refusingAddr) }),
		false, errcode.Transient, syscall.ECONNREFUSED, "connection refused"},
	{"certificate not trusted", on(untrusted), false, errcode.Transient, nil, "certificate"},
	{"no TLS spoken", on(func(t *testing.T) *Client {
		return newClient(t, strings.Replace(newServer(t, redirect).URL, "http:", "https:", 1))
	}), false, errcode.Transient, nil, "does not speak TLS"},
	{"TLS refused", on(tlsAlert), false, errcode.Transient, nil, "tls: "},
	{"TLS handshake hangs", on(func(t *testing.T) *Client {
		return newClient(t, "https://"+rawServer(t, hang), func(c *Config) { c.Timeout = 100 * time.Millisecond })
	}), false, errcode.Transient, nil, ""},
	{"proxy refuses the tunnel", on(func(t *testing.T) *Client { return newClient(t, "https://"+refusedHost) }),
		false, errcode.Transient, nil, "status 407"},
	{"proxy refuses the request", on(func(t *testing.T) *Client { return newClient(t, "http://"+refusedHost) }),
		true, errcode.Transient, nil, "http status 407"},
	{"proxy setting broken", on(func(t *testing.T) *Client {
		c := newClient(t, "https://"+refusedHost)
		c.transport.Proxy = func(*http.Request) (*url.URL, error) { return nil, errProxySetting }
		return c
	}), false, errcode.Transient, nil, "proxy setting"},
	{"canceled before", canceledBefore, false, errcode.Transient, context.Canceled, "canceled"},
	{"too late before", tooLate, false, errcode.Transient, context.DeadlineExceeded, "in time"},
	{"canceled in flight", canceledInFlight, true, errcode.Unknown, context.Canceled, "canceled"},
	{"no answer", on(func(t *testing.T) *Client {
		return impatient(t, newClient(t, newServer(t, answersOnce(neverAnswer)).URL))
	}), true, errcode.Unknown, context.DeadlineExceeded, "no complete answer in time"},
	{"no answer over TLS", on(tlsHang), true, errcode.Unknown, context.DeadlineExceeded, "no complete answer in time"},
	{"cut after the request", on(raw("")), true, errcode.Unknown, nil, "closed"},
	{"cut in the body", on(raw("HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n{\"errcode\":0,%s")), true, errcode.Unknown, io.ErrUnexpectedEOF, "closed"},
	{"body hangs", on(bodyHangs), true, errcode.Unknown, context.DeadlineExceeded, "no complete answer in time"},
	{"no HTTP spoken", on(raw("%s\r\n\r\n")), true, errcode.Unknown, nil, "broke off"},
	{"bad chunks", on(raw("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%s\r\n")), true, errcode.Unknown, nil, ""},
	{"endless header", on(raw("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("%[1]s", 2000))), true, errcode.Unknown, nil, ""},
	{"other protocol", on(raw("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n")), true, errcode.Unknown, nil, ""},
	{"redirect", on(handler(redirect)), true, errcode.Unknown, nil, "redirect refused"},
	{"502 page", on(page(http.StatusBadGateway)), true, errcode.Unknown, nil, "http status 502"},
	{"412 page", on(page(http.StatusPreconditionFailed)), true, errcode.Transient, nil, "http status 412"},
	{"408 page", on(page(http.StatusRequestTimeout)), true, errcode.Unknown, nil, "http status 408"},
	{"page with status 200", on(page(http.StatusOK)), true, errcode.Unknown, nil, "no JSON"},
	{"empty body", on(func(t *testing.T) *Client { return answering(t, 200, "") }), true, errcode.Unknown, nil, "no JSON"},
	{"empty object", on(func(t *testing.T) *Client { return answering(t, 200, "{}") }), true, errcode.Unknown, nil, "the answer has n"},
	{"oversize body", on(func(t *testing.T) *Client {
		return answering(t, 200, `{"errcode":0,"x":"`+strings.Repeat(testToken, maxTemplatesBody/10)+`"}`)
	}), true, errcode.Unknown, nil, "the answer is larger than "},
	{"errcode with an echo", on(handler(func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(map[string]any{"errcode": 47003, "errmsg": "argument invalid! data.thing1.value " + echo(r)})
	})), true, errcode.Invalid, nil, "errcode 47003: argument invalid! data.thing1.value "},
	{"errcode with an echo only", on(handler(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_ = json.NewEncoder(w).Encode(map[string]any{"errcode": "-1", "errmsg": echo(r) + " rid: 61725984-6126f6f9-040f19c4"})
	})), true, errcode.Transient, nil, "rid 61725984-6126f6f9-040f19c4"},
}

// A call without its line in the table would go unproved.
func TestEveryCallIsInTheTable(t *testing.T) {
	t.Parallel()
	listed := map[string]bool{}
	for _, call := range calls {
		listed[call.api] = true
	}
	for _, api := range errcode.APIs() {
		if !listed[api] {
			t.Errorf("%s is not in the table of calls", api)
		}
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	for _, f := range failures {
		for _, call := range calls {
			t.Run(f.name+"/"+call.api, func(t *testing.T) {
				t.Parallel()
				ctx, client := f.start(t)
				err := call.do(ctx, client)
				failure, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("got %v, want an *Error", err)
				}
				if failure.API != call.api || failure.Written != f.written || failure.Class != f.class {
					t.Errorf("%v: API %s, written %v, class %s; want written %v, class %s",
						err, failure.API, failure.Written, failure.Class, f.written, f.class)
				}
				if f.is != nil && !errors.Is(err, f.is) {
					t.Errorf("%v is no %v", err, f.is)
				}
				if !strings.Contains(err.Error(), f.text) {
					t.Errorf("%q lacks %q", err, f.text)
				}
				assertNoLeak(t, err)
			})
		}
	}
}

// assertNoLeak looks at every way an error gets printed and at all it wraps.
func assertNoLeak(t *testing.T, err error) {
	t.Helper()
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Error("failed", "err", err)
	slog.New(slog.NewJSONHandler(&log, nil)).Error("failed", "err", err)
	noLeak(t, "slog", log.String())
	object, jsonErr := json.Marshal(err)
	if jsonErr != nil {
		t.Error(jsonErr)
	}
	noLeak(t, "JSON", string(object))
	for e := err; e != nil; e = errors.Unwrap(e) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%q", "%x"} {
			noLeak(t, fmt.Sprintf("%T %s", e, verb), fmt.Sprintf(verb, e))
		}
		if many, ok := e.(interface{ Unwrap() []error }); ok {
			t.Errorf("%T wraps several errors: %v", e, many.Unwrap())
		}
	}
}

func noLeak(t *testing.T, where, text string) {
	t.Helper()
	lower := strings.ToLower(text)
	for _, private := range allPrivate {
		quoted, err := json.Marshal(private)
		if err != nil {
			t.Fatal(err)
		}
		for _, form := range []string{
			private, url.QueryEscape(private), url.PathEscape(private), strings.Trim(string(quoted), `"`),
			strings.Trim(fmt.Sprintf("%q", private), `"`), fmt.Sprintf("%x", private),
			base64.StdEncoding.EncodeToString([]byte(private)), base64.URLEncoding.EncodeToString([]byte(private)),
		} {
			if strings.Contains(lower, strings.ToLower(form)) {
				t.Errorf("%s holds %q: %s", where, form, text)
			}
		}
	}
	for _, word := range []string{"access_token=", "secret=", "js_code=", "?"} {
		if strings.Contains(lower, word) {
			t.Errorf("%s holds %q: %s", where, word, text)
		}
	}
}

func on(client func(*testing.T) *Client) func(*testing.T) (context.Context, *Client) {
	return func(t *testing.T) (context.Context, *Client) { return t.Context(), client(t) }
}

func handler(h http.HandlerFunc) func(*testing.T) *Client {
	return func(t *testing.T) *Client { return newClient(t, newServer(t, h).URL) }
}

func page(status int) func(*testing.T) *Client {
	return handler(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprintf(w, "<html>cannot reach %s</html>", echo(r))
	})
}

func redirect(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Location", "/elsewhere?access_token="+url.QueryEscape(testToken)+"&secret="+url.QueryEscape(testSecret))
	w.WriteHeader(http.StatusFound)
	_, _ = io.WriteString(w, echo(r))
}

// raw reads a request, answers with the format, in which %s is an echo, and cuts
// the connection.
func raw(format string) func(*testing.T) *Client {
	return func(t *testing.T) *Client {
		return newClient(t, "http://"+rawServer(t, func(conn net.Conn) {
			r, err := http.ReadRequest(bufio.NewReader(conn))
			if err != nil {
				return
			}
			if text := echo(r); format != "" {
				_, _ = fmt.Fprintf(conn, format, text)
			}
		}))
	}
}

func bodyHangs(t *testing.T) *Client {
	return impatient(t, newClient(t, newServer(t, answersOnce(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "99")
		_, _ = io.WriteString(w, `{"errcode":0,`)
		w.(http.Flusher).Flush()
		neverAnswer(w, r)
	})).URL))
}

// hang reads all and answers nothing, until the client or the test ends.
func hang(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// refusingAddr is where nothing listens: a port that was free a moment ago could be
// another test's by now.
const refusingAddr = "127.0.0.1:1"

func newTLSServer(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(h)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

// trusting makes a client that accepts the server's certificate.
func trusting(t *testing.T, s *httptest.Server, baseURL string, change ...func(*Config)) *Client {
	t.Helper()
	c := newClient(t, baseURL, change...)
	c.transport.TLSClientConfig = &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	return c
}

func untrusted(t *testing.T) *Client { return newClient(t, newTLSServer(t, redirect).URL) }

func tlsAlert(t *testing.T) *Client {
	s := newTLSServer(t, redirect)
	c := trusting(t, s, s.URL)
	c.transport.TLSClientConfig.MaxVersion = tls.VersionTLS10
	c.transport.TLSClientConfig.MinVersion = tls.VersionTLS10
	return c
}

func tlsHang(t *testing.T) *Client {
	s := newTLSServer(t, answersOnce(neverAnswer))
	return impatient(t, trusting(t, s, s.URL))
}

// answersOnce handles every request but the first as then does.
func answersOnce(then http.HandlerFunc) http.HandlerFunc {
	var answered atomic.Bool
	return func(w http.ResponseWriter, r *http.Request) {
		if answered.Swap(true) {
			then(w, r)
		}
		_, _ = io.WriteString(w, `{"errcode":0}`)
	}
}

// impatient lets a client wait for noAnswer, now that it has a connection: that may take
// a busy machine longer than the call that is not answered.
func impatient(t *testing.T, c *Client) *Client {
	t.Helper()
	if _, err := c.SendSubscribe(t.Context(), testToken, testMessage()); err != nil {
		t.Fatal(err)
	}
	c.timeout = noAnswer
	return c
}

// neverAnswer waits until the client is gone. The body must be read for the
// server to notice.
func neverAnswer(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	panic(http.ErrAbortHandler)
}

func canceledBefore(t *testing.T) (context.Context, *Client) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("a cause that holds " + testToken))
	return ctx, newClient(t, newServer(t, redirect).URL)
}

func tooLate(t *testing.T) (context.Context, *Client) {
	ctx, cancel := context.WithDeadline(t.Context(), time.Now())
	t.Cleanup(cancel)
	return ctx, newClient(t, newServer(t, redirect).URL)
}

func canceledInFlight(t *testing.T) (context.Context, *Client) {
	ctx, cancel := context.WithCancelCause(t.Context())
	return ctx, handler(func(w http.ResponseWriter, r *http.Request) {
		cancel(errors.New("a cause that holds " + testToken))
		neverAnswer(w, r)
	})(t)
}

// One step that takes too long is told apart from the whole call.
func TestStepTimeout(t *testing.T) {
	t.Parallel()
	c := newClient(t, "https://"+rawServer(t, hang))
	c.transport.TLSHandshakeTimeout = 50 * time.Millisecond
	_, err := c.Token(t.Context(), testCredential())
	if !errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want os.ErrDeadlineExceeded", err)
	}
	assertNoLeak(t, err)
}
