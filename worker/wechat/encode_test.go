package wechat

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func FuzzAppendString(f *testing.F) {
	for _, s := range []string{"", "thing1", "a&b<c>d", "\"\\/\n\r\t\b\x00\x1f\x7f", "张三 🎉 \u2028", "a\xff\xc0\xafb", "\ufffd"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := appendString(nil, s)
		var back string
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatalf("%q gives %s: %v", s, got, err)
		}
		if want := string([]rune(s)); back != want {
			t.Errorf("%q gives %s, which reads %q, want %q", s, got, back, want)
		}
		for _, escape := range []string{`\u0026`, `\u003c`, `\u003e`} {
			if bytes.Contains(got, []byte(escape)) && !strings.Contains(s, escape[1:]) {
				t.Errorf("%q gives %s", s, got)
			}
		}
	})
}

func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		`{"errcode":0,"msgid":1988810812324364291}`, `{"errcode":"43101","errmsg":"a\u0000\"b rid: 61725984-6126f6f9-040f19c4"}`,
		`{"access_token":"t","expires_in":7200}`, `{"errcode":1e999}`, `[]`, ``, `{"errmsg":"tok+en tok%2Ben"}`,
		`{"openid":"oUser1","session_key":"tok+en"}`, `{"errcode":40029,"errmsg":"oUser2","openid":"oUser2"}`, `{"data":[{"priTmplId":"T","type":"2","keywordEnumValueList":[{"keywordCode":1,"enumValueList":[null,{}]}]},7]}`,
	} {
		f.Add([]byte(s))
	}
	r := request{api: "subscribe_send", private: redactor{secrets: [3]string{"tok+en", "oUser1"}}, missing: missingAcceptance}
	f.Fuzz(func(t *testing.T, body []byte) {
		a, failure := r.judge(200, body)
		_, _ = readTemplates(a.Data)
		if failure == nil {
			return
		}
		for _, secret := range []string{"tok+en", "tok%2ben", "ouser1"} {
			if strings.Contains(strings.ToLower(failure.Error()), secret) {
				t.Errorf("%s holds %s", failure, secret)
			}
		}
		if len([]rune(failure.Message)) > maxMessage || failure.Class == "" {
			t.Errorf("class %q, message %q", failure.Class, failure.Message)
		}
	})
}
