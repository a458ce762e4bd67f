package sandbox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

func TestSendErrcodes(t *testing.T) {
	t.Parallel()
	good := sendBody("n1")
	for name, tc := range map[string]struct {
		token, body string // token "" = a working one
		code        int
		text        string // part of errmsg
	}{
		"ok":                      {"", good, 0, "ok"},
		"token missing":           {"none", good, 41001, "access_token missing"},
		"token never issued":      {"1_x", good, 40014, "invalid access_token"},
		"token of no app":         {"99_x", good, 40014, "invalid access_token"},
		"token before body":       {"1_x", "", 40014, "invalid access_token"},
		"empty body":              {"", "", 44002, "empty post data"},
		"no JSON":                 {"", "touser=x", 47001, "data format error"},
		"trailing text":           {"", good + "x", 47001, ""},
		"not UTF-8":               {"", strings.Replace(good, "n1", "\xff", 1), 47001, ""},
		"data is a string":        {"", `{"touser":"oUser1","template_id":"TPL1","data":"{}"}`, 47001, ""},
		"value is a number":       {"", strings.Replace(good, `"n1"`, `1`, 1), 47001, ""},
		"touser missing":          {"", `{"template_id":"TPL1"}`, 40003, "invalid openid"},
		"touser unknown":          {"", strings.Replace(good, testUser, "oNobody", 1), 40003, ""},
		"touser before template":  {"", `{"touser":"oNobody","template_id":"X"}`, 40003, ""},
		"template missing":        {"", strings.Replace(good, testTpl, "", 1), 40037, "invalid template_id"},
		"template unknown":        {"", strings.Replace(good, testTpl, "TPL9", 1), 40037, ""},
		"page unknown":            {"", strings.Replace(good, "pages/index", "pages/old", 1), 41030, "invalid page"},
		"page empty":              {"", strings.Replace(good, "pages/index/index?a=1", "", 1), 0, ""},
		"state":                   {"", strings.Replace(good, "formal", "release", 1), 47001, ""},
		"state absent":            {"", strings.Replace(good, `"miniprogram_state":"formal",`, "", 1), 0, ""},
		"lang":                    {"", strings.Replace(good, "zh_CN", "fr_FR", 1), 47001, ""},
		"data missing":            {"", `{"touser":"oUser1","template_id":"TPL1"}`, 47001, ""},
		"key missing":             {"", `{"touser":"oUser1","template_id":"TPL1","data":{"thing1":{"value":"x"}}}`, 47003, "argument invalid! data.character_string2.value rid: "},
		"key too many":            {"", strings.Replace(good, `"data":{`, `"data":{"time3":{"value":"x"},`, 1), 47003, "data.time3.value"},
		"value empty":             {"", sendBody(""), 47003, "data.character_string2.value"},
		"value without value":     {"", strings.Replace(good, `{"value":"n1"}`, `{}`, 1), 47003, "data.character_string2.value"},
		"control character":       {"", sendBody(`a\nb`), 47003, "data.character_string2.value"},
		"template blocked":        {"", `{"touser":"oUser1","template_id":"TPLBLOCKED","data":{"thing1":{"value":"x"}}}`, 43107, "blocked"},
		"user refused":            {"", strings.Replace(good, testUser, "oRefused", 1), 43101, "user refuse to accept the msg rid: "},
		"sensitive word":          {"", sendBody("a forbidden word"), 45168, ""},
		"extra member":            {"", strings.Replace(good, `{"value":"n1"}`, `{"value":"n1","color":"#fff"}`, 1), 0, ""},
		"escaped < and >":         {"", sendBody(`\u003c\u003e`), 0, ""},
		"unescaped & < > in data": {"", sendBody(`&<>`), 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			if err := b.s.SetUser(testApp, User{OpenID: "oRefused", Refused: true}); err != nil {
				t.Fatal(err)
			}
			token := tc.token
			switch token {
			case "":
				token = b.stable(false).AccessToken
			case "none":
				token = ""
			}
			r := b.send(token, tc.body)
			b.wantCode(r, tc.code)
			if !strings.Contains(r.Errmsg, tc.text) {
				t.Errorf("errmsg %q lacks %q", r.Errmsg, tc.text)
			}
			if n := b.s.Report(false).Calls[APISubscribeSend].Errcodes[tc.code]; n != 1 {
				t.Errorf("errcode %d counted %d times", tc.code, n)
			}
		})
	}
}

func TestAnswerStyle(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	want := regexp.MustCompile(`^\{"errcode":40014,"errmsg":"invalid access_token rid: [0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}"\}$`)
	r := b.send("x", sendBody("n1"))
	if !want.MatchString(r.text) {
		t.Errorf("refusal %s", r.text)
	}
	if rid := fmt.Sprintf("rid: %08x-", b.clock.now().Unix()); !strings.Contains(r.text, rid) {
		t.Errorf("%s lacks %s", r.text, rid)
	}
	w := httptest.NewRecorder()
	b.s.ServeHTTP(w, httptest.NewRequest("POST", "/cgi-bin/message/subscribe/send?access_token="+b.stable(false).AccessToken, strings.NewReader(sendBody("n1"))))
	if ct := w.Header().Get("Content-Type"); ct != "application/json; encoding=utf-8" {
		t.Errorf("content type %q", ct)
	}
	if !regexp.MustCompile(`^\{"errcode":0,"errmsg":"ok","msgid":[0-9]{19}\}$`).MatchString(w.Body.String()) {
		t.Errorf("success %s", w.Body)
	}
}

func TestMsgIDs(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.MsgIDString = true })
	token := b.stable(false).AccessToken
	first, second := b.send(token, sendBody("n1")), b.send(token, sendBody("n2"))
	if !strings.Contains(first.text, `"msgid":"`) || first.MsgID == second.MsgID {
		t.Errorf("%s then %s", first.text, second.text)
	}
	if id, err := first.MsgID.Int64(); err != nil || id <= 1<<53 {
		t.Errorf("msgid %s: %v", first.MsgID, err)
	}
}

func TestFrontPages(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	for name, tc := range map[string]struct {
		length int64
		body   []byte
		status int
	}{
		"chunked":   {-1, []byte(sendBody("n1")), http.StatusPreconditionFailed},
		"too long":  {maxBody + 1, bytes.Repeat([]byte("x"), maxBody+1), http.StatusRequestEntityTooLarge},
		"cut short": {100, []byte("{"), http.StatusBadRequest},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("POST", "/cgi-bin/message/subscribe/send?access_token="+token, bytes.NewReader(tc.body))
		r.ContentLength = tc.length
		b.s.ServeHTTP(w, r)
		if w.Code != tc.status || !strings.Contains(w.Body.String(), "nginx") {
			t.Errorf("%s: HTTP %d %s", name, w.Code, w.Body)
		}
	}
	if r := b.do("POST", "/cgi-bin/message/template/send", "{}"); r.status != http.StatusNotFound {
		t.Errorf("unknown path: HTTP %d", r.status)
	}
	calls := b.s.Report(false).Apps[testApp].Calls[APISubscribeSend]
	if calls.Received != 3 || calls.HTTPPages[412] != 1 || len(calls.Errcodes) != 0 {
		t.Errorf("report %+v", calls)
	}
	b.wantCode(b.do("GET", "/cgi-bin/message/subscribe/send?access_token="+token, ""), 43002)
}

func TestAllowAny(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AllowAnyTemplate, a.AllowAnyOpenID, a.Pages = true, true, nil })
	token := b.stable(false).AccessToken
	b.wantCode(b.send(token, `{"touser":"anyone","template_id":"any","page":"p","data":{"thing9":{"value":"x"}}}`), 0)
	b.wantCode(b.send(token, `{"touser":"anyone","template_id":"any","data":{"thing9":{"value":""}}}`), 47003)
	b.wantCode(b.send(token, `{"touser":"anyone","template_id":"TPL1","data":{"thing9":{"value":"x"}}}`), 47003)
	b.wantCode(b.send(token, `{"touser":"","template_id":"any","data":{}}`), 40003)
	b.wantCode(b.send(token, `{"touser":"anyone","template_id":"","data":{}}`), 40037)
}

func TestCredits(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.Credits = 2 })
	token := b.stable(false).AccessToken
	b.wantCode(b.send(token, sendBody("n1")), 0)
	b.wantCode(b.send(token, sendBody("forbidden")), 45168) // consumes none
	b.wantCode(b.send(token, sendBody("n2")), 0)
	b.wantCode(b.send(token, sendBody("n3")), 43101)
	b.wantCode(b.send(token, strings.Replace(sendBody("n4"), testUser, "oUser2", 1)), 0)
	one := int64(1)
	for _, u := range []User{{OpenID: testUser, TemplateID: testTpl, Credits: &one}, {OpenID: "oUser2", Refused: true}} {
		if err := b.s.SetUser(testApp, u); err != nil {
			t.Fatal(err)
		}
	}
	b.wantCode(b.send(token, sendBody("n5")), 0)
	b.wantCode(b.send(token, sendBody("n6")), 43101)
	b.wantCode(b.send(token, strings.Replace(sendBody("n7"), testUser, "oUser2", 1)), 0) // its own credits say more than "all templates"
	if err := b.s.SetUser(testApp, User{OpenID: testUser, TemplateID: testTpl}); err != nil {
		t.Fatal(err)
	}
	b.wantCode(b.send(token, sendBody("n8")), 0)
}

func FuzzSend(f *testing.F) {
	for _, seed := range []string{
		sendBody("n1"), sendBody(""), "", "null", "[]", `{"touser":1}`, `{"data":null}`,
		`{"touser":"oUser1","template_id":"TPL1","data":{"thing1":{"value":"\u0000"}}}`, "\xff", `{"data":{"":{}}}`,
	} {
		f.Add([]byte(seed))
	}
	s, err := New(Config{Apps: []App{testAppConfig()}})
	if err != nil {
		f.Fatal(err)
	}
	token := s.apps[0].tokens.fetchStable(s.now()).value
	f.Fuzz(func(t *testing.T, body []byte) {
		w := httptest.NewRecorder()
		s.ServeHTTP(w, httptest.NewRequest("POST", "/cgi-bin/message/subscribe/send?access_token="+token, bytes.NewReader(body)))
		if len(body) > maxBody {
			return
		}
		var r reply
		if err := json.Unmarshal(w.Body.Bytes(), &r); err != nil || w.Code != http.StatusOK {
			t.Fatalf("HTTP %d %q: %v", w.Code, w.Body, err)
		}
		if r.Errcode != 0 {
			return
		}
		var m message
		if err := json.Unmarshal(body, &m); err != nil || m.TemplateID != testTpl || len(m.Data) != 2 || m.Data["thing1"].Value == "" {
			t.Fatalf("accepted %q", body)
		}
	})
}
