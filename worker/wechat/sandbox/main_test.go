package sandbox

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testApp    = "wxtest"
	testSecret = "0123456789abcdef0123456789abcdef"
	testUser   = "oUser1"
	testTpl    = "TPL1"
)

// clock is a fake time that tests move on.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func newClock() *clock { return &clock{t: time.Date(2026, 3, 1, 4, 0, 0, 0, time.UTC)} } // noon in China

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// bundle is a sandbox with one app and a fake clock, called without a network.
type bundle struct {
	*testing.T
	s     *Server
	clock *clock
}

func testAppConfig() App {
	return App{
		AppID: testApp, Secret: testSecret, IDKey: "character_string2",
		OpenIDs: []string{testUser, "oUser2"},
		Templates: []Template{
			{ID: testTpl, Keys: []string{"thing1", "character_string2"}},
			{ID: "TPLBLOCKED", Keys: []string{"thing1"}, Blocked: true},
		},
		Pages:          []string{"pages/index/index"},
		SensitiveWords: []string{"forbidden"},
	}
}

// setup makes a sandbox; change, which may be nil, adjusts its app.
func setup(t *testing.T, change func(*App)) *bundle {
	t.Helper()
	a, c := testAppConfig(), newClock()
	if change != nil {
		change(&a)
	}
	s, err := New(Config{Apps: []App{a}, Seed: 7, Now: c.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return &bundle{T: t, s: s, clock: c}
}

// reply is any answer of WeChat's calls.
type reply struct {
	Errcode     int         `json:"errcode"`
	Errmsg      string      `json:"errmsg"`
	AccessToken string      `json:"access_token"`
	ExpiresIn   int         `json:"expires_in"`
	MsgID       json.Number `json:"msgid"`
	status      int
	text        string
}

func (b *bundle) do(method, target, body string) reply {
	b.Helper()
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	r := reply{status: w.Code, text: w.Body.String()}
	if w.Header().Get("Content-Type") != "text/html" {
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil {
			b.Fatalf("%s %s: %v in %q", method, target, err, r.text)
		}
	}
	return r
}

func (b *bundle) classic() reply {
	b.Helper()
	return b.do("GET", "/cgi-bin/token?grant_type=client_credential&appid="+testApp+"&secret="+testSecret, "")
}

func stableBody(force bool) string {
	body, _ := json.Marshal(grantRequest{GrantType: "client_credential", AppID: testApp, Secret: testSecret, ForceRefresh: force})
	return string(body)
}

func (b *bundle) stable(force bool) reply {
	b.Helper()
	return b.do("POST", "/cgi-bin/stable_token", stableBody(force))
}

// sendBody is a good message with an id of its own.
func sendBody(id string) string {
	return `{"touser":"` + testUser + `","template_id":"` + testTpl + `","page":"pages/index/index?a=1","miniprogram_state":"formal","lang":"zh_CN",` +
		`"data":{"thing1":{"value":"A \u0026 B"},"character_string2":{"value":"` + id + `"}}}`
}

func (b *bundle) send(token, body string) reply {
	b.Helper()
	return b.do("POST", "/cgi-bin/message/subscribe/send?access_token="+token, body)
}

func (b *bundle) wantCode(r reply, code int) {
	b.Helper()
	if r.Errcode != code || r.status != http.StatusOK {
		b.Fatalf("got HTTP %d %s, want errcode %d", r.status, r.text, code)
	}
}

func (b *bundle) setFaults(f Faults) {
	b.Helper()
	if err := b.s.SetFaults("", f); err != nil {
		b.Fatal(err)
	}
}

// network is a sandbox that listens, with a client that must be told no address.
type network struct {
	*bundle
	running *Running
	client  *http.Client
	token   string
}

func listen(b *bundle) *network {
	b.Helper()
	r, err := b.s.Start("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{}
	n := &network{bundle: b, running: r, client: &http.Client{Transport: transport}, token: b.stable(false).AccessToken}
	b.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := r.Shutdown(ctx); err != nil {
			b.Error(err)
		}
	})
	return n
}

// post sends over the network and returns status and body, or what went wrong with either.
func (n *network) post(ctx context.Context, body string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", n.running.URL()+"/cgi-bin/message/subscribe/send?access_token="+n.token, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close() // read-only, nothing to lose
	return resp.StatusCode, string(text), err
}

// eventually polls until ok answers true.
func (b *bundle) eventually(what string, ok func() bool) {
	b.Helper()
	deadline, tick := time.After(30*time.Second), time.NewTicker(2*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline:
			b.Fatalf("never: %s", what)
		case <-tick.C:
		}
	}
}
