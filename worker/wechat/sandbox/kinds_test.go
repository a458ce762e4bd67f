package sandbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

// body writes a JSON body, of which change replaces or, with nil, removes members.
func body(b *bundle, fields, change map[string]any) string {
	b.Helper()
	for name, value := range change {
		if fields[name] = value; value == nil {
			delete(fields, name)
		}
	}
	text, err := json.Marshal(fields)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

func (b *bundle) device(token string, change map[string]any) reply {
	b.Helper()
	return b.do("POST", "/cgi-bin/message/device/subscribe/send?access_token="+token, body(b, map[string]any{
		"to_openid_list": []string{testUser, "oUser2"}, "sn": "SN-1", "modelId": "M", "model_id": "M", "template_id": testTpl,
		"page": "pages/index/index", "miniprogram_state": "formal", "lang": "zh_CN",
		"data": map[string]any{"thing1": map[string]any{"value": "1"}, "character_string2": map[string]any{"value": "d1"}},
	}, change))
}

func TestDeviceMessagesAreJudged(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.s.SetDevice(testApp, Device{SN: "SN-2", ModelID: "M2"}); err != nil {
		t.Fatal(err)
	}
	if err := b.s.SetUser(testApp, User{OpenID: "oRefuses", Refused: true}); err != nil {
		t.Fatal(err)
	}
	token := b.stable(false).AccessToken
	b.wantCode(b.device(token, nil), 0)
	many := make([]string, 21)
	for i := range many {
		many[i] = "o" + strconv.Itoa(i)
	}
	for _, c := range []struct {
		code   int
		change map[string]any
	}{
		{0, map[string]any{"modelId": nil}},
		{0, map[string]any{"model_id": nil}},
		{0, map[string]any{"sn": "SN-2", "modelId": "M2"}},
		{40032, map[string]any{"to_openid_list": nil}},
		{40032, map[string]any{"to_openid_list": many}},
		{9800001, map[string]any{"sn": strings.Repeat("s", 129)}},
		{9800002, map[string]any{"sn": "S N"}},
		{9800002, map[string]any{"sn": nil}},
		{9800003, map[string]any{"modelId": nil, "model_id": nil}},
		{9800006, map[string]any{"sn": "SN-2"}},
		{40003, map[string]any{"to_openid_list": []string{testUser, "oNobody"}}},
		{40037, map[string]any{"template_id": "other"}},
		{41030, map[string]any{"page": "pages/none"}},
		{47001, map[string]any{"lang": "de"}},
		{47001, map[string]any{"sn": 7}},
		{47003, map[string]any{"data": map[string]any{"thing1": map[string]any{"value": "1"}}}},
		{43101, map[string]any{"to_openid_list": []string{testUser, "oRefuses"}}},
		{43107, map[string]any{"template_id": "TPLBLOCKED", "data": map[string]any{"thing1": map[string]any{"value": "1"}}}},
	} {
		if got := b.device(token, c.change); got.Errcode != c.code {
			t.Errorf("%v: %s, want %d", c.change, got.text, c.code)
		}
	}
	b.wantCode(b.device("", nil), 41001)
	b.wantCode(b.do("GET", "/cgi-bin/message/device/subscribe/send?access_token="+token, ""), 43002)
	if n := b.s.Report(true).Apps[testApp].AcceptedByID["d1"]; n != 4 {
		t.Errorf("%d messages accepted by their id, want 4", n)
	}
}

// card makes one of the calls about a card of testUser.
func (b *bundle) card(call, token string, notifyType int, code string, change map[string]any) reply {
	b.Helper()
	return b.do("POST", "/wxa/"+call+"?access_token="+token, body(b, map[string]any{
		"openid": testUser, "notify_type": notifyType, "notify_code": code,
	}, change))
}

func state(n int) map[string]any {
	return map[string]any{"content_json": `{"cur_status":` + strconv.Itoa(n) + `,"character_string2":"card-` + strconv.Itoa(n) + `"}`}
}

func paid(n int) map[string]any {
	m := state(n)
	m["check_json"] = `{"pay_amount":1,"pay_time":1}`
	return m
}

func TestLifeOfACard(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	const train = 2010
	if err := b.s.SetCard(testApp, Card{OpenID: testUser, NotifyType: train, NotifyCode: "n1", KnownIn: Duration(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	token := b.stable(false).AccessToken
	set := func(change map[string]any, code int) {
		t.Helper()
		b.wantCode(b.card("set_user_notify", token, train, "n1", change), code)
	}
	set(paid(1), 85437)
	b.clock.advance(time.Minute)
	set(state(1), 85433) // a payment's activation names the payment
	set(paid(1), 0)
	set(state(1), 85448)
	set(state(0), 85439)
	set(state(3), 0)
	b.wantCode(b.card("set_user_notifyext", token, train, "n1", map[string]any{"ext_json": `{"a":1}`}), 0)
	b.wantCode(b.card("set_user_notifyext", token, train, "n1", map[string]any{"ext_json": "a"}), 85470)
	got := b.card("get_user_notify", token, train, "n1", nil)
	b.wantCode(got, 0)
	until := b.clock.now().Add(30 * 24 * time.Hour).Unix()
	for _, part := range []string{`"content_json":"{\"cur_status\":3`, `"code_state":0`, `"code_expire_time":` + strconv.FormatInt(until, 10)} {
		if !strings.Contains(got.text, part) {
			t.Errorf("%s lacks %s", got.text, part)
		}
	}
	b.clock.advance(31 * 24 * time.Hour)
	token = b.stable(false).AccessToken
	set(state(4), 85438)
	r := b.s.Report(true).Apps[testApp]
	if r.AcceptedByID["card-1"] != 1 || r.AcceptedByID["card-3"] != 1 || r.Accepted != 3 {
		t.Errorf("%+v", r)
	}
}

func TestCardsAreJudged(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for code, c := range map[string]Card{
		"good": {}, "banned": {Banned: true}, "locked": {Locked: true}, "over": {ExpiresIn: Duration(-time.Second)},
	} {
		c.OpenID, c.NotifyType, c.NotifyCode = testUser, 1001, code
		if err := b.s.SetCard(testApp, c); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.s.SetCard(testApp, Card{OpenID: testUser, NotifyType: 1003, NotifyCode: "good", Denied: true}); err != nil {
		t.Fatal(err)
	}
	token := b.stable(false).AccessToken
	for _, c := range []struct {
		code, notifyType int
		card             string
		change           map[string]any
	}{
		{40003, 1001, "good", map[string]any{"openid": "oNobody"}},
		{85437, 1001, "good", map[string]any{"openid": "oUser2"}},
		{85434, 1002, "good", state(1)},
		{85461, 1003, "good", state(1)},
		{85437, 1001, "unknown", state(1)},
		{85436, 1001, "banned", state(1)},
		{85449, 1001, "locked", state(1)},
		{85438, 1001, "over", state(1)},
		{85435, 1001, "good", nil},
		{85435, 1001, "good", map[string]any{"content_json": "{"}},
		{47001, 1001, "good", map[string]any{"content_json": map[string]any{"cur_status": 1}}},
		{85440, 1001, "good", map[string]any{"content_json": "{}"}},
		{85441, 1001, "good", map[string]any{"content_json": `{"cur_status":"x"}`}},
		{85442, 1001, "good", map[string]any{"content_json": `{"cur_status":1,"a":"forbidden"}`}},
		{0, 1001, "good", state(1)},
	} {
		if got := b.card("set_user_notify", token, c.notifyType, c.card, c.change); got.Errcode != c.code {
			t.Errorf("%d %s %v: %s, want %d", c.notifyType, c.card, c.change, got.text, c.code)
		}
	}
	for _, c := range []Card{{}, {OpenID: testUser, NotifyType: 1002, NotifyCode: "x"}, {OpenID: testUser, NotifyType: 1001}} {
		if err := b.s.SetCard(testApp, c); err == nil {
			t.Errorf("%+v was taken", c)
		}
	}
}

func TestAnyCardCode(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AnyCardCode = true })
	token := b.stable(false).AccessToken
	b.wantCode(b.card("set_user_notify", token, 2001, "any", paid(1)), 0)
	b.clock.advance(25 * time.Hour)
	token = b.stable(false).AccessToken
	b.wantCode(b.card("set_user_notify", token, 2001, "any", state(2)), 0)
	b.wantCode(b.card("set_user_notify", token, 2001, "", paid(1)), 85437)
}
