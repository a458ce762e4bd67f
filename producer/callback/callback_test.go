package callback

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	const key = "SECRETSECRETSECRETSECRETSECRETSECRETSECRETS"
	good := App{AppID: plainApp, Token: token}
	for name, tc := range map[string]struct {
		c    Config
		want string
	}{
		"no events":     {Config{Apps: []App{good}}, "nowhere to store"},
		"no app":        {Config{Events: &fakeEvents{}}, "no app"},
		"no AppID":      {Config{Events: &fakeEvents{}, Apps: []App{{AppID: "wx/1", Token: token}}}, "app 1 of 1: is no AppID"},
		"no token":      {Config{Events: &fakeEvents{}, Apps: []App{good, {AppID: sealedApp}}}, "app 2 of 2: has no callback token"},
		"twice":         {Config{Events: &fakeEvents{}, Apps: []App{good, good}}, "listed twice"},
		"key too short": {Config{Events: &fakeEvents{}, Apps: []App{{AppID: plainApp, Token: token, AESKey: key[:42]}}}, "has 42 characters"},
		"key not right": {Config{Events: &fakeEvents{}, Apps: []App{{AppID: plainApp, Token: token, AESKey: key[:42] + "!"}}}, "characters other than"},
	} {
		_, err := New(tc.c)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: error %v, want %q", name, err, tc.want)
		}
	}
}

func TestV1URLCheck(t *testing.T) {
	t.Parallel()
	for _, app := range []string{plainApp, sealedApp} {
		b := newTestbed(t)
		b.now = func() time.Time { return time.Unix(1714036504, 0) }
		w := b.do(httptest.NewRequest(http.MethodGet, Pattern+app+
			"?signature=f464b24fc39322e44b38aa78f5edd27bd1441696&timestamp=1714036504&nonce=1514711492&echostr=4375120948345356249", nil))
		if w.Code != http.StatusOK || w.Body.String() != "4375120948345356249" {
			t.Errorf("%s: %d %q", app, w.Code, w.Body)
		}
		if got := w.Header(); got.Get("Content-Type") != "text/plain; charset=utf-8" || got.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: a browser might take the echo for a page: %v", app, got)
		}
		if want := []string{app + " " + Verified}; !slices.Equal(b.requests, want) {
			t.Errorf("observed %q, want %q", b.requests, want)
		}
	}
}

func TestV2PlainPost(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	b.now = func() time.Time { return time.Unix(1714037059, 0) }
	r := httptest.NewRequest(http.MethodPost, Pattern+plainApp+
		"?signature=899cf89e464efb63f54ddac96b0a0a235f53aa78&timestamp=1714037059&nonce=486452656",
		strings.NewReader(`{"ToUserName":"gh_97417a04a28d","FromUserName":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","CreateTime":1714037059,"MsgType":"event","Event":"debug_demo","debug_str":"hello world"}`))
	checkAcknowledged(t, b, b.do(r), plainApp+" other ignored")
}

func TestV3SafeModePost(t *testing.T) {
	t.Parallel()
	const encrypt = "+qdx1OKCy+5JPCBFWw70tm0fJGb2Jmeia4FCB7kao+/Q5c/ohsOzQHi8khUOb05JCpj0JB4RvQMkUyus8TPxLKJGQqcvZqzDpVzazhZv6JsXUnnR8XGT740XgXZUXQ7vJVnAG+tE8NUd4yFyjPy7GgiaviNrlCTj+l5kdfMuFUPpRSrfMZuMcp3Fn2Pede2IuQrKEYwKSqFIZoNqJ4M8EajAsjLY2km32IIjdf8YL/P50F7mStwntrA2cPDrM1kb6mOcfBgRtWygb3VIYnSeOBrebufAlr7F9mFUPAJGj04="
	b := newTestbed(t)
	r := httptest.NewRequest(http.MethodPost, Pattern+sealedApp+
		"?signature=6c5c811b55cc85e0e1b54100749188c20beb3f5d&timestamp=1714112445&nonce=415670741&openid=o9AgO5Kd5ggOC-bXrbNODIiE3bGY"+
		"&encrypt_type=aes&msg_signature=046e02f8204d34f8ba5fa3b1db94908f3df2e9b3",
		strings.NewReader(`{"ToUserName":"gh_97417a04a28d","Encrypt":"`+encrypt+`"}`))
	checkAcknowledged(t, b, b.do(r), sealedApp+" other ignored")
}

func checkAcknowledged(t *testing.T, b *testbed, w *httptest.ResponseRecorder, counted ...string) {
	t.Helper()
	if w.Code != http.StatusOK || w.Body.String() != "success" {
		t.Errorf("answered %d %q; log:\n%s", w.Code, w.Body, b.logged())
	}
	if !slices.Equal(b.counts, counted) {
		t.Errorf("counted %q, want %q", b.counts, counted)
	}
}

// Each mode in each format. The plaintext beside a sealed text is never what
// counts for an app that seals, and the sealed text never for one that does not.
func TestModesAndFormats(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, app string
		make      func(body string) push
	}{
		{"plain", plainApp, plainPush},
		{"compatible without key", plainApp, func(body string) push {
			return plainPush(beside(body, seal(t, `{"MsgType":"text"}`)))
		}},
		{"safe", sealedApp, func(body string) push { return sealedPush(t, body) }},
		{"compatible with key", sealedApp, func(body string) push {
			p, sealed := sealedPush(t, body), seal(t, body)
			p.body = beside(strings.ReplaceAll(body, "reject", "accept"), sealed)
			p.query = signedOver(sealed)
			return p
		}},
	} {
		for format, body := range map[string]string{"JSON": popupJSON, "XML": popupXML} {
			t.Run(tc.name+" "+format, func(t *testing.T) {
				t.Parallel()
				b := newTestbed(t)
				checkAcknowledged(t, b, b.do(tc.make(body).request()), tc.app+" subscribe_msg_popup_event queued")
				checkPopup(t, b.only(t), tc.app)
				if want := []string{tc.app + " " + Accepted}; !slices.Equal(b.requests, want) {
					t.Errorf("observed %q, want %q", b.requests, want)
				}
			})
		}
	}
}

func checkPopup(t *testing.T, got tasks.Event, app string) {
	t.Helper()
	if len(got.Source) != 16 {
		t.Errorf("source %q, want 16 characters", got.Source)
	}
	want := tasks.Event{
		App: app, OpenID: openid, Name: tasks.EventPopup, At: time.Unix(1714112440, 0), Source: got.Source, Items: popupItems(),
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("stored %+v, want %+v", got, want)
	}
}

func TestRepeatSealedAnewIsTheSamePush(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	first, second := sealedPush(t, popupJSON), sealedPush(t, popupJSON)
	if first.body == second.body {
		t.Fatal("both pushes are sealed to the same text")
	}
	b.do(first.request())
	b.do(second.request())
	other := strings.Replace(popupJSON, "accept", "reject", 1)
	b.do(sealedPush(t, other).request())
	stored := b.events.stored
	if len(stored) != 3 || stored[0].Source != stored[1].Source || stored[0].Source == stored[2].Source {
		t.Errorf("stored %+v, want the same source twice and then another", stored)
	}
}

// Compatible mode puts a sealed text beside the plaintext, another one each time. An app
// without a key reads the plaintext, and a consent that is pushed again is the same one.
func TestRepeatBesideSealedAnewIsTheSamePush(t *testing.T) {
	t.Parallel()
	for format, body := range map[string]string{"JSON": popupJSON, "XML": popupXML} {
		b := newTestbed(t)
		first, second := plainPush(beside(body, seal(t, body))), plainPush(beside(body, seal(t, body)))
		if first.body == second.body {
			t.Fatal("both pushes are sealed to the same text")
		}
		b.do(first.request())
		b.do(second.request())
		other := strings.Replace(body, "accept", "reject", 1)
		b.do(plainPush(beside(other, seal(t, other))).request())
		stored := b.events.stored
		if len(stored) != 3 || stored[0].Source != stored[1].Source || stored[0].Source == stored[2].Source {
			t.Errorf("%s: stored %+v, want the same source twice and then another", format, stored)
		}
	}
}

func TestSourceTellsAppsApart(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	b.do(plainPush(popupJSON).request())
	b.do(sealedPush(t, popupJSON).request())
	if stored := b.events.stored; len(stored) != 2 || stored[0].Source == stored[1].Source {
		t.Errorf("stored %+v, want two sources", stored)
	}
}

func TestNotStored(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	b.events.err = errors.New("tasks: enqueue event: connection refused")
	w := b.do(sealedPush(t, popupJSON).request())
	if w.Code != http.StatusInternalServerError || strings.Contains(w.Body.String(), "success") {
		t.Errorf("answered %d %q: WeChat would not push again", w.Code, w.Body)
	}
	if want := []string{sealedApp + " subscribe_msg_popup_event failed"}; !slices.Equal(b.counts, want) {
		t.Errorf("counted %q, want %q", b.counts, want)
	}
	if want := []string{sealedApp + " " + Failed}; !slices.Equal(b.requests, want) {
		t.Errorf("observed %q, want %q", b.requests, want)
	}
	if log := b.logged(); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "connection refused") {
		t.Errorf("the log does not say why:\n%s", log)
	}
}

// The event is stored before the answer, in less time than WeChat gives, even if
// WeChat hangs up.
func TestStoresFirst(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	ctx, cancel := context.WithCancel(context.Background())
	w := httptest.NewRecorder()
	b.events.during = func(storing context.Context) {
		cancel()
		if storing.Err() != nil {
			t.Error("storing ends with the request")
		}
		deadline, ok := storing.Deadline()
		if left := time.Until(deadline); !ok || left > storeTimeout {
			t.Errorf("storing may take %v, want at most %v", left, storeTimeout)
		}
		if w.Body.Len() > 0 {
			t.Error("answered before the event was stored")
		}
	}
	b.ServeHTTP(w, plainPush(popupJSON).request().WithContext(ctx))
	if b.only(t); w.Body.String() != "success" {
		t.Errorf("answered %q", w.Body)
	}
}

func TestRouting(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		method, path string
		want         int
	}{
		{http.MethodGet, "/wechat/", http.StatusNotFound},
		{http.MethodPost, "/wechat/" + plainApp + "/more", http.StatusNotFound},
		{http.MethodPost, "/other", http.StatusNotFound},
		{http.MethodPut, "/wechat/" + plainApp, http.StatusMethodNotAllowed},
		{http.MethodHead, "/wechat/" + plainApp, http.StatusMethodNotAllowed},
		{http.MethodDelete, "/wechat/wxunknown", http.StatusMethodNotAllowed},
	} {
		b := newTestbed(t)
		w := b.do(httptest.NewRequest(tc.method, tc.path, nil))
		if w.Code != tc.want {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.path, w.Code, tc.want)
		}
		if len(b.requests) != 1 || !strings.HasSuffix(b.requests[0], " "+Refused) {
			t.Errorf("%s %s: observed %q", tc.method, tc.path, b.requests)
		}
	}
}

func TestTimestampWindow(t *testing.T) {
	t.Parallel()
	for offset, want := range map[time.Duration]int{
		0: http.StatusOK, -window: http.StatusOK, window: http.StatusOK,
		-window - time.Second: http.StatusForbidden, window + time.Second: http.StatusForbidden,
	} {
		b := newTestbed(t)
		p := plainPush(popupJSON)
		p.query = signed(testNow.Add(offset))
		if w := b.do(p.request()); w.Code != want {
			t.Errorf("POST %v off: %d, want %d", offset, w.Code, want)
		}
		p.query.Set("echostr", "1")
		get := httptest.NewRequest(http.MethodGet, Pattern+sealedApp+"?"+p.query.Encode(), nil)
		if w := b.do(get); w.Code != want {
			t.Errorf("GET %v off: %d, want %d", offset, w.Code, want)
		}
	}
}

// An event that claims to be of the future counts as of now.
func TestEventsOfTheFuture(t *testing.T) {
	t.Parallel()
	for created, want := range map[time.Time]time.Time{
		testNow.Add(-time.Hour): testNow.Add(-time.Hour), testNow.Add(window): testNow.Add(window), testNow.Add(window + time.Second): testNow,
	} {
		b := newTestbed(t)
		body := strings.Replace(popupJSON, "1714112440", strconv.FormatInt(created.Unix(), 10), 1)
		if body == popupJSON {
			t.Fatal("the sample has another time")
		}
		b.do(plainPush(body).request())
		if got := b.only(t).At; !got.Equal(want) {
			t.Errorf("created at %v: stored with %v, want %v", created, got, want)
		}
	}
}

func TestParseTime(t *testing.T) {
	t.Parallel()
	if at, ok := parseTime("1714112445"); !ok || !at.Equal(testNow) {
		t.Errorf("parsed %v, %v", at, ok)
	}
	for _, s := range []string{"", "0", "171411244", "17141124450", "0714112445", "+171411244", "-171411244", "1714112.45", "1714112445 ", "１７１４１１２４４５"} {
		if at, ok := parseTime(s); ok {
			t.Errorf("%q is taken for %v", s, at)
		}
	}
}

// The sealed text that an app without a key gets is worth one clear line.
func TestSaysOnceThatAnAppSeemsToSeal(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	p := plainPush(around("{", seal(t, popupJSON)))
	for range 3 {
		if w := b.do(p.request()); w.Code != http.StatusForbidden {
			t.Errorf("answered %d", w.Code)
		}
	}
	log := b.logged()
	if n := strings.Count(log, "seems to push in safe mode and no AES key"); n != 1 {
		t.Errorf("said %d times, want once:\n%s", n, log)
	}
	if n := strings.Count(log, "level=INFO"); n != 1 {
		t.Errorf("%d lines at info, want one a minute:\n%s", n, log)
	}
	b.now = func() time.Time { return testNow.Add(seldomEvery) }
	b.do(p.request())
	if n := strings.Count(b.logged(), "level=INFO"); n != 2 {
		t.Errorf("%d lines at info a minute later, want 2", n)
	}
}

func TestStrangersDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	for range 50 {
		for _, app := range []string{"wxunknown", plainApp, sealedApp} {
			b.do(push{app: app, query: signed(testNow.Add(-time.Hour)), body: popupJSON}.request())
		}
	}
	log := b.logged()
	if n := strings.Count(log, "level=INFO"); n != 2 || strings.Contains(log, "level=WARN") || strings.Contains(log, "level=ERROR") {
		t.Errorf("%d lines at info, want one per app of ours, and none above:\n%s", n, log)
	}
	if strings.Contains(log, "wxunknown") {
		t.Error("the log repeats an AppID that is none of ours")
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	if len(Results()) != 6 || len(EventResults()) != 4 || len(EventNames()) != 5 {
		t.Errorf("results %q, event results %q, event names %q", Results(), EventResults(), EventNames())
	}
	for _, name := range EventNames() {
		if label(name) != name {
			t.Errorf("%s is counted as %s", name, label(name))
		}
	}
}
