package wechat

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Values no error may show, with everything that gets escaped somewhere.
const (
	testSecret  = `s3cret+/="&<k>%41`
	testToken   = `t0ken_-+/=&"<v>`
	testOpenID  = `oOPENID+user&1`
	testContent = `张三 owes 42 & more`
	testPage    = "pages/bill?user=4711"
	testCode    = `0c0de+/=&"<w>`
	testFormID  = `f0rm1d&"<x>+/=`
	testSession = `s3ss10n&key"<y>+/==`
	testMsgID   = "1988810812324364291"
)

var allPrivate = []string{testSecret, testToken, testOpenID, testContent, testPage, testCode, testFormID, testSession}

// Hosts the test proxy knows. The environment is read once per process, so the
// proxy stands in it before the first test; 127.0.0.1 always goes around it.
const (
	refusedHost = "refused.test" // the proxy answers 407
	tunnelHost  = "example.com"  // the proxy leads to 127.0.0.1, and httptest's certificate is for this name
)

func TestMain(m *testing.M) {
	proxy := &http.Server{Handler: http.HandlerFunc(serveProxy), ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = proxy.Serve(listener) }()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		if err := os.Setenv(name, "http://"+listener.Addr().String()); err != nil {
			panic(err)
		}
	}
	if err := os.Setenv("NO_PROXY", "a..b"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent())
}

func serveProxy(w http.ResponseWriter, r *http.Request) {
	host, port, err := net.SplitHostPort(r.Host)
	if r.Method != http.MethodConnect || err != nil || host != tunnelHost {
		http.Error(w, "Proxy says no to "+r.URL.String(), http.StatusProxyAuthRequired)
		return
	}
	target, err := net.Dial("tcp", net.JoinHostPort("127.0.0.1", port))
	if err != nil {
		http.Error(w, "no target", http.StatusBadGateway)
		return
	}
	defer func() { _ = target.Close() }()
	client, buffered, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = client.Close() }()
	if _, err := io.WriteString(client, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return
	}
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(client, target)
		_ = client.Close()
	}()
	_, _ = io.Copy(target, buffered)
	_ = target.Close()
	<-back
}

// newClient makes a client for a base URL and closes it with the test.
func newClient(t testing.TB, baseURL string, change ...func(*Config)) *Client {
	t.Helper()
	cfg := Config{BaseURL: baseURL, Timeout: 10 * time.Second, MaxConns: 4, UserAgent: "wxnotify/test"}
	for _, f := range change {
		f(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// newServer serves the handler over plain HTTP.
func newServer(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// answering makes a client of a server that always answers so.
func answering(t testing.TB, status int, body string) *Client {
	t.Helper()
	return newClient(t, newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}).URL)
}

// rawServer accepts connections and hands each to serve, which need not close it.
// Everything has ended when the test has.
func rawServer(t testing.TB, serve func(net.Conn)) (addr string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			serve(conn)
			stop()
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// echo is what a careless server or gateway might put into its answer: all that
// the request told it, as it came, decoded and encoded anew.
func echo(r *http.Request) string {
	body, _ := io.ReadAll(r.Body)
	q := r.URL.Query()
	parts := []string{"https://" + r.Host + r.URL.String(), string(body)}
	told := string(body) + q.Get("secret") + q.Get("access_token") + q.Get("js_code")
	for _, private := range allPrivate {
		if quoted := string(appendString(nil, private)); strings.Contains(told, private) || strings.Contains(told, quoted) {
			parts = append(parts, private, quoted, strings.ToUpper(private), base64.URLEncoding.EncodeToString([]byte(private)))
		}
	}
	slices.Reverse(parts) // An errmsg is cut at its end.
	return strings.Join(parts, " ")
}

func testMessage() SubscribeMessage {
	page := testPage
	return SubscribeMessage{
		ToUser: testOpenID, TemplateID: "TPL_1", Page: &page,
		Data: map[string]string{"thing1": testContent, "amount2": "¥5"},
	}
}

func testTemplateMessage() TemplateMessage {
	page := testPage
	return TemplateMessage{
		ToUser: testOpenID, TemplateID: "TPL_1", Page: &page, FormID: testFormID,
		Data:            map[string]string{"keyword1": testContent, "keyword2": "¥5"},
		EmphasisKeyword: "keyword1.DATA",
	}
}

func testDeviceMessage() DeviceMessage {
	page := testPage
	return DeviceMessage{
		ToOpenIDs: []string{testOpenID, "oOTHER"}, SN: testFormID, ModelID: "model-1", TemplateID: "TPL_1", Page: &page,
		Data: map[string]string{"enum_string1": testContent},
	}
}

func testCard() Card { return Card{OpenID: testOpenID, NotifyType: 2001, NotifyCode: testFormID} }

func testCardContent() json.RawMessage {
	text, err := json.Marshal(map[string]any{"cur_status": 2, "store": map[string]any{"names": []string{testContent}}})
	if err != nil {
		panic(err)
	}
	return text
}

func testCredential() Credential { return Credential{AppID: "wx0123456789abcdef", Secret: testSecret} }
