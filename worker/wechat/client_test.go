package wechat

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestNewNamesTheWrongField(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		cfg  Config
		want string
	}{
		{"no URL", Config{BaseURL: "http://user:hidden@[::1"}, "wechat: BaseURL: not a URL"},
		{"other scheme", Config{BaseURL: "ftp://hidden.test"}, "wechat: BaseURL: must begin with http:// or https://"},
		{"no scheme", Config{BaseURL: "hidden.test"}, "wechat: BaseURL: must begin with http:// or https://"},
		{"no host", Config{BaseURL: "https://:443"}, "wechat: BaseURL: has no host"},
		{"password", Config{BaseURL: "https://user:hidden@api.test"}, "wechat: BaseURL: must not hold a user or password"},
		{"query", Config{BaseURL: "https://api.test/?hidden"}, "wechat: BaseURL: must not have a query or fragment"},
		{"empty query", Config{BaseURL: "https://api.test/?"}, "wechat: BaseURL: must not have a query or fragment"},
		{"fragment", Config{BaseURL: "https://api.test/#hidden"}, "wechat: BaseURL: must not have a query or fragment"},
		{"timeout", Config{Timeout: -1}, "wechat: Timeout: must be positive"},
		{"connections", Config{MaxConns: -1}, "wechat: MaxConns: must be positive"},
		{"user agent", Config{UserAgent: "a\r\nhidden"}, "wechat: UserAgent: must be printable ASCII"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(tt.cfg); err == nil || err.Error() != tt.want {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestNewDefaults(t *testing.T) {
	t.Parallel()
	c, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.subscribeSendURL.String(); got != "https://api.weixin.qq.com/cgi-bin/message/subscribe/send" {
		t.Error(got)
	}
	if c.timeout != 10*time.Second || c.transport.MaxIdleConnsPerHost != 64 || c.getHeader.Get("User-Agent") != "wxnotify" {
		t.Errorf("timeout %s, %d connections, header %v", c.timeout, c.transport.MaxIdleConnsPerHost, c.getHeader)
	}
}

// seen is one request as a server gets it.
type seen struct {
	method, target, body, proto string
	length                      int64
	header                      http.Header
}

// recording makes a client whose server answers so and tells what it was asked.
func recording(t *testing.T, path, body string) (*Client, <-chan seen) {
	requests := make(chan seen, 1)
	s := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		requests <- seen{r.Method, r.RequestURI, string(b), r.Proto, r.ContentLength, r.Header}
		w.Header().Set("Content-Type", "text/plain") // WeChat is not to be trusted in this.
		_, _ = io.WriteString(w, body)
	})
	return newClient(t, s.URL+path), requests
}

func TestToken(t *testing.T) {
	t.Parallel()
	c, requests := recording(t, "", `{"access_token":"67_abc-DEF","expires_in":7200}`)
	got, err := c.Token(t.Context(), testCredential())
	if want := (AccessToken{"67_abc-DEF", 2 * time.Hour}); err != nil || got != want {
		t.Fatalf("got %s (%q), %v", got.ExpiresIn, got.Value, err)
	}
	r := <-requests
	want := "/cgi-bin/token?grant_type=client_credential&appid=wx0123456789abcdef&secret=" + url.QueryEscape(testSecret)
	if r.method != http.MethodGet || r.target != want || r.body != "" || r.header.Get("User-Agent") != "wxnotify/test" {
		t.Errorf("asked %+v", r)
	}
}

func TestStableToken(t *testing.T) {
	t.Parallel()
	for _, force := range []string{"false", "true"} {
		c, requests := recording(t, "/gateway/", `{"errcode":0,"access_token":"stable","expires_in":"345"}`)
		got, err := c.StableToken(t.Context(), testCredential(), force == "true")
		if want := (AccessToken{"stable", 345 * time.Second}); err != nil || got != want {
			t.Fatalf("got %s (%q), %v", got.ExpiresIn, got.Value, err)
		}
		r := <-requests
		body := `{"grant_type":"client_credential","appid":"wx0123456789abcdef","secret":"s3cret+/=\"&<k>%41","force_refresh":` + force + `}`
		if r.method != http.MethodPost || r.target != "/gateway/cgi-bin/stable_token" || r.body != body {
			t.Errorf("asked %+v", r)
		}
	}
}

func TestSendSubscribe(t *testing.T) {
	t.Parallel()
	c, requests := recording(t, "", `{"errcode":0,"errmsg":"ok","msgid":`+testMsgID+`}`)
	m := testMessage()
	m.MiniprogramState, m.Lang = "trial", "en_US"
	got, err := c.SendSubscribe(t.Context(), testToken, m)
	if err != nil || got.MsgID != testMsgID {
		t.Fatalf("got %v, %v", got, err)
	}
	r := <-requests
	body := `{"touser":"oOPENID+user&1","template_id":"TPL_1","page":"pages/bill?user=4711","miniprogram_state":"trial","lang":"en_US",` +
		`"data":{"amount2":{"value":"¥5"},"thing1":{"value":"张三 owes 42 & more"}}}`
	if r.body != body {
		t.Errorf("body %s\nwant %s", r.body, body)
	}
	if r.method != http.MethodPost || r.target != "/cgi-bin/message/subscribe/send?access_token="+url.QueryEscape(testToken) {
		t.Errorf("asked %s %s", r.method, r.target)
	}
	if r.length != int64(len(body)) || r.header.Get("Content-Type") != "application/json" || r.header.Get("Accept-Encoding") != "" {
		t.Errorf("length %d, header %v", r.length, r.header)
	}
}

func TestSendSubscribeLeavesOut(t *testing.T) {
	t.Parallel()
	empty := ""
	tests := []struct {
		name string
		page *string
		want string
	}{
		{"no page", nil, `{"touser":"o1","template_id":"T","miniprogram_state":"formal","lang":"zh_CN","data":{}}`},
		{"no jump", &empty, `{"touser":"o1","template_id":"T","page":"","miniprogram_state":"formal","lang":"zh_CN","data":{}}`},
	}
	for _, tt := range tests {
		c, requests := recording(t, "", `{"errcode":0}`)
		got, err := c.SendSubscribe(t.Context(), "t", SubscribeMessage{ToUser: "o1", TemplateID: "T", Page: tt.page})
		if err != nil || got.MsgID != "" {
			t.Errorf("%s: got %v, %v", tt.name, got, err)
		}
		if r := <-requests; r.body != tt.want {
			t.Errorf("%s: body %s", tt.name, r.body)
		}
	}
}

// A redirect target must never hear of the token.
func TestRedirectIsNotFollowed(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	c := newClient(t, newServer(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
	}).URL)
	for _, call := range calls {
		failure, ok := errors.AsType[*Error](call.do(t.Context(), c))
		if !ok || failure.HTTPStatus != http.StatusTemporaryRedirect || failure.Code != 0 {
			t.Errorf("%s: got %+v", call.api, failure)
		}
	}
	if n := asked.Load(); n != int32(len(calls)) {
		t.Errorf("the server was asked %d times", n)
	}
}

func TestConnectionsAreKept(t *testing.T) {
	t.Parallel()
	const sends = 20
	var mu sync.Mutex
	peers := map[string]int{}
	c := newClient(t, newServer(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		peers[r.RemoteAddr]++
		mu.Unlock()
		if r.ContentLength%2 == 0 { // Failures are read to their end as well.
			w.WriteHeader(http.StatusBadGateway)
		}
		_, _ = io.WriteString(w, `{"errcode":0}`)
	}).URL)
	for i := range sends {
		_, err := c.SendSubscribe(t.Context(), "t", SubscribeMessage{ToUser: strings.Repeat("o", i)})
		if failure, ok := errors.AsType[*Error](err); ok && failure.HTTPStatus != http.StatusBadGateway {
			t.Error(err)
		}
	}
	mu.Lock()
	defer mu.Unlock()
	// net/http gives up one whose write it has not heard the end of within 50 ms.
	if len(peers) > 3 {
		t.Errorf("%d sends one after another used the connections %v", sends, peers)
	}
}

// A connection the server closed while it was idle is no failure of the send.
func TestClosedIdleConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	s := newServer(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"errcode":0}`) })
	c := newClient(t, s.URL)
	for range 20 {
		if _, err := c.SendSubscribe(t.Context(), "t", testMessage()); err != nil {
			// The close may overtake the request, but then nothing else must be said.
			failure, _ := errors.AsType[*Error](err)
			if failure.Written != (failure.Class == errcode.Unknown) {
				t.Fatal(err)
			}
		}
		s.CloseClientConnections()
	}
}

func TestHTTP1OverTLS(t *testing.T) {
	t.Parallel()
	proto := make(chan string, 1)
	s := newTLSServer(t, func(w http.ResponseWriter, r *http.Request) {
		proto <- r.Proto
		_, _ = io.WriteString(w, `{"errcode":0,"msgid":"7"}`)
	})
	got, err := trusting(t, s, s.URL).SendSubscribe(t.Context(), "t", testMessage())
	if err != nil || got.MsgID != "7" {
		t.Fatalf("got %v, %v", got, err)
	}
	if p := <-proto; p != "HTTP/1.1" {
		t.Error(p)
	}
}

func TestProxyOfTheEnvironment(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"errcode":43101,"errmsg":"user refuse to accept the msg"}`)
	})
	_, port, _ := strings.Cut(s.Listener.Addr().String(), ":")
	c := trusting(t, s, "https://"+tunnelHost+":"+port)
	_, err := c.SendSubscribe(t.Context(), "t", testMessage())
	failure, ok := errors.AsType[*Error](err)
	if !ok || failure.Code != 43101 || !failure.Written {
		t.Errorf("got %v", err)
	}
}

func TestObserve(t *testing.T) {
	t.Parallel()
	type told struct {
		api  string
		code int
		err  bool
	}
	answers := []string{`{"errcode":0}`, `{"errcode":45011,"errmsg":"slow down"}`, `<html>`}
	var got []told
	var next atomic.Int32
	c := newClient(t, newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, answers[next.Add(1)-1])
	}).URL, func(cfg *Config) {
		cfg.Observe = func(api string, d time.Duration, code int, err error) {
			if d <= 0 {
				t.Errorf("%s took %s", api, d)
			}
			if err != nil {
				if _, ok := err.(*Error); !ok {
					t.Errorf("told of a %T", err)
				}
			}
			got = append(got, told{api, code, err != nil})
		}
	})
	for range answers {
		_, _ = c.SendSubscribe(t.Context(), "t", testMessage())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, _ = c.Token(ctx, testCredential())
	want := []told{
		{errcode.APISubscribeSend, 0, false}, {errcode.APISubscribeSend, 45011, true},
		{errcode.APISubscribeSend, 0, true}, {errcode.APIToken, 0, true},
	}
	if !slices.Equal(got, want) {
		t.Errorf("told %v, want %v", got, want)
	}
}

func TestConcurrentCalls(t *testing.T) {
	t.Parallel()
	c := newClient(t, newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"errcode":0,"access_token":"t","expires_in":7200,"openid":"o1","session_key":"k","data":[],"quota":{"daily_limit":1,"used":0,"remain":1},"notify_info":{}}`)
	}).URL)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 10 {
				for _, call := range calls {
					if err := call.do(t.Context(), c); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
