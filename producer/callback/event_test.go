package callback

import (
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks"
)

// head begins every event of ours in JSON.
const head = `{"ToUserName":"gh_1","FromUserName":"` + openid + `","CreateTime":"1714112440","MsgType":"event","Event":`

func TestReadEvents(t *testing.T) {
	t.Parallel()
	reject := []tasks.EventItem{{TemplateID: template, Status: "reject"}}
	receipt := func(msgID string, code int, status string) []tasks.EventItem {
		return []tasks.EventItem{{TemplateID: template, MsgID: msgID, ErrorCode: code, ErrorStatus: status}}
	}
	card := []tasks.EventItem{{NotifyType: tasks.CardShipped, NotifyCode: "p1.x", CardState: 1, ErrorCode: -1004, ErrorStatus: "user refuse"}}
	xmlEvent := func(name, wrapper, list string) string {
		return "<xml>\n<FromUserName><![CDATA[" + openid + "]]></FromUserName>\n<CreateTime>1714112440</CreateTime>\n" +
			"<MsgType><![CDATA[event]]></MsgType>\n<Event><![CDATA[" + name + "]]></Event>\n<" + wrapper + ">\n" + list + "\n</" + wrapper + ">\n</xml>\n"
	}
	for _, tc := range []struct {
		name, body string
		event      tasks.EventName
		leftOut    int
		items      []tasks.EventItem
	}{
		{"change, array of one", head + `"subscribe_msg_change_event","List":[{"TemplateId":"` + template + `","SubscribeStatusString":"reject"}]}`,
			tasks.EventChange, 0, reject},
		{"change, object", head + `"subscribe_msg_change_event","List":{"TemplateId":"` + template + `","SubscribeStatusString":"reject"}}`,
			tasks.EventChange, 0, reject},
		{"change, List in a wrapper", head + `"subscribe_msg_change_event","SubscribeMsgChangeEvent":{"List":{"TemplateId":"` + template + `","SubscribeStatusString":"reject"}}}`,
			tasks.EventChange, 0, reject},
		{"popup, List in a wrapper beside another", head + `"subscribe_msg_popup_event","SubscribeMsgSentEvent":7,"SubscribeMsgPopupEvent":{"List":[{"TemplateId":"` + template + `","SubscribeStatusString":"reject"}]}}`,
			tasks.EventPopup, 0, reject},
		{"escapes", strings.Replace(head, "MsgType", `Msg\u0054ype`, 1) + `"subscribe_msg_change_\u0065vent","List":{"TemplateId":"` + template + `","SubscribeStatusString":"r\u0065ject"}}`,
			tasks.EventChange, 0, reject},
		{"items left out", head + `"subscribe_msg_popup_event","List":[{"TemplateId":"` + template + `","SubscribeStatusString":"ban"},7,` +
			`{"TemplateId":"` + template + `","SubscribeStatusString":"reject"}]}`, tasks.EventPopup, 2, reject},
		{"sent, strings", head + `"subscribe_msg_sent_event","List":{"TemplateId":"` + template + `","MsgID":"1864323726461255680","ErrorCode":"0","ErrorStatus":"success"}}`,
			tasks.EventSent, 0, receipt("1864323726461255680", 0, "success")},
		{"sent, numbers", head + `"subscribe_msg_sent_event","List":[{"TemplateId":"` + template + `","MsgID":1864323726461255681,"ErrorCode":0,"ErrorStatus":"success"}]}`,
			tasks.EventSent, 0, receipt("1864323726461255681", 0, "success")},
		{"sent, failed", head + `"subscribe_msg_sent_event","List":{"TemplateId":"` + template + `","MsgID":"7","ErrorCode":-1,"ErrorStatus":"failed: system"}}`,
			tasks.EventSent, 0, receipt("7", -1, "failed: system")},
		{"change, XML", xmlEvent("subscribe_msg_change_event", "SubscribeMsgChangeEvent", "<List>\n<TemplateId><![CDATA["+template+"]]></TemplateId>\n<SubscribeStatusString><![CDATA[reject]]></SubscribeStatusString>\n</List>"),
			tasks.EventChange, 0, reject},
		{"sent, XML", `<?xml version="1.0" encoding="UTF-8"?>` + xmlEvent("subscribe_msg_sent_event", "SubscribeMsgSentEvent", "<List><TemplateId><![CDATA["+template+"]]></TemplateId><MsgID>1700827132819554304</MsgID><ErrorCode>0</ErrorCode><ErrorStatus>a &lt; b &#x41;</ErrorStatus></List>"),
			tasks.EventSent, 0, receipt("1700827132819554304", 0, "a < b A")},
		{"sent without a template", head + `"subscribe_msg_sent_event","List":{"TemplateId":"?","MsgID":"7","ErrorCode":"0"}}`,
			tasks.EventSent, 0, []tasks.EventItem{{MsgID: "7"}}},
		{"card", head + `"notify_service_msg_send_result","openid":"` + openid + `","notify_code":"p1.x","notify_type":2001,"card_status":1,"fail_ret":-1004,"fail_msg":"user refuse"}`,
			tasks.EventCard, 0, card},
		{"card, XML", "<xml><FromUserName>gh_1</FromUserName><openid>" + openid + "</openid><CreateTime>1714112440</CreateTime><MsgType>event</MsgType>" +
			"<Event>notify_service_msg_send_result</Event><notify_code><![CDATA[p1.x]]></notify_code><notify_type>2001</notify_type>" +
			"<card_status>1</card_status><fail_ret>-1004</fail_ret><fail_msg><![CDATA[user refuse]]></fail_msg></xml>", tasks.EventCard, 0, card},
		{"card, texts and no openid of its own", head + `"notify_service_msg_send_result","notify_code":"p1.x","notify_type":"2001","card_status":"1","fail_ret":"-1004","fail_msg":"user refuse"}`,
			tasks.EventCard, 0, card},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, err := readPush(plainApp, []byte(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			want := reading{label: string(tc.event), result: EventQueued, leftOut: tc.leftOut, event: tasks.Event{
				App: plainApp, OpenID: openid, Name: tc.event, At: time.Unix(1714112440, 0), Source: got.event.Source, Items: tc.items,
			}}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("read %+v, want %+v", got, want)
			}
		})
	}
}

func TestReadWhatNobodyActsOn(t *testing.T) {
	t.Parallel()
	for body, label := range map[string]string{
		head + `"debug_demo","debug_str":"hello world"}`:                                         otherEvent,
		head + `"debug_demo","List":"a list of another kind"}`:                                   otherEvent,
		`{"FromUserName":"` + openid + `","MsgType":"text","Content":"hello","MsgId":1}`:         otherEvent,
		`{"FromUserName":"` + openid + `","MsgType":"text","Event":"subscribe_msg_popup_event"}`: otherEvent,
		`<xml><MsgType><![CDATA[text]]></MsgType><Content><![CDATA[</xml>]]></Content></xml>`:    otherEvent,
		`<xml><MsgType><![CDATA[event]]></MsgType><Event><![CDATA[user_enter]]></Event></xml>`:   otherEvent,
		`{}`: otherEvent,
	} {
		got, err := readPush(plainApp, []byte(body))
		if want := (reading{label: label, result: EventIgnored}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, %v of %s, want %+v", got, err, body, want)
		}
	}
}

func TestReadCardsThatNameNone(t *testing.T) {
	t.Parallel()
	const name = `"notify_service_msg_send_result"`
	for _, body := range []string{
		head + name + `}`,
		head + name + `,"notify_code":"p1.x","fail_ret":-1004,"notify_type":2001}`,
		head + name + `,"notify_code":"p1.x","fail_ret":"x","notify_type":2001,"card_status":1}`,
		head + name + `,"notify_code":"p 1","fail_ret":-1004,"notify_type":2001,"card_status":1}`,
		head + name + `,"openid":"?","notify_code":"p1.x","fail_ret":-1004,"notify_type":2001,"card_status":1}`,
		`<xml><MsgType>event</MsgType><Event>notify_service_msg_send_result</Event><n>7</n></xml>`,
	} {
		got, err := readPush(plainApp, []byte(body))
		if want := (reading{label: string(tasks.EventCard), result: EventMalformed}); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read %+v, %v of %s, want %+v", got, err, body, want)
		}
	}
}

func TestLeftOutItemsAreCounted(t *testing.T) {
	t.Parallel()
	b := newTestbed(t)
	body := strings.Replace(popupJSON, `"List":[`, `"List":[{"TemplateId":"x","SubscribeStatusString":"ban"},{},`, 1)
	const name = sealedApp + " subscribe_msg_popup_event "
	checkAcknowledged(t, b, b.do(sealedPush(t, body).request()), name+EventQueued, name+EventMalformed, name+EventMalformed)
	checkPopup(t, b.only(t), sealedApp)
	if n := strings.Count(b.logged(), "level=WARN"); n != 1 {
		t.Errorf("%d warnings, want one:\n%s", n, b.logged())
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"":                        "",
		"success":                 "success",
		"bad\xffbyte":             "badbyte",
		strings.Repeat("x", 200):  strings.Repeat("x", maxStatus),
		strings.Repeat("错", 50):   strings.Repeat("错", maxStatus/3),
		strings.Repeat("x", 128):  strings.Repeat("x", 128),
		strings.Repeat("\xff", 9): "",
	} {
		if got := cut(in); got != want || !utf8.ValidString(got) {
			t.Errorf("cut(%q) = %q, want %q", in, got, want)
		}
	}
}

// FuzzEvent reads anything. What is queued must be what a worker can act on.
func FuzzEvent(f *testing.F) {
	f.Add([]byte(popupJSON))
	f.Add([]byte(popupXML))
	for _, body := range malformed() {
		f.Add([]byte(body))
	}
	f.Add([]byte(head + `"subscribe_msg_sent_event","List":[{"TemplateId":"t","MsgID":1864323726461255681,"ErrorCode":0,"ErrorStatus":"success"}]}`))
	f.Add([]byte(`<!DOCTYPE xml [<!ENTITY e "event">]><xml><MsgType>&e;</MsgType></xml>`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := readPush(plainApp, body)
		if err != nil {
			return
		}
		if label(got.label) != got.label {
			t.Errorf("label %q", got.label)
		}
		again, err := readPush(plainApp, body)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Errorf("read %+v, and then %+v, %v", got, again, err)
		}
		if got.result == EventQueued {
			checkUsable(t, got.event)
		}
	})
}

func checkUsable(t *testing.T, e tasks.Event) {
	t.Helper()
	if e.App != plainApp || !tasks.ValidOpenID(e.OpenID) || e.At.Unix() < 1e9 || len(e.Source) != 16 || len(e.Items) == 0 {
		t.Errorf("queued %+v", e)
	}
	for _, it := range e.Items {
		choice := (it.Status == "accept" || it.Status == "reject") && tasks.ValidTemplateID(it.TemplateID) && it.MsgID == ""
		receipt := isMsgID(it.MsgID) && it.Status == "" && len(it.ErrorStatus) <= maxStatus && utf8.ValidString(it.ErrorStatus)
		if e.Name == tasks.EventCard && tasks.ValidNotifyCode(it.NotifyCode) && len(it.ErrorStatus) <= maxStatus {
			continue
		}
		if e.Name == tasks.EventSent && !receipt || e.Name != tasks.EventSent && !choice {
			t.Errorf("queued item %+v of %s", it, e.Name)
		}
	}
}
