package errcode_test

import (
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// golden is the outcome of every errcode WeChat's pages and known reports name,
// written out so that a reader can review it.
var golden = map[errcode.Class][]int{
	errcode.Accepted:  {0},
	errcode.Token:     {40001, 40014, 42001},
	errcode.Transient: {-1, 20001, 43108, 43117, 85431, 85437, 85449, 200001},
	errcode.Throttled: {45011},
	errcode.Exhausted: {45009, 48006},
	errcode.Refused:   {40226, 40241, 43101, 85436, 85438, 85448},
	errcode.Invalid: {
		404, 20002, 40003, 40029, 40032, 40033, 40037, 40163, 40400,
		41001, 41028, 41029, 41030, 43116, 44002, 45168, 47001, 47003, 50002,
		76001, 76002, 76003, 76004, 76021, 76022,
		85433, 85434, 85435, 85439, 85440, 85441, 85442, 85443,
		85444, 85445, 85446, 85447, 85470, 85471,
		200002, 200013, 200014, 200016, 200017, 200018, 200019, 200020, 200021, 200022,
		9800001, 9800002, 9800003, 9800006,
	},
	errcode.Misconfigured: {
		40002, 40013, 40125, 40164, 40243, 41002, 41004, 43002, 43106, 43107,
		45103, 45109, 48001, 48017, 50004, 50007,
		85461, 85462, 89501, 89503, 89506, 89507,
		200011, 200012, 200100,
	},
}

func TestEveryCodeHasItsClass(t *testing.T) {
	t.Parallel()
	want := map[int]errcode.Class{}
	for class, codes := range golden {
		for _, code := range codes {
			want[code] = class
			if got := errcode.Lookup(code); got.Class != class || got.Code != code {
				t.Errorf("Lookup(%d) = code %d, class %s, want class %s", code, got.Code, got.Class, class)
			}
			if !errcode.Known(code) {
				t.Errorf("Known(%d) = false", code)
			}
		}
	}
	for _, e := range errcode.All() {
		if _, ok := want[e.Code]; !ok {
			t.Errorf("code %d is in the table and not in the golden one", e.Code)
		}
	}
}

func TestLookupForTokenCalls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		api  string
		code int
		want errcode.Class
	}{
		{errcode.APIToken, 40001, errcode.Misconfigured},
		{errcode.APIStableToken, 40001, errcode.Misconfigured},
		{errcode.APISubscribeSend, 40001, errcode.Token},
		{errcode.APIToken, 45009, errcode.Exhausted},
		{errcode.APIStableToken, -1, errcode.Transient},
		{errcode.APISubscribeSend, 43101, errcode.Refused},
		{errcode.APICodeToSession, 40001, errcode.Misconfigured},
		{errcode.APICodeToSession, 40013, errcode.Misconfigured},
		{errcode.APICodeToSession, 40125, errcode.Misconfigured},
		{errcode.APICodeToSession, 40164, errcode.Misconfigured},
		{errcode.APICodeToSession, 40029, errcode.Invalid},
		{errcode.APICodeToSession, 40163, errcode.Invalid},
		{errcode.APICodeToSession, 40226, errcode.Refused},
		{errcode.APITemplateSend, 40001, errcode.Token},
		{errcode.APITemplateSend, 41028, errcode.Invalid},
		{errcode.APITemplateSend, 45103, errcode.Misconfigured},
		{errcode.APIGetTemplates, 40001, errcode.Token},
		{errcode.APIGetTemplates, 45009, errcode.Exhausted},
		{errcode.APIGetQuota, 40001, errcode.Token},
		{errcode.APIGetQuota, 76022, errcode.Invalid},
		{"a_later_call", 40001, errcode.Token},
		{errcode.APIToken, 99999, errcode.Unlisted},
	}
	for _, tt := range tests {
		if got := errcode.LookupFor(tt.api, tt.code); got.Class != tt.want || got.Code != tt.code {
			t.Errorf("LookupFor(%s, %d) = code %d, class %s, want class %s", tt.api, tt.code, got.Code, got.Class, tt.want)
		}
	}
}

func TestAPIs(t *testing.T) {
	t.Parallel()
	want := []string{"token", "stable_token", "subscribe_send", "template_send", "code_to_session", "get_templates", "get_quota",
		"device_send", "set_user_notify", "set_user_notify_ext", "get_user_notify"}
	if got := errcode.APIs(); !slices.Equal(got, want) {
		t.Errorf("APIs() = %v, want %v", got, want)
	}
}

func TestUnlistedCode(t *testing.T) {
	t.Parallel()
	if errcode.Known(12345) {
		t.Error("Known(12345) = true")
	}
	e := errcode.Lookup(12345)
	if e.Code != 12345 || e.Class != errcode.Unlisted {
		t.Errorf("Lookup(12345) = code %d, class %s", e.Code, e.Class)
	}
	checkTexts(t, "12345", e.Meaning, e.MeaningZH, e.Remedy, e.RemedyZH)
}

func TestTableIsSortedCompleteAndUnique(t *testing.T) {
	t.Parallel()
	type row struct {
		code       int
		tokenCalls bool
	}
	seen := map[row]bool{}
	last := errcode.All()[0]
	for _, e := range errcode.All() {
		r := row{e.Code, e.TokenCalls}
		if seen[r] {
			t.Errorf("code %d is listed twice", e.Code)
		}
		seen[r] = true
		if e.TokenCalls && !seen[row{e.Code, false}] {
			t.Errorf("the token row of %d does not follow its general row", e.Code)
		}
		if e.Code < last.Code {
			t.Errorf("%d stands after %d", e.Code, last.Code)
		}
		last = e
		if !slices.Contains(errcode.Classes(), e.Class) {
			t.Errorf("code %d has class %q, which is none", e.Code, e.Class)
		}
		if e.Class == errcode.Unlisted || e.Class == errcode.Unknown {
			t.Errorf("code %d has class %s, which means no listed errcode", e.Code, e.Class)
		}
		checkTexts(t, string(e.Class), e.Meaning, e.MeaningZH, e.Remedy, e.RemedyZH)
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	want := []errcode.Reason{
		"horizon", "unlisted", "unanswered", "worker_died", "not_after", "canceled",
		"presumed_accepted", "unconnected", "id_conflict", "no_credit", "panic", "no_token",
		"login_code", "undelivered", "no_form_id", "retired", "forgotten", "paused", "archived", "card_window",
	}
	var got []errcode.Reason
	for _, e := range errcode.Reasons() {
		got = append(got, e.Reason)
		checkTexts(t, string(e.Reason), e.Meaning, e.MeaningZH, e.Remedy, e.RemedyZH)
		if one, ok := errcode.LookupReason(e.Reason); !ok || one != e {
			t.Errorf("LookupReason(%s) = %v, %v", e.Reason, one, ok)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("Reasons() = %v, want %v", got, want)
	}
	if _, ok := errcode.LookupReason("moon_phase"); ok {
		t.Error("LookupReason found a reason that is none")
	}
}

func TestMarkdownTable(t *testing.T) {
	t.Parallel()
	rows := len(errcode.All()) + 2
	tests := []struct{ lang, row string }{
		{"en", "| 43101 | refused | The user has not subscribed, used the consent up or turned messages off. | None needed; ask the user to subscribe again in the Mini Program. |\n"},
		{"en", "| 40001 (calls with the AppSecret) | misconfigured | "},
		{"zh", "| 43101 | refused | 用户未订阅、订阅次数已用完，或已关闭消息。 | 无需处理；请在小程序内引导用户重新订阅。 |\n"},
		{"zh", "| 40001（使用 AppSecret 的接口） | misconfigured | "},
	}
	for _, tt := range tests {
		table := errcode.MarkdownTable(tt.lang)
		if !strings.Contains(table, tt.row) {
			t.Errorf("the %s table lacks %q", tt.lang, tt.row)
		}
		lines := strings.Split(strings.TrimSuffix(table, "\n"), "\n")
		if len(lines) != rows {
			t.Errorf("the %s table has %d lines, want %d", tt.lang, len(lines), rows)
		}
		for _, line := range lines {
			if strings.Count(line, "|") != 5 {
				t.Errorf("the %s table has a broken row: %s", tt.lang, line)
			}
		}
	}
}

// checkTexts wants four texts, each fit for a table cell and in its language.
func checkTexts(t *testing.T, what, meaning, meaningZH, remedy, remedyZH string) {
	t.Helper()
	for _, s := range []string{meaning, remedy} {
		if s == "" || hasHan(s) || strings.ContainsAny(s, "|\n") || !strings.HasSuffix(s, ".") {
			t.Errorf("%s: bad English text %q", what, s)
		}
	}
	for _, s := range []string{meaningZH, remedyZH} {
		if !hasHan(s) || strings.ContainsAny(s, "|\n") || !strings.HasSuffix(s, "。") {
			t.Errorf("%s: bad Chinese text %q", what, s)
		}
	}
}

func hasHan(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.Is(unicode.Han, r) })
}
