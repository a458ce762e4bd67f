package wechat

import (
	"net/http"
	"net/url"
	"testing"
)

func TestSendTemplate(t *testing.T) {
	t.Parallel()
	c, requests := recording(t, "/private", `{"errcode":0,"errmsg":"ok","template_id":"TPL_1","msgid":"`+testMsgID+`"}`)
	got, err := c.SendTemplate(t.Context(), testToken, testTemplateMessage())
	if err != nil || got.MsgID != testMsgID {
		t.Fatalf("got %v, %v", got, err)
	}
	r := <-requests
	body := `{"touser":"oOPENID+user&1","template_id":"TPL_1","page":"pages/bill?user=4711","form_id":"f0rm1d&\"<x>+/=",` +
		`"data":{"keyword1":{"value":"张三 owes 42 & more"},"keyword2":{"value":"¥5"}},"emphasis_keyword":"keyword1.DATA"}`
	if r.body != body {
		t.Errorf("body %s\nwant %s", r.body, body)
	}
	if r.method != http.MethodPost || r.target != "/private/cgi-bin/message/wxopen/template/send?access_token="+url.QueryEscape(testToken) {
		t.Errorf("asked %s %s", r.method, r.target)
	}
	if r.length != int64(len(body)) || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("length %d, header %v", r.length, r.header)
	}
}

func TestSendTemplateLeavesOut(t *testing.T) {
	t.Parallel()
	empty := ""
	tests := []struct {
		name string
		m    TemplateMessage
		want string
	}{
		{"all that may be", TemplateMessage{ToUser: "o1", TemplateID: "T", FormID: "f"}, `{"touser":"o1","template_id":"T","form_id":"f"}`},
		{"the jump", TemplateMessage{ToUser: "o1", TemplateID: "T", FormID: "f", Page: &empty, Data: map[string]string{}},
			`{"touser":"o1","template_id":"T","page":"","form_id":"f"}`},
	}
	for _, tt := range tests {
		c, requests := recording(t, "", `{"errcode":0}`)
		if _, err := c.SendTemplate(t.Context(), "t", tt.m); err != nil {
			t.Errorf("%s: %v", tt.name, err)
		}
		if r := <-requests; r.body != tt.want {
			t.Errorf("%s: body %s", tt.name, r.body)
		}
	}
}
