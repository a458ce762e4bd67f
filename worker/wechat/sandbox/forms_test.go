package sandbox

import (
	"strings"
	"testing"
	"time"
)

const templatePath = "/cgi-bin/message/wxopen/template/send?access_token="

// formBody is a good template message with a form id.
func formBody(formID string) string {
	return `{"touser":"` + testUser + `","template_id":"` + testTpl + `","page":"pages/index/index?a=1","form_id":"` + formID +
		`","emphasis_keyword":"thing1.DATA","data":{"thing1":{"value":"x"},"character_string2":{"value":"` + formID + `"}}}`
}

func (b *bundle) sendForm(token, body string) reply {
	b.Helper()
	return b.do("POST", templatePath+token, body)
}

func (b *bundle) setForm(f FormID) {
	b.Helper()
	if f.OpenID == "" {
		f.OpenID = testUser
	}
	if err := b.s.SetFormID(testApp, f); err != nil {
		b.Fatal(err)
	}
}

func TestTemplateSendErrcodes(t *testing.T) {
	t.Parallel()
	good := formBody("f1")
	for name, tc := range map[string]struct {
		token, body string // token "" = a working one
		code        int
		text        string
	}{
		"ok":                   {"", good, 0, "ok"},
		"token":                {"1_x", good, 40014, "invalid access_token"},
		"empty body":           {"", "", 44002, ""},
		"no JSON":              {"", "x", 47001, ""},
		"form id is a number":  {"", strings.Replace(good, `"f1"`, `1`, 1), 47001, ""},
		"data is a string":     {"", strings.Replace(good, `"data":{`, `"data":"","x":{`, 1), 47001, ""},
		"touser":               {"", strings.Replace(good, testUser, "oNobody", 1), 40003, ""},
		"template":             {"", strings.Replace(good, testTpl, "TPL9", 1), 40037, ""},
		"page":                 {"", strings.Replace(good, "pages/index", "pages/old", 1), 41030, ""},
		"form id missing":      {"", formBody(""), 41028, "invalid form id"},
		"form id unknown":      {"", formBody("f9"), 41028, ""},
		"form id expired":      {"", formBody("expired"), 41028, ""},
		"form id of another":   {"", formBody("other"), 41028, ""},
		"form id used":         {"", formBody("used"), 41029, "form id has been used"},
		"template before form": {"", strings.Replace(formBody("f9"), testTpl, "TPL9", 1), 40037, ""},
		"data absent":          {"", `{"touser":"oUser1","template_id":"TPL1","form_id":"f1"}`, 0, ""},
		"data of other keys":   {"", `{"touser":"oUser1","template_id":"TPL1","form_id":"f1","data":{"keyword1":{"value":""}}}`, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			b.setForm(FormID{ID: "f1"})
			b.setForm(FormID{ID: "expired", ExpiresIn: Duration(-time.Second)})
			b.setForm(FormID{ID: "other", OpenID: "oUser2"})
			b.setForm(FormID{ID: "used", Used: true, Uses: 3})
			token := tc.token
			if token == "" {
				token = b.stable(false).AccessToken
			}
			r := b.sendForm(token, tc.body)
			b.wantCode(r, tc.code)
			if !strings.Contains(r.Errmsg, tc.text) || r.MsgID != "" {
				t.Errorf("%s lacks %q or has a msgid", r.text, tc.text)
			}
			if n := b.s.Report(false).Calls[APITemplateSend].Errcodes[tc.code]; n != 1 {
				t.Errorf("errcode %d counted %d times", tc.code, n)
			}
		})
	}
}

func TestFormIDLife(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.setForm(FormID{ID: "once"})
	b.setForm(FormID{ID: "prepay", Uses: 3})
	b.setForm(FormID{ID: "late"})
	token := b.stable(false).AccessToken
	b.wantCode(b.sendForm(token, formBody("once")), 0)
	b.wantCode(b.sendForm(token, formBody("once")), 41029)
	for range 3 {
		b.wantCode(b.sendForm(token, formBody("prepay")), 0)
	}
	b.wantCode(b.sendForm(token, formBody("prepay")), 41029)
	b.clock.advance(formLife - time.Second)
	token = b.stable(false).AccessToken
	b.wantCode(b.sendForm(token, strings.Replace(formBody("late"), testTpl, "TPL9", 1)), 40037) // uses it not up
	b.wantCode(b.sendForm(token, formBody("late")), 0)
	b.setForm(FormID{ID: "late"}) // submitted anew
	b.clock.advance(formLife)
	b.wantCode(b.sendForm(b.stable(false).AccessToken, formBody("late")), 41028)
}

func TestAnyFormID(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AnyFormID = true })
	token := b.stable(false).AccessToken
	b.wantCode(b.sendForm(token, formBody("f1")), 0)
	b.wantCode(b.sendForm(token, formBody("f1")), 41029)
	b.wantCode(b.sendForm(token, strings.Replace(formBody("f1"), testUser, "oUser2", 1)), 41028)
	b.wantCode(b.sendForm(token, formBody("")), 41028)
}

func TestRetired(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AnyFormID, a.Retired = true, true })
	token := b.stable(false).AccessToken
	r := b.sendForm(token, formBody("f1"))
	b.wantCode(r, 45103)
	if !strings.HasPrefix(r.Errmsg, "This API has been unsupported rid: ") {
		t.Errorf("errmsg %q", r.Errmsg)
	}
	b.wantCode(b.send(token, sendBody("n1")), 0)
	b.must("PUT", "retired", `{"app":"wxtest","retired":false}`)
	b.wantCode(b.sendForm(token, formBody("f1")), 0)
}

// TestTemplateSendsAreSends checks what template messages share with subscribe messages: the record and the quotas.
func TestTemplateSendsAreSends(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.setForm(FormID{ID: "f1", Uses: 9})
	if err := b.s.SetQuotas(testApp, Quotas{APITemplateSend: {PerDay: 2}}); err != nil {
		t.Fatal(err)
	}
	token := b.stable(false).AccessToken
	b.wantCode(b.sendForm(token, formBody("f1")), 0)
	b.wantCode(b.sendForm(token, formBody("f1")), 0)
	b.wantCode(b.sendForm(token, formBody("f1")), 45009)
	b.wantCode(b.send(token, sendBody("n1")), 0)
	b.setFaults(Faults{Next: []Script{{API: APITemplateSend, Errcode: -1}}})
	b.wantCode(b.sendForm(token, formBody("f1")), -1)
	r := b.s.Report(true).Apps[testApp]
	if r.Arrivals != 5 || r.Accepted != 3 || r.Duplicates["f1"] != 2 || r.AcceptedByID["n1"] != 1 {
		t.Errorf("report %+v", r)
	}
	if n := b.s.apps[0].formIDs.ids["f1"].left; n != 7 {
		t.Errorf("%d uses left", n)
	}
	if r := b.do("GET", templatePath+token, ""); r.Errcode != 43002 {
		t.Errorf("GET: %s", r.text)
	}
}
