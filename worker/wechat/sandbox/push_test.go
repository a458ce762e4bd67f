package sandbox

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
)

const testToken = "callback-token"

var testKey = strings.Repeat("A", 43)

// pushed is one push as it arrived.
type pushed struct {
	query url.Values
	mime  string
	body  string
}

// receiver is a callback URL. Its answers are 200 success unless status or body say otherwise.
type receiver struct {
	*bundle
	url    string
	pushes chan pushed
	answer http.HandlerFunc
}

// receive listens and sets the app's callback to it. answer may be nil.
func receive(b *bundle, mode, format string, answer http.HandlerFunc) *receiver {
	b.Helper()
	r := &receiver{bundle: b, pushes: make(chan pushed, 1000), answer: answer}
	server := httptest.NewServer(http.HandlerFunc(r.serve))
	b.Cleanup(server.Close)
	b.Cleanup(b.s.Close) // before the server's: that waits for what is under way
	r.url = server.URL + "/wechat/wxtest?tenant=1"
	if err := b.s.SetCallback(testApp, Callback{URL: r.url, Token: testToken, AESKey: testKey, Mode: mode, Format: format}); err != nil {
		b.Fatal(err)
	}
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || req.Method != http.MethodPost || req.URL.Path != "/wechat/wxtest" {
		r.Errorf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	r.pushes <- pushed{query: req.URL.Query(), mime: req.Header.Get("Content-Type"), body: string(body)}
	if r.answer != nil {
		r.answer(w, req)
		return
	}
	_, _ = io.WriteString(w, "success")
}

func (r *receiver) next() pushed {
	r.Helper()
	select {
	case p := <-r.pushes:
		return p
	case <-time.After(30 * time.Second):
		r.Fatal("no push")
		return pushed{}
	}
}

// counts waits until a count of the report is as wanted.
func (r *receiver) counts(event string, want PushReport) {
	r.Helper()
	var got PushReport
	deadline := time.Now().Add(30 * time.Second)
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(deadline) {
		if got = r.s.Report(false).Apps[testApp].Pushes[event]; got == want {
			return
		}
		<-tick.C
	}
	r.Fatalf("%s: %+v, want %+v", event, got, want)
}

// fields reads a JSON push, numbers as they were written.
func (r *receiver) fields(body string) map[string]any {
	r.Helper()
	dec := json.NewDecoder(strings.NewReader(body))
	dec.UseNumber()
	var m map[string]any
	if err := dec.Decode(&m); err != nil {
		r.Fatalf("%v in %s", err, body)
	}
	return m
}

// item returns the one item of a JSON event.
func (r *receiver) item(body string) map[string]any {
	r.Helper()
	item, ok := r.fields(body)["List"].(map[string]any)
	if !ok {
		r.Fatalf("no single item in %s", body)
	}
	return item
}

func (r *receiver) wantSigned(p pushed, sealed string) {
	r.Helper()
	q := p.query
	signed := wxcrypt.Verify(q.Get("signature"), testToken, q.Get("timestamp"), q.Get("nonce"))
	if !signed || q.Get("tenant") != "1" || q.Get("timestamp") != fmt.Sprint(r.clock.now().Unix()) {
		r.Errorf("query %v", q)
	}
	if sealed == "" {
		if q.Has("msg_signature") || q.Has("encrypt_type") || q.Has("openid") {
			r.Errorf("plain, with query %v", q)
		}
		return
	}
	if !wxcrypt.Verify(q.Get("msg_signature"), testToken, q.Get("timestamp"), q.Get("nonce"), sealed) ||
		q.Get("encrypt_type") != "aes" || q.Get("openid") != testUser {
		r.Errorf("sealed, with query %v", q)
	}
}

func (r *receiver) open(sealed string) string {
	r.Helper()
	c, err := wxcrypt.New(testKey, testApp)
	if err != nil {
		r.Fatal(err)
	}
	text, err := c.Open(sealed)
	if err != nil {
		r.Fatal(err)
	}
	return string(text)
}

// xmlEvent is a push in XML.
type xmlEvent struct {
	XMLName      xml.Name `xml:"xml"`
	ToUserName   string
	FromUserName string
	CreateTime   int64
	MsgType      string
	Event        string
	Encrypt      string
	Popup        []xmlItem `xml:"SubscribeMsgPopupEvent>List"`
	Change       []xmlItem `xml:"SubscribeMsgChangeEvent>List"`
	Sent         []xmlItem `xml:"SubscribeMsgSentEvent>List"`
}

type xmlItem struct {
	TemplateID  string `xml:"TemplateId"`
	Status      string `xml:"SubscribeStatusString"`
	Scene       string `xml:"PopupScene"`
	MsgID       string
	ErrorCode   string
	ErrorStatus string
}

func (r *receiver) readXML(body string) xmlEvent {
	r.Helper()
	var e xmlEvent
	if err := xml.Unmarshal([]byte(body), &e); err != nil {
		r.Fatalf("%v in %s", err, body)
	}
	return e
}

func TestReceiptInJSON(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"", ModePlain, ModeCompatible, ModeSafe} {
		t.Run("mode "+mode, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			r := receive(b, mode, "", nil)
			msgID := b.send(b.stable(false).AccessToken, sendBody("n1")).MsgID
			p := r.next()
			m, plain, sealed := r.fields(p.body), p.body, ""
			if mode == ModeSafe || mode == ModeCompatible {
				sealed = m["Encrypt"].(string)
				plain = r.open(sealed)
			}
			if n := len(m); mode == ModeSafe && n != 2 || mode == ModeCompatible && n != 7 || sealed == "" && n != 6 {
				t.Errorf("body %s", p.body)
			}
			r.wantSigned(p, sealed)
			e, item := r.fields(plain), r.item(plain)
			got := fmt.Sprint(p.mime, e["ToUserName"] == originalID(testApp), m["ToUserName"] == originalID(testApp), e["FromUserName"],
				e["CreateTime"], e["MsgType"], e["Event"], item["TemplateId"], item["MsgID"], item["ErrorCode"], item["ErrorStatus"])
			want := fmt.Sprint("application/json", true, true, testUser,
				b.clock.now().Unix(), "event", EventSent, testTpl, msgID, 0, "success")
			if got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
			r.counts(EventSent, PushReport{Sent: 1, Answered: 1})
		})
	}
}

func TestEventsInXML(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{ModePlain, ModeCompatible, ModeSafe} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(a *App) { a.AllowAnyTemplate = true })
			r := receive(b, mode, FormatXML, nil)
			event := func() xmlEvent {
				p := r.next()
				e := r.readXML(p.body)
				r.wantSigned(p, e.Encrypt)
				if p.mime != "text/xml" || (e.Encrypt != "") != (mode != ModePlain) || (e.Event == "") != (mode == ModeSafe) {
					t.Errorf("%s %s", p.mime, p.body)
				}
				if e.Encrypt != "" {
					e = r.readXML(r.open(e.Encrypt))
				}
				if e.ToUserName != originalID(testApp) || e.FromUserName != testUser || e.MsgType != "event" || e.CreateTime < b.clock.now().Unix() {
					t.Errorf("%+v", e)
				}
				return e
			}
			b.answer(UserAnswer{OpenID: testUser, Results: map[string]string{testTpl: Accept, "a]]>b": Reject}})
			want := []xmlItem{{TemplateID: testTpl, Status: Accept, Scene: "0"}, {TemplateID: "a]]>b", Status: Reject, Scene: "0"}}
			if e := event(); e.Event != EventPopup || !slices.Equal(e.Popup, want) {
				t.Errorf("popup %+v", e)
			}
			msgID := b.send(b.stable(false).AccessToken, sendBody("n1")).MsgID
			want = []xmlItem{{TemplateID: testTpl, MsgID: msgID.String(), ErrorCode: "0", ErrorStatus: "success"}}
			if e := event(); e.Event != EventSent || !slices.Equal(e.Sent, want) {
				t.Errorf("sent %+v", e)
			}
			b.answer(UserAnswer{OpenID: testUser, Results: map[string]string{testTpl: Reject}, Event: AnswerChange})
			if e := event(); e.Event != EventChange || !slices.Equal(e.Change, []xmlItem{{TemplateID: testTpl, Status: Reject}}) {
				t.Errorf("change %+v", e)
			}
		})
	}
}

func TestNumbersAreWrittenBothWays(t *testing.T) {
	t.Parallel()
	kinds := func() []string {
		b := setup(t, nil)
		var got []string
		for range 40 {
			m := message{ToUser: testUser, TemplateID: testTpl}
			e := b.s.apps[0].sentEvent(m, 1<<60+1, "0", "success", b.clock.now())
			item := e.list[0].(map[string]any)
			got = append(got, fmt.Sprintf("%T %T %T", e.created, item["MsgID"], item["ErrorCode"]))
		}
		return got
	}
	one, two := kinds(), kinds()
	if !slices.Equal(one, two) {
		t.Error("not the same for the same seed")
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(one)))); n != 8 {
		t.Errorf("%d of 8 ways", n)
	}
}

func TestPopupListHasAnObjectOrAnArray(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AllowAnyTemplate = true })
	r := receive(b, ModePlain, FormatJSON, nil)
	b.answer(accepts(testUser))
	if item := r.item(r.next().body); fmt.Sprintf("%v %v %v", item["TemplateId"], item["SubscribeStatusString"], item["PopupScene"]) != "TPL1 accept 0" {
		t.Errorf("item %v", item)
	}
	b.answer(UserAnswer{OpenID: testUser, Results: map[string]string{"T2": Reject, "T1": Accept}})
	list, _ := r.fields(r.next().body)["List"].([]any)
	if len(list) != 2 || list[0].(map[string]any)["TemplateId"] != "T1" {
		t.Errorf("list %v", list)
	}
}

func TestReceipts(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := receive(b, ModePlain, FormatJSON, nil)
	token := b.stable(false).AccessToken
	b.must("PUT", "receipts", `{"app":"wxtest","mode":"fail"}`)
	b.send(token, sendBody("n1"))
	if item := r.item(r.next().body); fmt.Sprintf("%v %v", item["ErrorCode"], item["ErrorStatus"]) != "1 failed" {
		t.Errorf("%v", item)
	}
	b.must("PUT", "receipts", `{"app":"wxtest","mode":"fail","error_code":"-7","error_status":"user block","repeat":3}`)
	b.send(token, sendBody("n2"))
	first := r.next().body
	if item := r.item(first); fmt.Sprintf("%v %v", item["ErrorCode"], item["ErrorStatus"]) != "-7 user block" {
		t.Errorf("%v", item)
	}
	for range 2 {
		if again := r.next().body; again != first {
			t.Errorf("%s then %s", first, again)
		}
	}
	b.must("PUT", "receipts", `{"app":"wxtest","mode":"off"}`)
	b.send(token, sendBody("n3"))
	b.must("PUT", "receipts", `{"app":"wxtest"}`)
	b.send(token, "no JSON")
	b.setForm(FormID{ID: "f1"})
	b.sendForm(token, formBody("f1"))
	b.setFaults(Faults{Next: []Script{{API: APISubscribeSend, Do: FaultBadGateway}}})
	b.send(token, sendBody("n4"))
	b.must("PUT", "callback", `{"app":"wxtest"}`)
	b.send(token, sendBody("n5"))
	r.counts(EventSent, PushReport{Sent: 4, Answered: 4})
	if len(r.pushes) != 0 {
		t.Errorf("too many: %s", r.next().body)
	}
}

func TestReceiptBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	var answered sync.Map
	r := receive(b, ModeSafe, FormatXML, func(http.ResponseWriter, *http.Request) {
		if _, ok := answered.Load("n1"); ok {
			t.Error("the send was answered first")
		}
	})
	b.must("PUT", "receipts", `{"app":"wxtest","before_answer":true,"repeat":3,"delay":"20ms"}`)
	began := time.Now()
	b.wantCode(b.send(token, sendBody("n1")), 0)
	answered.Store("n1", true)
	if len(r.pushes) != 3 || time.Since(began) < 20*time.Millisecond {
		t.Errorf("%d pushes in %s", len(r.pushes), time.Since(began))
	}
	r.counts(EventSent, PushReport{Sent: 3, Answered: 3})
}

// TestReceiptThatIsNeverAnswered: the send's answer waits for the time of one push, not for all its tries.
func TestReceiptThatIsNeverAnswered(t *testing.T) {
	t.Parallel()
	a := testAppConfig()
	s, err := New(Config{Apps: []App{a}, PushTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{T: t, s: s, clock: newClock()}
	r := receive(b, ModePlain, FormatJSON, func(_ http.ResponseWriter, req *http.Request) { <-req.Context().Done() })
	b.must("PUT", "receipts", `{"app":"wxtest","before_answer":true}`)
	token := b.stable(false).AccessToken
	b.wantCode(b.send(token, sendBody("n1")), 0)
	if got := r.s.Report(false).Apps[testApp].Pushes[EventSent]; got.Failed != 0 || got.Sent != 1 {
		t.Errorf("when the send was answered: %+v", got)
	}
	r.counts(EventSent, PushReport{Sent: 1, Failed: 1, Retried: 2})
	b.eventually("three tries arrived", func() bool { return len(r.pushes) == 3 })
}

func TestReceiptOfALostAnswer(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	r := receive(n.bundle, ModePlain, FormatJSON, nil)
	n.setFaults(Faults{Next: []Script{{API: APISubscribeSend, Do: FaultLostHang}, {API: APISubscribeSend, Do: FaultLostCut}}})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _, _ = n.post(ctx, sendBody("n1")) }) // canceled below
	r.next()
	cancel()
	waiting.Wait()
	if _, _, err := n.post(context.Background(), sendBody("n2")); err == nil {
		t.Error("the answer was not lost")
	}
	r.next()
}

// TestAnswerComesBeforeTheReceipt: over the network the answer is whole at the client while its receipt is still being pushed.
func TestAnswerComesBeforeTheReceipt(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	hold := make(chan struct{})
	r := receive(n.bundle, ModePlain, FormatJSON, func(_ http.ResponseWriter, req *http.Request) {
		select {
		case <-hold:
		case <-req.Context().Done():
		}
	})
	if status, text, err := n.post(context.Background(), sendBody("n1")); status != 200 || !strings.HasSuffix(text, "}") || err != nil {
		t.Errorf("HTTP %d %s %v", status, text, err)
	}
	close(hold)
	r.counts(EventSent, PushReport{Sent: 1, Answered: 1})
}

func TestRetries(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer http.HandlerFunc
		want   PushReport
	}{
		"success":    {nil, PushReport{Sent: 1, Answered: 1}},
		"empty":      {func(http.ResponseWriter, *http.Request) {}, PushReport{Sent: 1, Answered: 1}},
		"other text": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "success\n") }, PushReport{Sent: 1, Failed: 1}},
		"500":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(500) }, PushReport{Sent: 1, Failed: 1, Retried: 2}},
		"204":        {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }, PushReport{Sent: 1, Failed: 1, Retried: 2}},
		"redirect":   {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, PushReport{Sent: 1, Failed: 1, Retried: 2}},
		"cut":        {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, PushReport{Sent: 1, Failed: 1, Retried: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := New(Config{Apps: []App{testAppConfig()}, PushTimeout: 1500 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			b := &bundle{T: t, s: s, clock: newClock()}
			r := receive(b, ModePlain, FormatJSON, tc.answer)
			b.answer(accepts(testUser))
			r.counts(EventPopup, tc.want)
			if tries := len(r.pushes); int64(tries) != 1+tc.want.Retried {
				t.Errorf("%d tries", tries)
			}
		})
	}
}

// TestRetriesAreSealedAnew: the text within stays the same.
func TestRetriesAreSealedAnew(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Apps: []App{testAppConfig()}, PushTimeout: 1500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{T: t, s: s, clock: newClock()}
	failures := make(chan struct{}, 1)
	failures <- struct{}{}
	r := receive(b, ModeSafe, FormatJSON, func(w http.ResponseWriter, _ *http.Request) {
		select {
		case <-failures:
			w.WriteHeader(503)
		default:
		}
	})
	b.answer(accepts(testUser))
	r.counts(EventPopup, PushReport{Sent: 1, Answered: 1, Retried: 1})
	one, two := r.fields(r.next().body)["Encrypt"].(string), r.fields(r.next().body)["Encrypt"].(string)
	if one == two || r.open(one) != r.open(two) {
		t.Errorf("%s then %s", one, two)
	}
}

// order answers six times with one push each and returns the order of arrival.
func order(t *testing.T, how string) string {
	b := setup(t, func(a *App) { a.AllowAnyTemplate = true })
	r := receive(b, ModePlain, FormatJSON, nil)
	b.must("POST", "users:answer", `{"app":"wxtest",`+how+`"answers":[`+
		`{"openid":"oUser1","results":{"A":"accept"}},{"openid":"oUser1","results":{"B":"accept"}},{"openid":"oUser2","results":{"C":"reject"}},`+
		`{"openid":"oUser1","results":{"D":"accept"},"time":1700000000},{"openid":"oUser1","results":{"E":"reject"},"event":"change"},{"openid":"oUser2","results":{"F":"reject"}}]}`)
	var got strings.Builder
	for range 6 {
		body := r.next().body
		fmt.Fprint(&got, r.item(body)["TemplateId"], r.fields(body)["CreateTime"], " ")
	}
	return got.String()
}

func TestAnswersArriveInOrderUnlessShuffled(t *testing.T) {
	t.Parallel()
	now := newClock().now().Unix()
	want := fmt.Sprintf("A%d B%d C%d D1700000000 E%d F%d ", now, now+1, now, now+2, now+1)
	if got := order(t, ""); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	one, two := order(t, `"shuffle":true,`), order(t, `"shuffle":true,`)
	if one == want || one != two {
		t.Errorf("shuffled %s and %s", one, two)
	}
}

func TestAnswersRepeatedOrNotPushed(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.ConsentNeeded = true })
	r := receive(b, ModePlain, FormatJSON, nil)
	b.must("POST", "users:answer", `{"app":"wxtest","openid":"oUser1","results":{"TPL1":"accept"},"repeat":2}`)
	b.must("POST", "users:answer", `{"app":"wxtest","openid":"oUser1","results":{"TPL1":"accept"},"push":false}`)
	if one, two := r.next().body, r.next().body; one != two {
		t.Errorf("%s then %s", one, two)
	}
	b.must("PUT", "receipts", `{"app":"wxtest","mode":"off"}`)
	if n := b.sendsAllowed(testUser, testTpl); n != 2 {
		t.Errorf("%d sends allowed", n)
	}
	r.counts(EventPopup, PushReport{Sent: 2, Answered: 2})
}

func TestRawEvents(t *testing.T) {
	t.Parallel()
	const event = `{"app":"wxtest","event":"notify_service_msg_send_result","openid":"oUser1",` +
		`"body":{"notify_code":"p1.x","fail_ret":-1004,"CreateTime":12345678901234567890,"deep":{"a":[1,"<&>",null,true]}}}`
	b := setup(t, nil)
	r := receive(b, ModePlain, FormatJSON, nil)
	b.must("POST", "events", event)
	m := r.fields(r.next().body)
	want := map[string]any{
		"ToUserName": originalID(testApp), "FromUserName": testUser, "MsgType": "event", "Event": "notify_service_msg_send_result",
		"CreateTime": json.Number("12345678901234567890"), "notify_code": "p1.x", "fail_ret": json.Number("-1004"),
		"deep": map[string]any{"a": []any{json.Number("1"), "<&>", nil, true}},
	}
	if !reflect.DeepEqual(m, want) {
		t.Errorf("%v", m)
	}
	if err := b.s.SetCallback(testApp, Callback{URL: r.url, Token: testToken, Format: FormatXML}); err != nil {
		t.Fatal(err)
	}
	b.must("POST", "events", event)
	const deep = `<deep><a>1</a><a><![CDATA[<&>]]></a><a></a><a>true</a></deep><fail_ret>-1004</fail_ret>`
	if body := r.next().body; !strings.Contains(body, deep) {
		t.Errorf("%s", body)
	}
	b.must("POST", "events", `{"app":"wxtest","event":"unheard_of","openid":"oUser1"}`)
	r.next()
	r.counts("unheard_of", PushReport{Sent: 1, Answered: 1})
	r.counts("notify_service_msg_send_result", PushReport{Sent: 2, Answered: 2})
}

func TestCallbackOfTheConfig(t *testing.T) {
	t.Parallel()
	received := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { received <- r.URL.Path }))
	defer server.Close()
	b := setup(t, func(a *App) { a.Callback = Callback{URL: server.URL + "/x", Token: "t"} })
	b.answer(accepts(testUser))
	if path := <-received; path != "/x" {
		t.Errorf("path %s", path)
	}
	b.s.Close() // before the server's
	a := testAppConfig()
	a.AppID, a.Callback = "wx2", Callback{URL: "http://localhost", Token: "t", Mode: ModeSafe, AESKey: "short-key"}
	if err := b.s.AddApp(a); err == nil || strings.Contains(err.Error(), "short-key") || !strings.Contains(err.Error(), "callback.aes_key") {
		t.Errorf("got %v", err)
	}
}

func TestCloseDropsWhatWaits(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	entered := make(chan struct{}, maxCarriers)
	r := receive(b, ModePlain, FormatJSON, func(_ http.ResponseWriter, req *http.Request) {
		entered <- struct{}{}
		<-req.Context().Done()
	})
	const answers = maxCarriers + 10
	for range answers {
		b.answer(accepts(testUser))
	}
	for range maxCarriers {
		<-entered
	}
	b.s.Close()
	b.s.Close()
	b.answer(accepts(testUser)) // nobody carries it
	got := b.s.Report(false).Apps[testApp]
	if want := (PushReport{Sent: maxCarriers, Failed: maxCarriers}); got.Pushes[EventPopup] != want || got.PushesDropped != 11 {
		t.Errorf("%+v, dropped %d", got.Pushes, got.PushesDropped)
	}
	if n := len(r.pushes); n != maxCarriers {
		t.Errorf("%d pushes at a time", n)
	}
	b.must("PUT", "receipts", `{"app":"wxtest","before_answer":true}`)
	b.wantCode(b.send(b.stable(false).AccessToken, sendBody("n1")), 0) // waits for nobody either
}

func TestShutdownEndsPushesAndStartResumes(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	hang := make(chan struct{}, 1)
	hang <- struct{}{}
	entered := make(chan struct{}, 10)
	r := receive(n.bundle, ModePlain, FormatJSON, func(_ http.ResponseWriter, req *http.Request) {
		hangs := false // the first does, however late its handler goes on
		select {
		case <-hang:
			hangs = true
		default:
		}
		entered <- struct{}{}
		if hangs {
			<-req.Context().Done()
		}
	})
	n.must("PUT", "receipts", `{"app":"wxtest","before_answer":true}`)
	var waiting sync.WaitGroup
	waiting.Go(func() { _, _, _ = n.post(context.Background(), sendBody("n1")) }) // may lose its answer
	<-entered
	if err := n.running.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	r.counts(EventSent, PushReport{Sent: 1, Failed: 1})
	again, err := n.s.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n.answer(accepts(testUser))
	r.counts(EventPopup, PushReport{Sent: 1, Answered: 1})
	if err := again.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func TestTheQueueIsBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := receive(b, ModePlain, FormatJSON, nil)
	target := b.s.apps[0].target
	c := b.s.apps[0].courier
	c.mu.Lock()
	c.carriers = maxCarriers // so that no other starts
	c.mu.Unlock()
	e := event{name: "x", openid: testUser, created: "1"}
	big := delivery{target: target, events: slices.Repeat([]event{e}, maxWaiting)}
	c.post(big)
	c.post(delivery{target: target, events: []event{e}})
	if c.waiting != maxWaiting || c.dropped != 1 || len(r.pushes) != 0 {
		t.Errorf("%d wait, %d dropped", c.waiting, c.dropped)
	}
	for i := range maxEventNames + 5 {
		c.counter(fmt.Sprint("e", i)).Sent++
	}
	if pushes, _ := c.report(); len(pushes) != maxEventNames+1 || pushes[otherEvents].Sent != 5 {
		t.Errorf("%d names, %+v", len(pushes), pushes[otherEvents])
	}
	b.s.Reset()
	if pushes, dropped := c.report(); len(pushes) != 0 || dropped != 0 {
		t.Errorf("after the reset: %v, %d", pushes, dropped)
	}
}

func TestReportHoldsNothingPrivateOfPushes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	r := receive(b, ModeSafe, FormatJSON, nil)
	b.answer(accepts(testUser))
	b.send(b.stable(false).AccessToken, sendBody("n1"))
	r.counts(EventSent, PushReport{Sent: 1, Answered: 1})
	text := b.must("GET", "report?ids=1", "")
	for _, private := range []string{testUser, testToken, testKey, testTpl, "127.0.0.1"} {
		if strings.Contains(text, private) {
			t.Errorf("the report holds %s", private)
		}
	}
}

// TestPushesAtOnce is for the race detector, and checks that nothing is lost below the bounds.
func TestPushesAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AllowAnyOpenID = true })
	r := receive(b, ModeSafe, FormatJSON, nil)
	token := b.stable(false).AccessToken
	var all sync.WaitGroup
	for worker := range 8 {
		all.Go(func() {
			body := strings.Replace(sendBody("n"), testUser, fmt.Sprint("o", worker), 1)
			for range 40 {
				b.wantCode(b.send(token, body), 0)
				b.answer(accepts(testUser))
				b.s.Report(false)
			}
		})
	}
	all.Wait()
	r.counts(EventSent, PushReport{Sent: 320, Answered: 320})
	r.counts(EventPopup, PushReport{Sent: 320, Answered: 320})
}

// FuzzEvent: whatever the body, what is pushed is JSON, and XML, that can be read.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":1}`, `{"a":"]]>"}`, `{"a":{"b":[[1],{"c":null}]}}`, `{"xml":"\u0000\ufffe"}`, `{"ToUserName":[]}`, `{"1":2}`, `[]`, `{"a":"\ud800"}`,
	} {
		f.Add(seed)
	}
	json1, err := Callback{URL: "http://localhost", Token: "t"}.target("wx")
	if err != nil {
		f.Fatal(err)
	}
	xml1, err := Callback{URL: "http://localhost", Token: "t", Format: FormatXML}.target("wx")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, body string) {
		own, err := ownFields(json.RawMessage(body))
		if err != nil {
			return
		}
		e := event{name: "e", openid: "o", created: "1", own: own}
		if text := json1.encode(e.tree(json1)); !json.Valid(text) {
			t.Errorf("no JSON: %s", text)
		}
		dec := xml.NewDecoder(strings.NewReader(string(xml1.encode(e.tree(xml1)))))
		for {
			if _, err := dec.Token(); err == io.EOF {
				return
			} else if err != nil {
				t.Fatalf("%v in %s", err, xml1.encode(e.tree(xml1)))
			}
		}
	})
}
