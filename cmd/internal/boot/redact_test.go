package boot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"
)

const (
	known = "s3cr3t/of+the app" // a configured secret that URLs and JSON write differently
	token = "80_CANARY-token_of_WeChat"
)

type stringer struct{ s string }

func (s stringer) String() string { return s.s }

type valuer struct{ v any }

func (v valuer) LogValue() slog.Value { return slog.AnyValue(v.v) }

type panics struct{}

func (panics) Error() string { panic("no text") }

type answer struct {
	AccessToken string
	Expires     int
	Note        *string
	Raw         json.RawMessage
	hidden      string
}

// hostile are values that hold secrets in every shape that reaches a log.
func hostile() map[string]any {
	note := "note " + known
	self := []any{nil}
	self[0] = self
	return map[string]any{
		"text":        "it is " + known + ".",
		"query":       "https://api.weixin.qq.com/cgi-bin/message?access_token=" + token + "&x=1",
		"escaped":     "next=https%3A%2F%2Fh%2F%3Faccess_token%3D" + token,
		"json":        `{"access_token":"` + token + `","expires_in":7200}`,
		"json spaced": `{"session_key" : "` + token + `\/abc"}`,
		"json quoted": fmt.Sprintf("%q", `{"secret":"`+token+`","openid":"`+token+`"}`),
		"error":       fmt.Errorf("call: %w", &url.Error{Op: "Get", URL: "https://h/?appid=wx&secret=" + token, Err: errors.New("timeout")}),
		"joined":      errors.Join(errors.New("a "+known), errors.New("b "+url.QueryEscape(known))),
		"stringer":    stringer{known},
		"pointer":     &stringer{known},
		"bytes":       []byte("x" + known),
		"raw":         json.RawMessage(`{"appsecret":"` + token + `"}`),
		"array":       [len(known)]byte([]byte(known)),
		"valuer":      valuer{"js_code=" + token},
		"valuers":     []any{valuer{valuer{[]string{known}}}},
		"strings":     []string{"a", known},
		"map":         map[string]any{"a": map[string]string{"b": known}, known: 1, "access_token": token},
		"http header": map[string][]string{"Authorization": {"Bearer " + known}},
		"struct":      answer{AccessToken: token, Note: &note, Raw: json.RawMessage(`{"secret":"` + token + `"}`), hidden: token},
		"struct ptr":  &answer{AccessToken: token},
		"group":       slog.GroupValue(slog.String("a", known), slog.Group("b", slog.Any("c", errors.New(known)))),
		"itself":      self,
		"panics":      panics{},
		"nil error":   (*url.Error)(nil),
		"session_key": token,
		"SECRET":      []byte(token),
	}
}

func checkClean(t *testing.T, shown string) {
	t.Helper()
	for _, s := range []string{known, url.QueryEscape(known), url.PathEscape(known), token, "CANARY", "s3cr3t"} {
		if strings.Contains(shown, s) {
			t.Errorf("%q is shown in: %s", s, shown)
		}
	}
}

func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json"} {
		for name, value := range hostile() {
			t.Run(format+" "+name, func(t *testing.T) {
				t.Parallel()
				var out buffer
				log := NewLogger(&out, NewLevel("debug"), format, []string{known, "", "abc", known[:6]})
				log.Info("a line", name, value)
				log.With(name, value).WithGroup("group").Info("a line", slog.Group("inner", slog.Any(name, value)))
				switch value.(type) {
				case string, error, fmt.Stringer: // what others have made a text of
					if !sensitiveName.MatchString(name) {
						log.Info(fmt.Sprintf("in the message: %v", value))
						AsynqLogger(log, "lane").Error("asynq: ", value)
						RedisLogger(log).Printf(context.Background(), "redis: %v", value)
					}
				}
				checkClean(t, out.String())
				if !strings.Contains(out.String(), "a line") {
					t.Error("nothing is logged")
				}
			})
		}
	}
}

func TestRedactionKeepsTheRest(t *testing.T) {
	t.Parallel()
	r := newRedactor([]string{known})
	for in, want := range map[string]string{
		"GET /x?access_token=" + token + "&lang=zh_CN":     "GET /x?access_token=[redacted]&lang=zh_CN",
		`{"secret":"` + token + `","errcode":40001}`:       `{"secret":"[redacted]","errcode":40001}`,
		`say \"access_token\":\"` + token + `\",\"b\":1`:   `say \"access_token\":\"[redacted]\",\"b\":1`,
		"WXNOTIFY_APP_X_SECRET: required: no access_token": "WXNOTIFY_APP_X_SECRET: required: no access_token",
		"a=b 100% \"done\"":                                "a=b 100% \"done\"",
		"消息已发送":                                            "消息已发送",
	} {
		if got := r.text(in); got != want {
			t.Errorf("text(%q)\n got %q\nwant %q", in, got, want)
		}
	}
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, v := range []slog.Value{slog.IntValue(7), slog.BoolValue(true), slog.DurationValue(time.Second), slog.TimeValue(at), slog.Float64Value(1.5)} {
		if got := r.value(v, maxDepth); !got.Equal(v) {
			t.Errorf("%v became %v", v, got)
		}
	}
}

func TestALongerSecretLeavesNoTail(t *testing.T) {
	t.Parallel()
	if got := newRedactor([]string{"abcd", "abcdefgh"}).text("x abcdefgh y abcd z"); got != "x [redacted] y [redacted] z" {
		t.Error(got)
	}
}

func FuzzRedact(f *testing.F) {
	f.Add(`{"access_token":"`, `"}`)
	f.Add("?access_token=", "&a=b")
	r := newRedactor([]string{known})
	f.Fuzz(func(t *testing.T, before, after string) {
		if got := r.text(before + known + after); strings.Contains(got, known) && !strings.Contains(before+after, known) {
			t.Errorf("shown: %q", got)
		}
	})
}

func BenchmarkLine(b *testing.B) {
	log := NewLogger(&buffer{}, NewLevel("info"), "json", []string{known, "another-secret"})
	for b.Loop() {
		log.Info("sent", "app", "wx1234567890abcdef", "id", "0197b9a0-0000-7000-8000-000000000000", "kind", "subscribe", "errcode", 0)
	}
}
