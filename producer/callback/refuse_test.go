package callback

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
)

// refusal is a request that must be refused, and the reason the log gives.
type refusal struct {
	name, reason string
	push         push
}

// refusals are all that can be wrong with a POST.
func refusals(t *testing.T) []refusal {
	t.Helper()
	return append(append(badQueries(t), badBodies(t)...), badSeals(t)...)
}

func badQueries(t *testing.T) []refusal {
	t.Helper()
	change := func(p push, change func(url.Values)) push {
		change(p.query)
		return p
	}
	set := func(p push, name, value string) push {
		return change(p, func(v url.Values) { v.Set(name, value) })
	}
	unknown := plainPush(popupJSON)
	unknown.app = "wxunknown"
	stale := plainPush(popupJSON)
	stale.query = signed(testNow.Add(-window * 2))
	return []refusal{
		{"unknown app", reasonApp, unknown},
		{"stale", reasonStale, stale},
		{"no query", reasonQuery, change(plainPush(popupJSON), func(v url.Values) { clear(v) })},
		{"no timestamp", reasonQuery, change(plainPush(popupJSON), func(v url.Values) { v.Del("timestamp") })},
		{"no number for a timestamp", reasonQuery, set(plainPush(popupJSON), "timestamp", "yesterday")},
		{"no nonce", reasonQuery, change(plainPush(popupJSON), func(v url.Values) { v.Del("nonce") })},
		{"query too long", reasonQuery, set(plainPush(popupJSON), "nonce", strings.Repeat("1", maxQuery))},
		{"no signature", reasonSignature, change(plainPush(popupJSON), func(v url.Values) { v.Del("signature") })},
		{"wrong signature", reasonSignature, set(plainPush(popupJSON), "signature", strings.Repeat("0", 40))},
		{"other nonce", reasonSignature, set(plainPush(popupJSON), "nonce", "1")},
		{"upper case signature", reasonSignature, change(plainPush(popupJSON), func(v url.Values) {
			v.Set("signature", strings.ToUpper(v.Get("signature")))
		})},
		{"no msg_signature", reasonSignature, change(sealedPush(t, popupJSON), func(v url.Values) { v.Del("msg_signature") })},
		{"signature for msg_signature", reasonSignature, change(sealedPush(t, popupJSON), func(v url.Values) {
			v.Set("msg_signature", v.Get("signature"))
		})},
	}
}

func badBodies(t *testing.T) []refusal {
	t.Helper()
	bodies := []struct{ name, reason, body string }{
		{"empty", reasonUnreadable, ""},
		{"spaces", reasonUnreadable, " \r\n"},
		{"a form", reasonUnreadable, "a=b"},
		{"an array", reasonUnreadable, "[" + popupJSON + "]"},
		{"truncated JSON", reasonUnreadable, popupJSON[:len(popupJSON)-1]},
		{"two JSON objects", reasonUnreadable, popupJSON + popupJSON},
		{"an empty object", reasonUnreadable, "{}"},
		{"no push", reasonUnreadable, `{"action":"CheckContainerPath"}`},
		{"oversize", reasonOversize, strings.Repeat(" ", maxBody) + popupJSON},
		{"truncated XML", reasonUnreadable, popupXML[:len(popupXML)-1]},
		{"two XML roots", reasonUnreadable, popupXML + popupXML},
		{"another root", reasonUnreadable, "<html></html>"},
		{"XML with a document type", reasonUnreadable, `<!DOCTYPE xml>` + popupXML},
		{"XML with an entity of its own", reasonUnreadable,
			`<!DOCTYPE xml [<!ENTITY e "event">]><xml><MsgType>&e;</MsgType></xml>`},
		{"XML with an unknown entity", reasonUnreadable, `<xml><MsgType>&nbsp;</MsgType></xml>`},
		{"XML nesting", reasonUnreadable, `<xml><MsgType>event</MsgType>` + strings.Repeat("<a>", 4000) + strings.Repeat("</a>", 4000) + `</xml>`},
		{"XML in another encoding", reasonUnreadable, `<?xml version="1.0" encoding="gbk"?>` + popupXML},
		{"XML that is not UTF-8", reasonUnreadable, "<xml><MsgType>\xff</MsgType></xml>"},
		{"only sealed", reasonSealed, around("{", seal(t, popupJSON))},
		{"only sealed, XML", reasonSealed, around("<", seal(t, popupXML))},
	}
	var list []refusal
	for _, b := range bodies {
		list = append(list, refusal{"plain: " + b.name, b.reason, plainPush(b.body)})
		if b.reason == reasonUnreadable && !strings.HasPrefix(b.body, "{}") && b.name != "no push" {
			list = append(list, refusal{"sealed: " + b.name, reasonUnreadable, sealedPush(t, b.body)})
		}
	}
	return list
}

func badSeals(t *testing.T) []refusal {
	t.Helper()
	// carrying is a push with a text that is signed rightly, whatever it is.
	carrying := func(sealed string) push {
		return push{app: sealedApp, query: signedOver(sealed), body: around("{", sealed)}
	}
	plaintext := sealedPush(t, popupJSON)
	plaintext.body = popupJSON
	raw := plaintext
	raw.query = signed(testNow)
	raw.query.Set("encrypt_type", "raw")
	plaintextXML := plaintext
	plaintextXML.body = popupXML
	altered := sealedPush(t, popupJSON)
	altered.body = around("{", seal(t, popupJSON))
	good := seal(t, popupJSON)
	return []refusal{
		{"plaintext in safe mode", reasonPlaintext, plaintext},
		{"plaintext that says so in safe mode", reasonPlaintext, raw},
		{"plaintext XML in safe mode", reasonPlaintext, plaintextXML},
		{"Encrypt of another type", reasonPlaintext, push{app: sealedApp, query: signed(testNow), body: `{"Encrypt":{}}`}},
		{"another text than the signed one", reasonSignature, altered},
		{"broken base64", reasonUnopened, carrying("*" + good[1:])},
		{"truncated text", reasonUnopened, carrying(good[:64])},
		{"wrong padding", reasonUnopened, carrying(good[:128])},
		{"sealed for another app", reasonUnopened, carrying(sealFor(t, aesKey, plainApp))},
		{"sealed with another key", reasonUnopened, carrying(sealFor(t, strings.Repeat("B", 43), sealedApp))},
	}
}

func sealFor(t *testing.T, key, app string) string {
	t.Helper()
	c, err := wxcrypt.New(key, app)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := c.Seal([]byte(popupJSON))
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, tc := range refusals(t) {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := newTestbed(t)
			w := b.do(tc.push.request())
			if w.Code != http.StatusForbidden || w.Header().Get("Connection") != "close" {
				t.Errorf("answered %d %v %q", w.Code, w.Header(), w.Body)
			}
			if log := b.logged(); !strings.Contains(log, "reason="+tc.reason+"\n") {
				t.Errorf("the log does not give %s as the reason:\n%s", tc.reason, log)
			}
			if len(b.events.stored) > 0 || len(b.counts) > 0 {
				t.Errorf("stored %+v, counted %q", b.events.stored, b.counts)
			}
			if len(b.requests) != 1 || !strings.HasSuffix(b.requests[0], " "+Refused) {
				t.Errorf("observed %q", b.requests)
			}
		})
	}
}

func TestRefusesAddressCheck(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	for name, change := range map[string]func(url.Values){
		"no echostr":      func(v url.Values) { v.Del("echostr") },
		"no signature":    func(v url.Values) { v.Del("signature") },
		"wrong signature": func(v url.Values) { v.Set("signature", strings.Repeat("0", 40)) },
		"long echostr":    func(v url.Values) { v.Set("echostr", strings.Repeat("1", maxQuery)) },
	} {
		query := signed(testNow)
		query.Set("echostr", "4375120948345356249")
		change(query)
		w := b.do(httptest.NewRequest(http.MethodGet, Pattern+plainApp+"?"+query.Encode(), nil))
		if w.Code != http.StatusForbidden || strings.Contains(w.Body.String(), "4375") {
			t.Errorf("%s: answered %d %q", name, w.Code, w.Body)
		}
	}
	escape := httptest.NewRequest(http.MethodGet, Pattern+plainApp, nil)
	escape.URL.RawQuery = "timestamp=%zz"
	if w := b.do(escape); w.Code != http.StatusForbidden {
		t.Errorf("a query that is none: %d", w.Code)
	}
}

// What comes over the wire is the same, to the byte, whatever was wrong.
func TestRefusalsAreAlike(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(newTestbed(t))
	defer server.Close()
	want := ""
	check := func(name string, r *http.Request) {
		got := dump(t, server, r)
		if want == "" {
			want = got
		}
		if got != want {
			t.Errorf("%s: answered\n%s\nwant\n%s", name, got, want)
		}
	}
	for _, tc := range refusals(t) {
		check(tc.name, tc.push.request())
	}
	check("GET", httptest.NewRequest(http.MethodGet, Pattern+plainApp+"?echostr=1", nil))
	chunked := push{app: plainApp, query: signed(testNow)}.request()
	chunked.Body = io.NopCloser(strings.NewReader(strings.Repeat(" ", 2*maxBody)))
	chunked.ContentLength = -1
	check("oversize in chunks", chunked)
	if !strings.HasPrefix(want, "HTTP/1.1 403 Forbidden") {
		t.Errorf("refused with\n%s", want)
	}
}

// dump sends a request and returns the answer without its date.
func dump(t *testing.T, server *httptest.Server, r *http.Request) string {
	t.Helper()
	target, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Scheme, r.URL.Host, r.RequestURI = target.Scheme, target.Host, ""
	resp, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	resp.Header.Del("Date")
	text, err := httputil.DumpResponse(resp, true)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRefusesBodyThatIsCut(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	r := plainPush("").request()
	r.Body = io.NopCloser(io.MultiReader(strings.NewReader(popupJSON[:10]), iotest.ErrReader(errors.New("reset"))))
	if w := b.do(r); w.Code != http.StatusForbidden || !strings.Contains(b.logged(), "reason="+reasonCut) {
		t.Errorf("answered %d; log:\n%s", w.Code, b.logged())
	}
}

// Nothing that came with a request is ever logged, at whatever level.
func TestNothingPrivateIsLogged(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	for _, tc := range refusals(t) {
		b.do(tc.push.request())
	}
	for _, body := range append(malformed(), popupJSON, popupXML, `{"MsgType":"text","Content":"CANARY"}`, `{"MsgType":"event","Event":"CANARY"}`) {
		b.do(plainPush(body).request())
		b.do(sealedPush(t, body).request())
	}
	b.events.err = errors.New("tasks: enqueue event: no answer")
	b.do(plainPush(popupJSON).request())
	log := b.logged()
	signature := signed(testNow).Get("signature")
	for _, private := range []string{
		"CANARY", openid, openid[:8], template, template2, "gh_97417a04a28d", token, aesKey, nonce, signature,
		"timestamp=", "1714112440", "wxunknown", "subscribe_msg_popup_event\\", "<xml",
	} {
		if strings.Contains(log, private) {
			t.Errorf("the log holds %q", private)
		}
	}
	for _, line := range bytes.Split([]byte(log), []byte("\n")) {
		if len(line) > 400 {
			t.Errorf("a line of %d bytes: %s", len(line), line)
		}
	}
	if n := strings.Count(log, "\n"); n < 50 {
		t.Errorf("only %d lines: the test does not see the log", n)
	}
}

// malformed are events of ours that cannot be used.
func malformed() []string {
	const item = `{"TemplateId":"` + template + `","SubscribeStatusString":"accept"}`
	event := func(name, openid, at, list string) string {
		return fmt.Sprintf(`{"FromUserName":%s,"CreateTime":%s,"MsgType":"event","Event":%q,"List":%s}`, openid, at, name, list)
	}
	const popup, sent = "subscribe_msg_popup_event", "subscribe_msg_sent_event"
	const user, at = `"` + openid + `"`, `1714112440`
	return []string{
		event(popup, `""`, at, item),
		event(popup, `null`, at, item),
		event(popup, `["CANARY"]`, at, item),
		event(popup, `"CANARY openid"`, at, item),
		event(popup, user, `null`, item),
		event(popup, user, `"CANARY"`, item),
		event(popup, user, `-1`, item),
		event(popup, user, `1.7e9`, item),
		event(popup, user, `1714112440000`, item),
		event(popup, user, at, `null`),
		event(popup, user, at, `[]`),
		event(popup, user, at, `{}`),
		event(popup, user, at, `"CANARY"`),
		event(popup, user, at, `[1,"CANARY",null,[]]`),
		event(popup, user, at, `{"TemplateId":"CANARY template","SubscribeStatusString":"accept"}`),
		event(popup, user, at, `{"SubscribeStatusString":"accept"}`),
		event(popup, user, at, `{"TemplateId":"`+template+`","SubscribeStatusString":"ban"}`),
		event(popup, user, at, `{"TemplateId":"`+template+`","SubscribeStatusString":"Accept"}`),
		event(popup, user, at, `{"TemplateId":"`+template+`","SubscribeStatusString":true}`),
		event(sent, user, at, item),
		event(sent, user, at, `{"MsgID":"CANARY","ErrorCode":"0"}`),
		event(sent, user, at, `{"MsgID":1.8e18,"ErrorCode":"0"}`),
		event(sent, user, at, `{"MsgID":"99999999999999999999","ErrorCode":"0"}`),
		event(sent, user, at, `{"MsgID":"007","ErrorCode":"0"}`),
		event(sent, user, at, `{"MsgID":"0","ErrorCode":"0"}`),
		event(sent, user, at, `{"MsgID":"-7","ErrorCode":"0"}`),
		event(sent, user, at, `{"MsgID":"7"}`),
		event(sent, user, at, `{"MsgID":"7","ErrorCode":""}`),
		event(sent, user, at, `{"MsgID":"7","ErrorCode":"CANARY"}`),
		event(sent, user, at, `{"MsgID":"7","ErrorCode":99999999999}`),
		`<xml><FromUserName>` + openid + `</FromUserName><CreateTime>1714112440</CreateTime><MsgType>event</MsgType>` +
			`<Event>subscribe_msg_popup_event</Event><SubscribeMsgChangeEvent><List><TemplateId>` + template +
			`</TemplateId><SubscribeStatusString>accept</SubscribeStatusString></List></SubscribeMsgChangeEvent></xml>`,
	}
}

func TestMalformedEventsAreAcknowledged(t *testing.T) {
	t.Parallel()
	for _, body := range malformed() {
		b := newTestbed(t)
		w := b.do(sealedPush(t, body).request())
		if w.Code != http.StatusOK || w.Body.String() != "success" {
			t.Errorf("answered %d %q to %s", w.Code, w.Body, body)
		}
		if len(b.counts) != 1 || !strings.HasSuffix(b.counts[0], " "+EventMalformed) || len(b.events.stored) > 0 {
			t.Errorf("counted %q, stored %+v of %s", b.counts, b.events.stored, body)
		}
		if log := b.logged(); strings.Count(log, "level=WARN") != 1 {
			t.Errorf("log:\n%s", log)
		}
	}
}
