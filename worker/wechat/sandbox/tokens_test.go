package sandbox

import (
	"encoding/json"
	"testing"
	"time"
)

// verdictOn tells what a send with the token is answered, without sending anything.
func (b *bundle) verdictOn(token string) int {
	b.Helper()
	r := b.send(token, `{"touser":""}`)
	if r.Errcode == 40003 { // past the token check
		return 0
	}
	return r.Errcode
}

func (b *bundle) wantToken(name string, r reply, code int) {
	b.Helper()
	if got := b.verdictOn(r.AccessToken); got != code {
		b.Fatalf("%s: a send is answered %d, want %d", name, got, code)
	}
}

func TestTokenCallErrcodes(t *testing.T) {
	t.Parallel()
	stable := func(edit func(*grantRequest)) string {
		r := grantRequest{GrantType: "client_credential", AppID: testApp, Secret: testSecret}
		edit(&r)
		body, _ := json.Marshal(r)
		return string(body)
	}
	const classicPath, stablePath = "/cgi-bin/token", "/cgi-bin/stable_token"
	for name, tc := range map[string]struct {
		method, target, body string
		code                 int
	}{
		"classic ok":             {"GET", classicPath + "?grant_type=client_credential&appid=wxtest&secret=" + testSecret, "", 0},
		"classic grant_type":     {"GET", classicPath + "?grant_type=x&appid=wxtest&secret=" + testSecret, "", 40002},
		"classic appid missing":  {"GET", classicPath + "?grant_type=client_credential&secret=" + testSecret, "", 41002},
		"classic secret missing": {"GET", classicPath + "?grant_type=client_credential&appid=wxtest", "", 41004},
		"classic appid":          {"GET", classicPath + "?grant_type=client_credential&appid=wxTEST&secret=" + testSecret, "", 40013},
		"classic secret":         {"GET", classicPath + "?grant_type=client_credential&appid=wxtest&secret=x", "", 40125},
		"classic other's secret": {"GET", classicPath + "?grant_type=client_credential&appid=wxtest&secret=other", "", 40001},
		"stable ok":              {"POST", stablePath, stable(func(*grantRequest) {}), 0},
		"stable grant_type":      {"POST", stablePath, stable(func(r *grantRequest) { r.GrantType = "" }), 40002},
		"stable appid missing":   {"POST", stablePath, stable(func(r *grantRequest) { r.AppID = "" }), 41002},
		"stable secret missing":  {"POST", stablePath, stable(func(r *grantRequest) { r.Secret = "" }), 41004},
		"stable appid":           {"POST", stablePath, stable(func(r *grantRequest) { r.AppID = "wxnone" }), 40013},
		"stable secret":          {"POST", stablePath, stable(func(r *grantRequest) { r.Secret = "x" }), 40125},
		"stable other's secret":  {"POST", stablePath, stable(func(r *grantRequest) { r.Secret = "other" }), 40001},
		"stable GET":             {"GET", stablePath, "", 43002},
		"stable empty":           {"POST", stablePath, "", 44002},
		"stable no JSON":         {"POST", stablePath, "grant_type=x", 47001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			if err := b.s.AddApp(App{AppID: "wxother", Secret: "other"}); err != nil {
				t.Fatal(err)
			}
			r := b.do(tc.method, tc.target, tc.body)
			b.wantCode(r, tc.code)
			if (r.AccessToken != "") != (tc.code == 0) {
				t.Fatalf("token %q with errcode %d", r.AccessToken, tc.code)
			}
		})
	}
	if b := setup(t, nil); b.do("POST", classicPath, "").status != 404 {
		t.Error("POST to /cgi-bin/token: want a 404 page")
	}
}

func TestClassicFetchSupersedes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first := b.classic()
	if first.ExpiresIn != 7200 {
		t.Fatalf("expires_in %d", first.ExpiresIn)
	}
	b.clock.advance(time.Minute)
	second := b.classic()
	if second.AccessToken == first.AccessToken {
		t.Fatal("the second fetch gave the same token")
	}
	b.wantToken("first within the overlap", first, 0)
	b.clock.advance(5*time.Minute - time.Second)
	b.wantToken("first at the end of the overlap", first, 0)
	b.clock.advance(time.Second)
	b.wantToken("first after the overlap", first, 40001)
	b.wantToken("second", second, 0)
	b.clock.advance(7200 * time.Second)
	b.wantToken("second after its life", second, 42001)
}

func TestClassicThirdFetchEndsFirst(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first, second, third := b.classic(), b.classic(), b.classic()
	b.wantToken("first", first, 40001)
	b.wantToken("second", second, 0)
	b.wantToken("third", third, 0)
}

func TestStableRepeatsThenRotates(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first := b.stable(false)
	b.clock.advance(6899 * time.Second)
	if again := b.stable(false); again.AccessToken != first.AccessToken || again.ExpiresIn != 301 {
		t.Fatalf("just before the last five minutes: same token %v, expires_in %d", again.AccessToken == first.AccessToken, again.ExpiresIn)
	}
	b.clock.advance(time.Second)
	second := b.stable(false)
	if second.AccessToken == first.AccessToken || second.ExpiresIn != 7200 {
		t.Fatalf("in the last five minutes: same token %v, expires_in %d", second.AccessToken == first.AccessToken, second.ExpiresIn)
	}
	b.clock.advance(299 * time.Second)
	b.wantToken("first to its end", first, 0)
	b.wantToken("second", second, 0)
	b.clock.advance(time.Second)
	b.wantToken("first after its end", first, 42001)
}

func TestClassicAndStableAreApart(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	stable, classic := b.stable(false), b.classic()
	for range 3 {
		b.classic()
	}
	b.wantToken("stable after classic fetches", stable, 0)
	b.wantToken("classic", classic, 40001)
	classic = b.classic()
	b.clock.advance(time.Minute)
	b.stable(true)
	b.clock.advance(time.Minute)
	b.wantToken("classic after a forced stable one", classic, 0)
	b.wantToken("stable after the forced one", stable, 40001)
}

func TestForceRefresh(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	first := b.stable(false)
	second := b.stable(true)
	if second.AccessToken == first.AccessToken {
		t.Fatal("force_refresh gave the same token")
	}
	b.wantToken("first within its grace", first, 0)
	b.clock.advance(29 * time.Second)
	if b.stable(true).AccessToken != second.AccessToken {
		t.Fatal("two force calls within 30 s refreshed twice")
	}
	b.clock.advance(time.Second)
	b.wantToken("first after its grace", first, 40001)
	for range forcePerDay - 1 {
		b.wantCode(b.stable(true), 0)
		b.clock.advance(forceSpacing)
	}
	b.wantCode(b.stable(true), 45009)
	b.clock.advance(12 * time.Hour)
	b.wantCode(b.stable(true), 0)
}

func TestKillTokens(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	stable, classic := b.stable(false), b.classic()
	if err := b.s.KillTokens(testApp, Stable); err != nil {
		t.Fatal(err)
	}
	b.wantToken("stable", stable, 40001)
	b.wantToken("classic", classic, 0)
	next := b.stable(false)
	b.wantToken("next stable", next, 0)
	if err := b.s.KillTokens("", ""); err != nil {
		t.Fatal(err)
	}
	b.wantToken("next stable", next, 40001)
	b.wantToken("classic", classic, 40001)
	if b.s.KillTokens(testApp, "weekly") == nil || b.s.KillTokens("wxnone", Stable) == nil {
		t.Error("an unknown mode or app was taken")
	}
}

func TestShortTokenLife(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.TokenLifetime = Duration(6 * time.Second) })
	first := b.stable(false)
	if first.ExpiresIn != 6 {
		t.Fatalf("expires_in %d", first.ExpiresIn)
	}
	b.clock.advance(4500 * time.Millisecond)
	second := b.stable(false)
	if second.AccessToken == first.AccessToken {
		t.Fatal("no rotation in the last quarter")
	}
	b.wantToken("first", first, 0)
	b.clock.advance(1500 * time.Millisecond)
	b.wantToken("first", first, 42001)
}

func TestIssuedTokensAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.s.SetQuotas("", Quotas{APIToken: {}}); err != nil {
		t.Fatal(err)
	}
	first := b.classic()
	for range maxIssued {
		b.classic()
	}
	b.wantToken("first", first, 40014)
	if n := len(b.s.apps[0].tokens.issued); n != maxIssued {
		t.Errorf("%d tokens remembered", n)
	}
}
