package wechat

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestCodeToSession(t *testing.T) {
	t.Parallel()
	// recording answers as text/plain, as this call is reported to.
	c, requests := recording(t, "", `{"session_key":"c2Vzc2lvbg==","openid":"oOPENID_user-1","unionid":"u1"}`)
	got, err := c.CodeToSession(t.Context(), testCredential(), testCode)
	if want := (Session{OpenID: "oOPENID_user-1"}); err != nil || got != want {
		t.Fatalf("got %q, %v", got.OpenID, err)
	}
	r := <-requests
	want := "/sns/jscode2session?appid=wx0123456789abcdef&secret=" + url.QueryEscape(testSecret) +
		"&js_code=" + url.QueryEscape(testCode) + "&grant_type=authorization_code"
	if r.method != http.MethodGet || r.target != want || r.body != "" {
		t.Errorf("asked %+v", r)
	}
}

func TestCodeToSessionAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		class      errcode.Class
		code       int
	}{
		{"success", `{"openid":"o1","session_key":"k"}`, errcode.Accepted, 0},
		{"errcode 0", `{"errcode":0,"errmsg":"ok","openid":"o1","session_key":null}`, errcode.Accepted, 0},
		{"odd session_key", `{"openid":"o1","session_key":[{"a":1}]}`, errcode.Accepted, 0},
		{"errcode 0 and no openid", `{"errcode":0,"errmsg":"ok","session_key":"k"}`, errcode.Unknown, 0},
		{"the answer to a send", `{"errcode":0,"errmsg":"ok","msgid":5}`, errcode.Unknown, 0},
		{"empty openid", `{"openid":"","session_key":"k"}`, errcode.Unknown, 0},
		{"openid is no string", `{"openid":4711}`, errcode.Unknown, 0},
		{"openid with a blank", `{"openid":"o 1"}`, errcode.Unknown, 0},
		{"endless openid", `{"openid":"` + strings.Repeat("o", maxOpenID+1) + `"}`, errcode.Unknown, 0},
		{"busy", `{"errcode":-1,"errmsg":"system error"}`, errcode.Transient, -1},
		{"bad code", `{"errcode":40029,"errmsg":"invalid code"}`, errcode.Invalid, 40029},
		{"used code", `{"errcode":40163,"errmsg":"code been used"}`, errcode.Invalid, 40163},
		{"blocked user", `{"errcode":40226,"errmsg":"code blocked"}`, errcode.Refused, 40226},
		{"too often", `{"errcode":45011}`, errcode.Throttled, 45011},
		{"wrong secret", `{"errcode":40001}`, errcode.Misconfigured, 40001},
		{"wrong appid", `{"errcode":40013}`, errcode.Misconfigured, 40013},
		{"invalid secret", `{"errcode":40125}`, errcode.Misconfigured, 40125},
		{"address not listed", `{"errcode":40164}`, errcode.Misconfigured, 40164},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, 200, tt.body).CodeToSession(t.Context(), testCredential(), testCode)
			if tt.class == errcode.Accepted {
				if err != nil || got.OpenID != "o1" {
					t.Errorf("got %q, %v", got.OpenID, err)
				}
				return
			}
			failure, ok := errors.AsType[*Error](err)
			if !ok || failure.Class != tt.class || failure.Code != tt.code || failure.API != errcode.APICodeToSession {
				t.Errorf("got %v, want class %s, code %d", err, tt.class, tt.code)
			}
		})
	}
}

// What an answer brings beside its errcode stays private as well.
func TestCodeToSessionHidesTheAnswer(t *testing.T) {
	t.Parallel()
	for _, member := range []string{"openid", "session_key"} {
		body, err := json.Marshal(map[string]any{
			"errcode": 40029, member: testSession, "errmsg": "invalid code " + testSession + " rid: 61725984-6126f6f9-040f19c4",
		})
		if err != nil {
			t.Fatal(err)
		}
		_, err = answering(t, 200, string(body)).CodeToSession(t.Context(), testCredential(), testCode)
		failure, ok := errors.AsType[*Error](err)
		if !ok || failure.Code != 40029 || failure.Message == "" {
			t.Errorf("%s: got %v", member, err)
		}
		assertNoLeak(t, err)
	}
}
