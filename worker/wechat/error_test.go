package wechat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestErrorTexts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, errmsg, message, rid, detail string
	}{
		{"plain", "user refuse to accept the msg rid: 61725984-6126f6f9-040f19c4",
			"user refuse to accept the msg", "61725984-6126f6f9-040f19c4", "user refuse to accept the msg"},
		{"value", "argument invalid! data.character_string13.value rid: 61725984-6126f6f9-040f19c4",
			"argument invalid! data.character_string13.value", "61725984-6126f6f9-040f19c4", "data.character_string13.value"},
		{"address", "invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist rid: 61725984-6126f6f9-040f19c4",
			"invalid ip 1.2.3.4 ipv6 ::ffff:1.2.3.4, not in whitelist", "61725984-6126f6f9-040f19c4", "1.2.3.4"},
		{"address of six", "invalid ip ::ffff:5.6.7.8, not in whitelist",
			"invalid ip ::ffff:5.6.7.8, not in whitelist", "", "::ffff:5.6.7.8"},
		{"rid in the middle", "before RID:61725984-6126f6f9-040f19c4 after",
			"before after", "61725984-6126f6f9-040f19c4", "before after"},
		{"old hints", "invalid appsecret, view more at http://t.cn/LEEr, hints: [ req_id: abc ]",
			"invalid appsecret, view more at http://t.cn/LEEr, hints: [ req_id: abc ]", "", "invalid appsecret, view more at http://t.cn/LEEr, hints: [ req_id: abc ]"},
		{"control characters", "a\x00b\x1b[31m\r\nlevel=ERROR\tc\u202e", "ab[31m level=ERROR c", "", "ab[31m level=ERROR c"},
		{"another call's credentials", "GET /x?appid=1&secret=abc failed, access_token%3Dxyz&b", "GET /x failed, [redacted]&b", "", "GET /x failed, [redacted]&b"},
		{"empty", "", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			message, rid := redactor{}.clean(tt.errmsg)
			if message != tt.message || rid != tt.rid {
				t.Errorf("got %q, rid %q", message, rid)
			}
			if got := (&Error{Message: message}).Detail(); got != tt.detail {
				t.Errorf("detail %q", got)
			}
		})
	}
}

func TestErrorString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		err  Error
		want string
	}{
		{Error{API: "token", Code: 40164, Message: "not in whitelist", RID: "1-2-3", Class: errcode.Misconfigured, Written: true},
			"wechat: token: errcode 40164: not in whitelist (misconfigured, rid 1-2-3)"},
		{Error{API: "subscribe_send", Message: "canceled", Class: errcode.Transient},
			"wechat: subscribe_send: canceled (transient, not written)"},
	}
	for _, tt := range tests {
		if got := tt.err.Error(); got != tt.want {
			t.Errorf("got %s, want %s", got, tt.want)
		}
	}
}

func TestMessageIsBounded(t *testing.T) {
	t.Parallel()
	message, rid := redactor{secrets: [3]string{"机密"}}.clean(strings.Repeat("消息", 99) + "机密机密机密 rid: 61725984-6126f6f9-040f19c4")
	if n := utf8.RuneCountInString(message); n > maxMessage {
		t.Errorf("%d characters", n)
	}
	if strings.Contains(message, "机") || rid != "61725984-6126f6f9-040f19c4" {
		t.Errorf("got %q, rid %q", message, rid)
	}
}

func TestRedaction(t *testing.T) {
	t.Parallel()
	r := redactor{
		secrets: [3]string{"tok+en/1", "oUser"},
		content: map[string]string{"thing1": "Alice Smith", "name2": "Alice", "number3": "5"},
		page:    "pages/a?b=c d",
	}
	tests := []struct{ name, in, want string }{
		{"as it is", "bad tok+en/1!", "bad [redacted]!"},
		{"twice", "tok+en/1tok+en/1", "[redacted][redacted]"},
		{"other case", "TOK+EN/1 OUSER", "[redacted] [redacted]"},
		{"in a query", "tok%2Ben%2F1 tok%2ben%2f1", "[redacted] [redacted]"},
		{"in a path", "tok+en%2F1", "[redacted]"},
		{"in base64", "dG9rK2VuLzE= b1VzZXI", "[redacted]= [redacted]"},
		{"split by a control character", "tok\x00+en/1", "[redacted]"},
		{"content", "Alice Smith, alice, 5", "[redacted], [redacted], 5"},
		{"page", "no pages/a?b=c d here", "no [redacted] here"},
		{"nothing private", "argument invalid! data.thing1.value", "argument invalid! data.thing1.value"},
	}
	for _, tt := range tests {
		if got, _ := r.clean(tt.in); got != tt.want {
			t.Errorf("%s: got %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestPrintingShowsNothingPrivate(t *testing.T) {
	t.Parallel()
	values := []any{
		testCredential(), AccessToken{testToken, time.Hour}, testMessage(), testTemplateMessage(), Session{testOpenID},
		struct{ A Credential }{testCredential()}, []AccessToken{{testToken, time.Hour}},
	}
	for _, v := range values {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("value", "v", v)
		slog.New(slog.NewJSONHandler(&log, nil)).Info("value", "v", v)
		object, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{log.String(), string(object), fmt.Sprintf("%v %+v %#v %s %q", v, v, v, v, v)} {
			noLeak(t, fmt.Sprintf("%T", v), text)
		}
	}
}
