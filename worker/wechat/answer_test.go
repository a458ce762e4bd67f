package wechat

import (
	"errors"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestSendAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		status int
		body   string
		class  errcode.Class
		code   int
		msgID  string
	}{
		{"accepted", 200, `{"errcode":0,"errmsg":"ok"}`, errcode.Accepted, 0, ""},
		{"numeric msgid", 200, `{"errcode":0,"msgid":` + testMsgID + `}`, errcode.Accepted, 0, testMsgID},
		{"msgid as a string", 200, `{"errcode":"0","msgid":"` + testMsgID + `"}`, errcode.Accepted, 0, testMsgID},
		{"msgid alone", 200, `{"msgid":` + testMsgID + `}`, errcode.Accepted, 0, testMsgID},
		{"odd msgid", 200, `{"errcode":0,"msgid":1.9e18}`, errcode.Accepted, 0, ""},
		{"msgid zero", 200, `{"errcode":0,"msgid":0}`, errcode.Accepted, 0, ""},
		{"odd errmsg", 200, `{"errcode":0,"errmsg":{"a":[1]}}`, errcode.Accepted, 0, ""},
		{"other success status", 202, `{"errcode":0}`, errcode.Accepted, 0, ""},
		{"padding", 200, " {\"errcode\":0}\r\n", errcode.Accepted, 0, ""},
		{"template_id beside it", 200, `{"errcode":0,"errmsg":"ok","template_id":"TPL_1"}`, errcode.Accepted, 0, ""},
		{"template_id alone", 200, `{"template_id":"TPL_1"}`, errcode.Unknown, 0, ""},
		{"used form_id", 200, `{"errcode":41029,"errmsg":"form id used"}`, errcode.Invalid, 41029, ""},
		{"retired", 200, `{"errcode":45103,"errmsg":"This API has been unsupported"}`, errcode.Misconfigured, 45103, ""},
		{"errcode", 200, `{"errcode":43101,"errmsg":"user refuse to accept the msg"}`, errcode.Refused, 43101, ""},
		{"errcode as a string", 200, `{"errcode":"47003","errmsg":7}`, errcode.Invalid, 47003, ""},
		{"negative errcode", 200, `{"errcode":-1}`, errcode.Transient, -1, ""},
		{"errcode beside a msgid", 200, `{"errcode":43108,"msgid":5}`, errcode.Transient, 43108, ""},
		{"errcode in an error page", 503, `{"errcode":45009}`, errcode.Exhausted, 45009, ""},
		{"errcode in a refusal", 412, `{"errcode":40001}`, errcode.Token, 40001, ""},
		{"unlisted errcode", 200, `{"errcode":12345}`, errcode.Unlisted, 12345, ""},
		{"success in an error page", 500, `{"errcode":0,"msgid":5}`, errcode.Unknown, 0, ""},
		{"success in a refusal", 403, `{"errcode":0}`, errcode.Transient, 0, ""},
		{"other success status, nothing said", 204, ``, errcode.Unknown, 0, ""},
		{"nothing said", 200, `{}`, errcode.Unknown, 0, ""},
		{"errmsg alone", 200, `{"errmsg":"ok"}`, errcode.Unknown, 0, ""},
		{"null", 200, `null`, errcode.Unknown, 0, ""},
		{"null errcode", 200, `{"errcode":null}`, errcode.Unknown, 0, ""},
		{"null errcode and msgid", 200, `{"errcode":null,"msgid":5}`, errcode.Accepted, 0, "5"},
		{"odd errcode beside a msgid", 200, `{"errcode":{},"msgid":5}`, errcode.Unknown, 0, ""},
		{"broken errcode", 200, `{"errcode":0.5}`, errcode.Unknown, 0, ""},
		{"list", 200, `[{"errcode":0}]`, errcode.Unknown, 0, ""},
		{"cut", 200, `{"errcode":0`, errcode.Unknown, 0, ""},
		{"two answers", 200, `{"errcode":0}{"errcode":0}`, errcode.Unknown, 0, ""},
		{"text", 200, `ok`, errcode.Unknown, 0, ""},
		{"429 page", 429, `slow down`, errcode.Transient, 0, ""},
		{"499 page", 499, ``, errcode.Unknown, 0, ""},
		{"504 page", 504, `<html>`, errcode.Unknown, 0, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := answering(t, tt.status, tt.body)
			check := func(api string, got SendResult, err error) {
				if tt.class == errcode.Accepted {
					if err != nil || got.MsgID != tt.msgID {
						t.Errorf("%s: got %q, %v, want %q", api, got.MsgID, err, tt.msgID)
					}
					return
				}
				failure, ok := errors.AsType[*Error](err)
				if !ok {
					t.Fatalf("%s: got %v, want an *Error", api, err)
				}
				if failure.Class != tt.class || failure.Code != tt.code || failure.HTTPStatus != tt.status || !failure.Written || failure.API != api {
					t.Errorf("got %+v, want class %s, code %d", *failure, tt.class, tt.code)
				}
			}
			got, err := c.SendSubscribe(t.Context(), testToken, testMessage())
			check(errcode.APISubscribeSend, got, err)
			got, err = c.SendTemplate(t.Context(), testToken, testTemplateMessage())
			check(errcode.APITemplateSend, got, err)
		})
	}
}

func TestTokenAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		class      errcode.Class
		text       string
	}{
		{"wrong secret", `{"errcode":40001,"errmsg":"invalid credential"}`, errcode.Misconfigured, "errcode 40001: invalid credential"},
		{"no token", `{"expires_in":7200}`, errcode.Unknown, "no usable access_token"},
		{"errcode 0 and no token", `{"errcode":0,"errmsg":"ok"}`, errcode.Unknown, "no usable access_token"},
		{"empty token", `{"access_token":"","expires_in":7200}`, errcode.Unknown, "no usable access_token"},
		{"token is no string", `{"access_token":true,"expires_in":7200}`, errcode.Unknown, "no usable access_token"},
		{"token with a space", `{"access_token":"a b","expires_in":7200}`, errcode.Unknown, "no usable access_token"},
		{"endless token", `{"access_token":"` + strings.Repeat("a", maxToken+1) + `","expires_in":7200}`, errcode.Unknown, "no usable access_token"},
		{"the answer to a send", `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`, errcode.Unknown, "no usable access_token"},
		{"no life", `{"access_token":"new-token"}`, errcode.Unknown, "no usable expires_in"},
		{"zero life", `{"access_token":"new-token","expires_in":0}`, errcode.Unknown, "no usable expires_in"},
		{"negative life", `{"access_token":"new-token","expires_in":-7200}`, errcode.Unknown, "no usable expires_in"},
		{"endless life", `{"access_token":"new-token","expires_in":99999999999}`, errcode.Unknown, "no usable expires_in"},
		{"token beside an errcode", `{"errcode":-1,"errmsg":"busy with new-token","access_token":"new-token"}`, errcode.Transient, "busy with [redacted]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := answering(t, 200, tt.body)
			for _, call := range calls[:2] {
				err := call.do(t.Context(), c)
				failure, ok := errors.AsType[*Error](err)
				if !ok || failure.Class != tt.class || failure.API != call.api || !strings.Contains(err.Error(), tt.text) || strings.Contains(err.Error(), "new-token") {
					t.Errorf("%s: got %v, want class %s and %q", call.api, err, tt.class, tt.text)
				}
			}
		})
	}
}

func TestLongestToken(t *testing.T) {
	t.Parallel()
	want := strings.Repeat("a", maxToken)
	got, err := answering(t, 200, `{"access_token":"`+want+`","expires_in":1}`).Token(t.Context(), testCredential())
	if err != nil || got.Value != want {
		t.Error(err)
	}
}

// The short way must see what the long one sees.
func TestPlainlyAccepted(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`:  "1988810812324364291",
		`{"errcode":0,"errmsg":"ok","msgid":19888108123243642911}`: "",
		`{"errcode":0,"errmsg":"ok","msgid":}`:                     "",
		`{"errcode":0,"errmsg":"ok","msgid":1e9}`:                  "",
		`{"errcode":0,"errmsg":"ok","msgid":1,"errcode":40003}`:    "",
		`{"errcode":40003,"errmsg":"ok","msgid":1}`:                "",
		``: "",
	} {
		a, ok := plainlyAccepted(200, []byte(body))
		if ok != (want != "") || ok && a.msgID() != want {
			t.Errorf("%s: %+v %v", body, a, ok)
		}
	}
	if _, ok := plainlyAccepted(502, []byte(`{"errcode":0,"errmsg":"ok","msgid":1}`)); ok {
		t.Error("an error page is no acceptance")
	}
}
