package wechat

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestSendDevice(t *testing.T) {
	t.Parallel()
	c, requests := recording(t, "/private", `{"errcode":0,"errmsg":"ok"}`)
	page := "pages/device?sn=1"
	got, err := c.SendDevice(t.Context(), testToken, DeviceMessage{
		ToOpenIDs: []string{"o1", "o2"}, SN: "SN-1", ModelID: "M", TemplateID: "T", Page: &page, Data: map[string]string{"enum_string1": "1"},
	})
	if err != nil || got.MsgID != "" {
		t.Fatalf("got %v, %v", got, err)
	}
	r := <-requests
	const body = `{"to_openid_list":["o1","o2"],"sn":"SN-1","modelId":"M","model_id":"M","template_id":"T","page":"pages/device?sn=1",` +
		`"miniprogram_state":"formal","lang":"zh_CN","data":{"enum_string1":{"value":"1"}}}`
	if r.body != body || r.method != http.MethodPost || r.target != "/private/cgi-bin/message/device/subscribe/send?access_token="+url.QueryEscape(testToken) {
		t.Errorf("asked %s %s\n%s\nwant %s", r.method, r.target, r.body, body)
	}
}

func TestCardsAreEncodedTwice(t *testing.T) {
	t.Parallel()
	card := Card{OpenID: "o1", NotifyType: 2010, NotifyCode: "4200"}
	c, requests := recording(t, "", `{"errcode":0,"errmsg":"ok"}`)
	content := json.RawMessage(`{"cur_status":1,"seat":"3车 \"A\" & B"}`)
	if err := c.SetUserNotify(t.Context(), testToken, card, content, json.RawMessage(`{"pay_amount":1}`)); err != nil {
		t.Fatal(err)
	}
	const head = `{"openid":"o1","notify_type":2010,"notify_code":"4200",`
	r := <-requests
	if want := head + `"content_json":"{\"cur_status\":1,\"seat\":\"3车 \\\"A\\\" & B\"}","check_json":"{\"pay_amount\":1}"}`; r.body != want {
		t.Errorf("body %s\nwant %s", r.body, want)
	}
	if path, _, _ := strings.Cut(r.target, "?"); path != "/wxa/set_user_notify" {
		t.Errorf("asked %s", path)
	}
	if err := c.SetUserNotify(t.Context(), testToken, card, json.RawMessage(`{"cur_status":2}`), nil); err != nil {
		t.Fatal(err)
	}
	if r, want := <-requests, head+`"content_json":"{\"cur_status\":2}"}`; r.body != want {
		t.Errorf("body %s\nwant %s", r.body, want)
	}
	if err := c.SetUserNotifyExt(t.Context(), testToken, card, json.RawMessage(`{"a":[1]}`)); err != nil {
		t.Fatal(err)
	}
	r = <-requests
	if path, _, _ := strings.Cut(r.target, "?"); path != "/wxa/set_user_notifyext" || r.body != head+`"ext_json":"{\"a\":[1]}"}` {
		t.Errorf("asked %s with %s", path, r.body)
	}
}

func TestUserNotify(t *testing.T) {
	t.Parallel()
	expires := time.Unix(1700000000, 0)
	for answer, want := range map[string]CardInfo{
		`{"notify_type":2001,"content_json":"{\"cur_status\":2,\"x\":\"y\"}","code_state":0,"code_expire_time":1700000000}`: {Status: 2, Expires: expires},
		`{"content_json":"","code_state":10,"code_expire_time":"1700000000"}`:                                               {Status: -1, State: CodeRefused, Expires: expires},
		`{"content_json":"no JSON"}`: {Status: -1},
		`{"content_json":{"cur_status":3},"code_state":2,"code_expire_time":[]}`: {Status: 3, State: CodeAbnormal},
	} {
		c, requests := recording(t, "", `{"errcode":0,"errmsg":"ok","notify_info":`+answer+`}`)
		got, err := c.UserNotify(t.Context(), testToken, Card{OpenID: "o1", NotifyType: 2001, NotifyCode: "c"})
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", answer, got, err, want)
		}
		if r := <-requests; r.body != `{"openid":"o1","notify_type":2001,"notify_code":"c"}` {
			t.Errorf("body %s", r.body)
		}
	}
	c, _ := recording(t, "", `{"errcode":0,"errmsg":"ok"}`)
	_, err := c.UserNotify(t.Context(), testToken, Card{})
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Class != errcode.Unknown {
		t.Errorf("an answer without notify_info: %v", err)
	}
}

func TestDevicesAndCardsPrintNothing(t *testing.T) {
	t.Parallel()
	for _, v := range []any{testDeviceMessage(), testCard()} {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		noLeak(t, "a message", fmt.Sprintf("%v %+v %#v %d %s", v, v, v, v, text))
	}
}
