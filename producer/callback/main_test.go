package callback

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
	"github.com/wxnotify/wxnotify/tasks"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The sealed app is that of the vectors in WeChat's message push page.
const (
	plainApp  = "wxplain0000000001"
	sealedApp = "wxba5fad812f8e6fb9"
	token     = "AAAAA"
	nonce     = "415670741"
	openid    = "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"
	template  = "mZLTwW6MZoUQ-2jjLpdWvArZnLEgrJu6d6"
	template2 = "nuTvqVhcT6VzMvZYQkG3hPZZQ5DkdLGUbV"
)

var (
	aesKey  = strings.Repeat("A", 43)
	testNow = time.Unix(1714112445, 0) // when the vectors were pushed
)

// fakeEvents keeps what is stored.
type fakeEvents struct {
	mu     sync.Mutex
	stored []tasks.Event
	err    error                     // what EnqueueEvent fails with
	during func(ctx context.Context) // called while it stores
}

func (f *fakeEvents) EnqueueEvent(ctx context.Context, e tasks.Event) error {
	if f.during != nil {
		f.during(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		return f.err
	}
	f.stored = append(f.stored, e)
	return nil
}

// testbed is a handler and all that it tells.
type testbed struct {
	*handler
	events *fakeEvents

	mu       sync.Mutex
	requests []string // app and result
	counts   []string // app, event and result
	log      bytes.Buffer
}

// Write is the log's.
func (b *testbed) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.Write(p)
}

func newTestbed(tb testing.TB) *testbed {
	tb.Helper()
	b := &testbed{events: &fakeEvents{}}
	h, err := newHandler(Config{
		Apps:   []App{{AppID: plainApp, Token: token}, {AppID: sealedApp, Token: token, AESKey: aesKey}},
		Events: b.events,
		Logger: slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Observe: func(app, result string, _ time.Duration) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.requests = append(b.requests, app+" "+result)
		},
		ObserveEvent: func(app, event, result string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.counts = append(b.counts, app+" "+event+" "+result)
		},
	})
	if err != nil {
		tb.Fatal(err)
	}
	h.now = func() time.Time { return testNow }
	b.handler = h
	return b
}

// do answers a request.
func (b *testbed) do(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// logged returns the log so far.
func (b *testbed) logged() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.log.String()
}

// only returns the one event stored.
func (b *testbed) only(t *testing.T) tasks.Event {
	t.Helper()
	if len(b.events.stored) != 1 {
		t.Fatalf("%d events stored, want 1; log:\n%s", len(b.events.stored), b.logged())
	}
	return b.events.stored[0]
}

// push is a request as WeChat makes it, until a test changes it.
type push struct {
	app   string
	query url.Values
	body  string
}

func (p push) request() *http.Request {
	return httptest.NewRequest(http.MethodPost, Pattern+p.app+"?"+p.query.Encode(), strings.NewReader(p.body))
}

// signed is the query of a request at the time given.
func signed(at time.Time) url.Values {
	timestamp := strconv.FormatInt(at.Unix(), 10)
	return url.Values{
		"timestamp": {timestamp}, "nonce": {nonce}, "openid": {openid},
		"signature": {wxcrypt.Signature(token, timestamp, nonce)},
	}
}

// plainPush is body in plain mode.
func plainPush(body string) push { return push{app: plainApp, query: signed(testNow), body: body} }

func seal(tb testing.TB, body string) string {
	tb.Helper()
	c, err := wxcrypt.New(aesKey, sealedApp)
	if err != nil {
		tb.Fatal(err)
	}
	sealed, err := c.Seal([]byte(body))
	if err != nil {
		tb.Fatal(err)
	}
	return sealed
}

// around puts a sealed text into an envelope of the body's own format.
func around(body, sealed string) string {
	if strings.HasPrefix(body, "<") {
		return "<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><Encrypt><![CDATA[" + sealed + "]]></Encrypt></xml>"
	}
	return fmt.Sprintf(`{"ToUserName":"gh_97417a04a28d","Encrypt":%q}`, sealed)
}

// beside puts a sealed text beside the plaintext, as compatible mode does.
func beside(body, sealed string) string {
	if rest, ok := strings.CutSuffix(body, "</xml>"); ok {
		return rest + "<Encrypt><![CDATA[" + sealed + "]]></Encrypt></xml>"
	}
	return strings.TrimSuffix(body, "}") + fmt.Sprintf(`,"Encrypt":%q}`, sealed)
}

// sealedPush is body in safe mode.
func sealedPush(tb testing.TB, body string) push {
	tb.Helper()
	sealed := seal(tb, body)
	return push{app: sealedApp, query: signedOver(sealed), body: around(body, sealed)}
}

func signedOver(sealed string) url.Values {
	query := signed(testNow)
	query.Set("encrypt_type", "aes")
	query.Set("msg_signature", wxcrypt.Signature(token, query.Get("timestamp"), nonce, sealed))
	return query
}

// The same popup event in both formats.
const (
	popupJSON = `{"ToUserName":"gh_97417a04a28d","FromUserName":"` + openid + `","CreateTime":1714112440,"MsgType":"event",` +
		`"Event":"subscribe_msg_popup_event","List":[` +
		`{"TemplateId":"` + template + `","SubscribeStatusString":"accept","PopupScene":"0"},` +
		`{"TemplateId":"` + template2 + `","SubscribeStatusString":"reject","PopupScene":0}]}`
	popupXML = `<xml><ToUserName><![CDATA[gh_97417a04a28d]]></ToUserName><FromUserName><![CDATA[` + openid + `]]></FromUserName>` +
		`<CreateTime>1714112440</CreateTime><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[subscribe_msg_popup_event]]></Event>` +
		`<SubscribeMsgPopupEvent>` +
		`<List><TemplateId><![CDATA[` + template + `]]></TemplateId><SubscribeStatusString><![CDATA[accept]]></SubscribeStatusString><PopupScene>2</PopupScene></List>` +
		`<List><TemplateId><![CDATA[` + template2 + `]]></TemplateId><SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString><PopupScene>2</PopupScene></List>` +
		`</SubscribeMsgPopupEvent></xml>`
)

// popupItems is what both say.
func popupItems() []tasks.EventItem {
	return []tasks.EventItem{{TemplateID: template, Status: "accept"}, {TemplateID: template2, Status: "reject"}}
}
