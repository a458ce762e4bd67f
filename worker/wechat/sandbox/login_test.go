package sandbox

import (
	"encoding/base64"
	"encoding/json"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const loginPath = "/sns/jscode2session?grant_type=authorization_code&appid=" + testApp + "&secret=" + testSecret + "&js_code="

// sessionReply is the answer of an exchange.
type sessionReply struct {
	OpenID     string `json:"openid"`
	SessionKey string `json:"session_key"`
	UnionID    string `json:"unionid"`
}

func (b *bundle) login(code string) (reply, sessionReply) {
	b.Helper()
	r := b.do("GET", loginPath+code, "")
	var s sessionReply
	if err := json.Unmarshal([]byte(r.text), &s); err != nil {
		b.Fatal(err)
	}
	return r, s
}

func (b *bundle) setCode(c Code) {
	b.Helper()
	if _, err := b.s.SetCode(testApp, c); err != nil {
		b.Fatal(err)
	}
}

func TestExchange(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.setCode(Code{OpenID: "oNew", Code: "c1"})
	r, s := b.login("c1")
	b.wantCode(r, 0)
	key, err := base64.StdEncoding.DecodeString(s.SessionKey)
	if s.OpenID != "oNew" || err != nil || len(key) != 16 || s.UnionID != "" {
		t.Errorf("%s: %v", r.text, err)
	}
	b.wantCode(b.send(b.stable(false).AccessToken, strings.Replace(sendBody("n1"), testUser, "oNew", 1)), 0)
	r, _ = b.login("c1")
	b.wantCode(r, 40163)
	if !strings.HasPrefix(r.Errmsg, "code been used rid: ") {
		t.Errorf("errmsg %q", r.Errmsg)
	}
	if n := b.s.Report(false).Apps[testApp].Calls[APICodeToSession].Errcodes[0]; n != 1 {
		t.Errorf("%d exchanges", n)
	}
	text, err := json.Marshal(b.s.Report(true))
	if err != nil || strings.Contains(string(text), s.SessionKey) || strings.Contains(string(text), "oNew") || strings.Contains(string(text), `"c1"`) {
		t.Errorf("report %s: %v", text, err)
	}
}

func TestExchangeErrcodes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.s.AddApp(App{AppID: "wx2", Secret: "s2"}); err != nil {
		t.Fatal(err)
	}
	if err := b.s.SetUser(testApp, User{OpenID: "oRisky", HighRisk: true}); err != nil {
		t.Fatal(err)
	}
	b.setCode(Code{OpenID: testUser, Code: "good"})
	b.setCode(Code{OpenID: testUser, Code: "old", ExpiresIn: Duration(-time.Second)})
	b.setCode(Code{OpenID: "oRisky", Code: "risky"})
	good := loginPath + "good"
	for name, tc := range map[string]struct {
		target string
		code   int
	}{
		"grant type":     {strings.Replace(good, "authorization_code", "client_credential", 1), 40002},
		"appid missing":  {strings.Replace(good, testApp, "", 1), 41002},
		"appid":          {strings.Replace(good, testApp, "wxnone", 1), 40013},
		"secret missing": {strings.Replace(good, testSecret, "", 1), 41004},
		"secret":         {strings.Replace(good, testSecret, "x", 1), 40125},
		"other's secret": {strings.Replace(good, testSecret, "s2", 1), 40001},
		"code missing":   {loginPath, 41008},
		"code unknown":   {loginPath + "none", 40029},
		"code expired":   {loginPath + "old", 40029},
		"other's code":   {strings.NewReplacer(testApp, "wx2", testSecret, "s2").Replace(good), 40029},
		"high risk":      {loginPath + "risky", 40226},
	} {
		if r := b.do("GET", tc.target, ""); r.Errcode != tc.code || strings.Contains(r.text, "session_key") {
			t.Errorf("%s: %s, want %d", name, r.text, tc.code)
		}
	}
	if r := b.do("POST", good, ""); r.status != 404 {
		t.Errorf("POST: HTTP %d", r.status)
	}
	if err := b.s.SetUser(testApp, User{OpenID: "oRisky"}); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"good", "risky"} { // no refusal has used it up
		r, _ := b.login(code)
		b.wantCode(r, 0)
	}
}

func TestExchangeQuotaAndLife(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.s.SetQuotas("", Quotas{APICodeToSession: {PerMinute: 1}}); err != nil {
		t.Fatal(err)
	}
	for _, code := range []string{"c1", "c2", "c3"} {
		b.setCode(Code{OpenID: testUser, Code: code})
	}
	want := func(code string, errcode int) {
		t.Helper()
		r, _ := b.login(code)
		b.wantCode(r, errcode)
	}
	want("c1", 0)
	want("c2", 45011)
	b.clock.advance(time.Minute)
	want("c2", 0)
	b.clock.advance(codeLife)
	want("c3", 40029)
	want("c1", 40163)
}

func TestAnyCode(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AnyCode = true })
	r, one := b.login("a")
	b.wantCode(r, 0)
	_, two := b.login("b")
	if len(one.OpenID) != 28 || one.OpenID == two.OpenID || one.OpenID != derivedOpenID(testApp, "a") {
		t.Errorf("openids %q %q", one.OpenID, two.OpenID)
	}
	r, _ = b.login("a")
	b.wantCode(r, 40163)
	b.wantCode(b.send(b.stable(false).AccessToken, strings.Replace(sendBody("n1"), testUser, one.OpenID, 1)), 0)
}

func TestOneExchangeOfMany(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AnyCode = true })
	var all sync.WaitGroup
	var exchanged atomic.Int64
	for range 16 {
		all.Go(func() {
			if b.do("GET", loginPath+"c", "").Errcode == 0 {
				exchanged.Add(1)
			}
		})
	}
	all.Wait()
	if exchanged.Load() != 1 {
		t.Errorf("%d exchanges", exchanged.Load())
	}
}

func TestExchangeIsTextPlain(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, code := range []string{"c1", "none"} {
		b.setCode(Code{OpenID: testUser, Code: "c1"})
		w := httptest.NewRecorder()
		b.s.ServeHTTP(w, httptest.NewRequest("GET", loginPath+code, nil))
		if ct := w.Header().Get("Content-Type"); ct != "text/plain" {
			t.Errorf("%s: content type %q", code, ct)
		}
	}
	b.setFaults(Faults{Next: []Script{{API: APICodeToSession, Do: FaultBadGateway}}})
	if r := b.do("GET", loginPath+"c1", ""); r.status != 502 || !strings.Contains(r.text, "nginx") {
		t.Errorf("fault: HTTP %d %s", r.status, r.text)
	}
}

func TestControlMakesCodes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	var made struct{ Code string }
	if err := json.Unmarshal([]byte(b.must("POST", "codes", `{"app":"wxtest","openid":"oNew"}`)), &made); err != nil || made.Code == "" {
		t.Fatalf("%+v %v", made, err)
	}
	r, s := b.login(made.Code)
	b.wantCode(r, 0)
	if s.OpenID != "oNew" {
		t.Errorf("openid %s", s.OpenID)
	}
	b.must("PUT", "codes", `{"app":"wxtest","openid":"oNew","code":"c1","expires_in":"-1s"}`)
	r, _ = b.login("c1")
	b.wantCode(r, 40029)
}
