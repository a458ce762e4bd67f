package sandbox

import (
	"fmt"
	"strings"
	"testing"
)

func TestValuesOfTypes(t *testing.T) {
	t.Parallel()
	for key, c := range map[string]struct{ good, bad []string }{
		"thing1":            {[]string{strings.Repeat("字", 20), strings.Repeat("👨‍👩‍👧", 20), strings.Repeat("🇨🇳", 20)}, []string{strings.Repeat("字", 21)}},
		"number2":           {[]string{"1", "1.5", strings.Repeat("9", 32)}, []string{"one", "-1", strings.Repeat("9", 33), "1.2.3"}},
		"letter3":           {[]string{"abc", "é"}, []string{"a1", "字", strings.Repeat("a", 33)}},
		"symbol4":           {[]string{"***", "！"}, []string{"a", "字", "******"}},
		"character_string5": {[]string{"SF-1", "！"}, []string{"单号", strings.Repeat("a", 33)}},
		"time6":             {[]string{"15:01", "15:01:30", "2019年10月1日 15:01", "15:01~16:01"}, []string{"soon", "25:00", "2019-10-01", "15:01~"}},
		"date7":             {[]string{"2019年10月1日", "2019-10-01", "10月1日 15:01", "2019/10/1~2019/10/2"}, []string{"15:01", "2019-13-01", "x"}},
		"amount8":           {[]string{"¥12.50", "12元", "1"}, []string{"RMB1", "12345678901", "1,000", "-1"}},
		"phone_number9":     {[]string{"+86-0766-66888866"}, []string{"call me", strings.Repeat("1", 18)}},
		"car_number10":      {[]string{"粤A8Z888挂", "A8Z888"}, []string{"粤粤8Z888", "ABCDEFGHI"}},
		"name11":            {[]string{"张三", strings.Repeat("张", 10), strings.Repeat("a", 20)}, []string{strings.Repeat("张", 11), "张" + strings.Repeat("a", 10), "a1"}},
		"phrase12":          {[]string{"配送中"}, []string{"ok", "一二三四五六"}},
		"enum13":            {[]string{"a", "b"}, []string{"c"}},
		"site14":            {[]string{"anything at all, however long it may be"}, nil},
	} {
		tmpl := Template{ID: "T", Keys: []string{key}, Enums: map[string][]string{"enum13": {"a", "b"}}}
		for _, v := range c.good {
			if bad := tmpl.badKey(map[string]dataValue{key: {v}}); bad != "" {
				t.Errorf("%s refused %q", key, v)
			}
		}
		for _, v := range c.bad {
			if bad := tmpl.badKey(map[string]dataValue{key: {v}}); bad != key {
				t.Errorf("%s took %q", key, v)
			}
		}
	}
}

// A template that was defined is judged by its types; one that was not takes what it
// is given.
func TestTypesOfDefinedTemplatesAreJudged(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AllowAnyTemplate = true })
	token := b.stable(false).AccessToken
	send := func(template, value string) reply {
		return b.send(token, fmt.Sprintf(`{"touser":"oUser1","template_id":%q,"data":{"number1":{"value":%q}}}`, template, value))
	}
	b.must("PUT", "templates", `{"app":"wxtest","template_id":"N","keys":["number1"]}`)
	b.wantCode(send("N", "7"), 0)
	r := send("N", "seven")
	b.wantCode(r, 47003)
	if !strings.Contains(r.text, "argument invalid! data.number1.value") {
		t.Errorf("%s, want the field named", r.text)
	}
	b.wantCode(send("unknown", "seven"), 0)
	b.must("PUT", "templates", `{"app":"wxtest","template_id":"N","keys":["number1","thing2"]}`)
	b.wantCode(send("N", "7"), 47003)
}
