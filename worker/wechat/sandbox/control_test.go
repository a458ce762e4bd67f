package sandbox

import (
	"encoding/json"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// ask makes a control request and returns status and body.
func (b *bundle) ask(method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, httptest.NewRequest(method, "/_sandbox/"+path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func (b *bundle) must(method, path, body string) string {
	b.Helper()
	status, text := b.ask(method, path, body)
	if status != 200 {
		b.Fatalf("%s %s: HTTP %d %s", method, path, status, text)
	}
	return text
}

func TestControlWorks(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	b.must("PUT", "users", `{"app":"wxtest","openid":"oNew","credits":1}`)
	body := strings.Replace(sendBody("n1"), testUser, "oNew", 1)
	b.wantCode(b.send(token, body), 0)
	b.wantCode(b.send(token, body), 43101)
	b.must("PUT", "users", `{"app":"wxtest","openid":"oNew"}`)
	b.must("PUT", "quotas", `{"app":"wxtest","calls":{"subscribe_send":{"per_second":1}}}`)
	b.wantCode(b.send(token, body), 45011)
	b.clock.advance(time.Second)
	b.wantCode(b.send(token, body), 0)
	b.must("POST", "tokens:kill", `{"app":"wxtest","mode":"stable"}`)
	b.wantCode(b.send(token, body), 40001)
	b.must("POST", "apps", `{"app_id":"wx2","secret":"s2","templates":[{"template_id":"T","keys":["thing1"]}],"token_lifetime":"6s"}`)
	if r := b.do("GET", "/cgi-bin/token?grant_type=client_credential&appid=wx2&secret=s2", ""); r.ExpiresIn != 6 {
		t.Errorf("the new app: %s", r.text)
	}
	var report Report
	if err := json.Unmarshal([]byte(b.must("GET", "report?ids=1", "")), &report); err != nil {
		t.Fatal(err)
	}
	if a := report.Apps[testApp]; a.Duplicates["n1"] != 2 || a.ReceivedByID["n1"] != 5 {
		t.Errorf("report %+v", a)
	}
	b.must("POST", "reset", "")
	if text := b.must("GET", "report", ""); strings.Contains(text, "n1") || strings.Contains(text, "received_by_id") {
		t.Errorf("after the reset: %s", text)
	}
}

func TestControlFaults(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const faults = `{"calls":{"subscribe_send":{"latency":"20ms","errcodes":{"-1":0.01},"shares":{"lost_cut":0.005}}},"next":[{"api":"token","errcode":40164,"count":3}]}`
	b.must("PUT", "faults", faults)
	for _, path := range []string{"faults", "faults?app=wxtest"} {
		if got := strings.TrimSpace(b.must("GET", path, "")); got != faults {
			t.Errorf("%s: %s", path, got)
		}
	}
	b.must("PUT", "faults", `{"app":"wxtest","down":"unavailable"}`)
	if r := b.classic(); r.status != 503 {
		t.Errorf("down: HTTP %d", r.status)
	}
	b.must("PUT", "faults", `{}`)
	b.wantCode(b.classic(), 0)
}

func TestControlRefusesBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, tc := range []struct {
		method, path, body string
		status             int
		text               string
	}{
		{"GET", "nothing", "", 404, "no such control path"},
		{"GET", "reset", "", 405, "use [POST]"},
		{"DELETE", "faults", "", 405, "use [GET PUT]"},
		{"POST", "", "", 404, "no such control path"},
		{"GET", "report?ids=yes", "", 400, "ids: must be 0 or 1"},
		{"GET", "faults?app=wxnone", "", 404, "unknown app: wxnone"},
		{"PUT", "faults", ``, 400, "body: EOF"},
		{"PUT", "faults", `[]`, 400, "body: "},
		{"PUT", "faults", `{}{}`, 400, "one JSON object"},
		{"PUT", "faults", `{"lost":1}`, 400, `unknown field \"lost\"`},
		{"PUT", "faults", `{"calls":{"token":{"share":1}}}`, 400, `unknown field \"share\"`},
		{"PUT", "faults", `{"calls":{"token":{"latency":20}}}`, 400, "a duration is text"},
		{"PUT", "faults", `{"calls":{"token":{"latency":"20"}}}`, 400, "a duration is text"},
		{"PUT", "faults", `{"calls":{"token":{"shares":{"lost":1}}}}`, 400, "calls.token.shares.lost: unknown fault"},
		{"PUT", "faults", `{"quota_answers":{"send":{}}}`, 400, "quota_answers.send: must be JSON for a known call"},
		{"PUT", "faults", `{"app":"wxnone"}`, 404, "unknown app: wxnone"},
		{"POST", "tokens:kill", `{"mode":"x"}`, 400, "mode: must be"},
		{"POST", "tokens:kill", `{"app":"wxnone"}`, 404, "unknown app"},
		{"POST", "tokens:kill", `{"secret":"x"}`, 400, "unknown field"},
		{"PUT", "users", `{"app":"wxtest"}`, 400, "openid: must not be empty"},
		{"PUT", "users", `{"app":"wxtest","openid":"o","credits":-1}`, 400, "credits: must not be negative"},
		{"PUT", "users", `{"openid":"o"}`, 404, "unknown app"},
		{"PUT", "users", `{"openid":1}`, 400, "body: "},
		{"PUT", "quotas", `{"calls":{"x":{}}}`, 400, "calls.x: unknown call"},
		{"PUT", "quotas", `{"calls":{"token":{"per_hour":1}}}`, 400, "unknown field"},
		{"POST", "apps", `{"secret":"s"}`, 400, "app_id: must not be empty"},
		{"POST", "apps", `{"app_id":"wx2"}`, 400, "secret: must not be empty"},
		{"POST", "apps", `{"app_id":"wxtest","secret":"s"}`, 400, "already there"},
		{"POST", "apps", `{"app_id":"wx2","secret":"s","templates":[{"template_id":"T"}]}`, 400, "templates[0]"},
		{"POST", "apps", `{"app_id":"wx2","secret":"s","credits":-1}`, 400, "credits"},
		{"POST", "apps", `{"app_id":"wx2","secret":"s","token_lifetime":"10ms"}`, 400, "token_lifetime"},
		{"POST", "apps", `{"x":1}`, 400, "unknown field"},
		{"POST", "apps", `{"app_id":"wx2","secret":"s","credits":1,"consent_needed":true}`, 400, "credits, consent_needed"},
		{"POST", "apps", `{"app_id":"wx2","secret":"s","callback":{"url":"ftp://x","token":"t"}}`, 400, "app wx2: callback.url: must be"},
		{"PUT", "users", `{"app":"wxtest","openid":"o","template_id":"T","high_risk":true}`, 400, "high_risk: holds for the whole user"},
		{"PUT", "templates", `{"app":"wxnone","template_id":"T","keys":["thing1"]}`, 404, "unknown app"},
		{"PUT", "templates", `{"app":"wxtest","keys":["thing1"]}`, 400, "template_id: must not be empty"},
		{"PUT", "templates", `{"app":"wxtest","template_id":"T"}`, 400, "keys: must not be empty"},
		{"PUT", "templates", `{"app":"wxtest","template_id":"T","keys":["thing1"],"type":1}`, 400, "type: must be 2 (one-time) or 3"},
		{"PUT", "templates", `{"app":"wxtest","template_id":"T","keys":["thing1"],"enums":{"x":["y"]}}`, 400, "enums: has a key"},
		{"PUT", "form-ids", `{"app":"wxnone","openid":"o","form_id":"f"}`, 404, "unknown app"},
		{"PUT", "form-ids", `{"app":"wxtest","form_id":"f"}`, 400, "openid: must not be empty"},
		{"PUT", "form-ids", `{"app":"wxtest","openid":"o"}`, 400, "form_id: must not be empty"},
		{"PUT", "form-ids", `{"app":"wxtest","openid":"o","form_id":"f","uses":-1}`, 400, "uses: must not be negative"},
		{"PUT", "form-ids", `{"app":"wxtest","openid":"o","form_id":"f","expires_in":7}`, 400, "a duration is text"},
		{"PUT", "retired", `{"app":"wxnone"}`, 404, "unknown app"},
		{"PUT", "retired", `{"app":"wxtest","retired":1}`, 400, "body: "},
		{"PUT", "codes", `{"app":"wxtest","openid":"o"}`, 400, "code: must not be empty, POST makes one"},
		{"POST", "codes", `{"app":"wxtest"}`, 400, "openid: must not be empty"},
		{"POST", "codes", `{"openid":"o"}`, 404, "unknown app"},
		{"PUT", "callback", `{"app":"wxnone"}`, 404, "unknown app"},
		{"PUT", "callback", `{"app":"wxtest","url":"/wechat","token":"t"}`, 400, "url: must be an http or https URL"},
		{"PUT", "callback", `{"app":"wxtest","url":"http://localhost"}`, 400, "token: must not be empty"},
		{"PUT", "callback", `{"app":"wxtest","url":"http://localhost","token":"t","mode":"aes"}`, 400, "mode: must be plain, compatible or safe"},
		{"PUT", "callback", `{"app":"wxtest","url":"http://localhost","token":"t","format":"yaml"}`, 400, "format: must be json or xml"},
		{"PUT", "callback", `{"app":"wxtest","url":"http://localhost","token":"t","mode":"safe"}`, 400, "aes_key: "},
		{"PUT", "receipts", `{"app":"wxnone"}`, 404, "unknown app"},
		{"PUT", "receipts", `{"app":"wxtest","mode":"lost"}`, 400, "mode: must be deliver, fail or off"},
		{"PUT", "receipts", `{"app":"wxtest","error_code":"x"}`, 400, "body: "},
		{"PUT", "receipts", `{"app":"wxtest","error_code":1.5}`, 400, "error_code: must be a whole number"},
		{"PUT", "receipts", `{"app":"wxtest","repeat":101}`, 400, "repeat: must lie between 0 and 100"},
		{"PUT", "receipts", `{"app":"wxtest","delay":"-1s"}`, 400, "delay: must lie between"},
		{"POST", "users:answer", `{"app":"wxnone","openid":"o","results":{"TPL1":"accept"}}`, 404, "unknown app"},
		{"POST", "users:answer", `{"app":"wxtest","results":{"TPL1":"accept"}}`, 400, "openid: must not be empty"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o"}`, 400, "results: must not be empty"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","results":{"TPL1":"ban"}}`, 400, "results: must be accept or reject"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","results":{"TPL9":"accept"}}`, 400, "results: has a template"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","results":{"TPL1":"accept"},"event":"change"}`, 400, "only refusals"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","results":{"TPL1":"accept"},"event":"sent"}`, 400, "event: must be popup or change"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","results":{"TPL1":"accept"},"time":-1}`, 400, "time: must not be negative"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","results":{"TPL1":"accept"},"repeat":101}`, 400, "repeat: must lie between"},
		{"POST", "users:answer", `{"app":"wxtest","openid":"o","answers":[{"openid":"o","results":{"TPL1":"accept"}}]}`, 400, "answers: excludes"},
		{"POST", "events", `{"app":"wxnone","event":"e","openid":"o"}`, 404, "unknown app"},
		{"POST", "events", `{"app":"wxtest","event":"a b","openid":"o"}`, 400, "event: must be"},
		{"POST", "events", `{"app":"wxtest","event":"e"}`, 400, "openid: must not be empty"},
		{"POST", "events", `{"app":"wxtest","event":"e","openid":"o","body":[]}`, 400, "body: must be an object"},
		{"POST", "events", `{"app":"wxtest","event":"e","openid":"o","body":{"a":[{"<":1}]}}`, 400, "body: a field name"},
		{"POST", "events", `{"app":"wxtest","event":"e","openid":"o"}`, 400, "callback: none is set"},
	} {
		status, text := b.ask(tc.method, tc.path, tc.body)
		var e struct{ Error string }
		if err := json.Unmarshal([]byte(text), &e); err != nil || e.Error == "" {
			t.Errorf("%s %s %s: no error in %s", tc.method, tc.path, tc.body, text)
		}
		if status != tc.status || !strings.Contains(text, tc.text) {
			t.Errorf("%s %s %s: HTTP %d %s, want %d %q", tc.method, tc.path, tc.body, status, text, tc.status, tc.text)
		}
	}
}

// TestHelpTellsTheTruth runs the bodies of the help's curl examples.
func TestHelpTellsTheTruth(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	_, examples, _ := strings.Cut(b.must("GET", "", ""), "Examples\n")
	ran := 0
	for example := range strings.SplitSeq(examples, "  curl ") {
		method, rest := "GET", strings.TrimSpace(example)
		if rest == "" {
			continue
		}
		if after, ok := strings.CutPrefix(rest, "-X "); ok {
			method, rest, _ = strings.Cut(after, " ")
		}
		target, body, _ := strings.Cut(rest, " -d ")
		_, path, _ := strings.Cut(target, "/_sandbox/")
		b.must(method, path, strings.Trim(body, "'"))
		ran++
	}
	if ran != 18 {
		t.Errorf("%d examples ran", ran)
	}
}

func TestNewRefusesBadApps(t *testing.T) {
	t.Parallel()
	a := testAppConfig()
	for _, apps := range [][]App{{{}}, {{AppID: "wx"}}, {a, a}} {
		if _, err := New(Config{Apps: apps}); err == nil || strings.Contains(err.Error(), testSecret) {
			t.Errorf("got %v", err)
		}
	}
}

func TestControlBodyIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	w := httptest.NewRecorder()
	endless := io.MultiReader(strings.NewReader(`{"app":"`), strings.NewReader(strings.Repeat("x", maxBody)))
	b.s.ServeHTTP(w, httptest.NewRequest("PUT", "/_sandbox/faults", endless))
	if w.Code != 400 {
		t.Errorf("HTTP %d", w.Code)
	}
}
