package catalogue

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks"
)

func TestTruncate(t *testing.T) {
	t.Parallel()
	for i, c := range []struct{ key, value, want string }{
		{"thing1", times("字", 20), times("字", 20)},
		{"thing1", times("字", 21), times("字", 20)},
		{"thing1", times("字", 19) + "😀", times("字", 19)}, // 21 in UTF-16
		{"thing1", times("字", 19) + combined, times("字", 19)},
		{"thing1", times("字", 18) + flag, times("字", 18)},
		{"thing1", times(family, 3), times(family, 2)},
		{"thing1", times("a", 15) + family, times("a", 15)},
		{"name2", times("张", 12), times("张", 10)},
		{"name2", times("a", 25), times("a", 20)},
		{"name2", times("a", 15) + "张", times("a", 10)},
		{"character_string3", times("a", 40), times("a", 32)},
		{"phrase4", "一二三四五六", "一二三四五六"},
		{"number5", times("9", 40), times("9", 40)},
		{"keyword1", times("字", 40), times("字", 40)},
		{"thing1", "a" + times("\u0301", 30), "a" + times("\u0301", 30)}, // one character that nothing can be cut off
		{"thing1", times(" ", 30) + "x", times(" ", 30) + "x"},
	} {
		data := map[string]string{c.key: c.value, "x": "y"}
		short, cut := Truncate(data)
		if short[c.key] != c.want || (len(cut) > 0) != (c.want != c.value) || short["x"] != "y" {
			t.Errorf("case %d: %q, %v, want %q", i, short[c.key], cut, c.want)
		}
		if data[c.key] != c.value {
			t.Errorf("case %d: the caller's own map was changed", i)
		}
		again, cut := Truncate(short)
		if !maps.Equal(again, short) || len(cut) > 0 {
			t.Errorf("case %d: cut twice", i)
		}
	}
	_, cut := Truncate(map[string]string{"thing2": times("x", 30), "name1": times("x", 30)})
	if !slices.Equal(cut, []string{"name1", "thing2"}) {
		t.Errorf("cut %v, want both in order", cut)
	}
}

// What was shortened passes, and is the beginning of what it was, between characters.
func FuzzTruncate(f *testing.F) {
	for _, c := range cases {
		for _, v := range append(slices.Clone(c.good), c.bad...) {
			f.Add(v)
		}
	}
	f.Fuzz(func(t *testing.T, value string) {
		if n := (tasks.Notification{App: "wx1", To: tasks.Recipient{OpenID: "o"}, TemplateID: "T", Data: map[string]string{"thing1": value}}); n.Validate(now) != nil {
			return // it is refused before anything is shortened
		}
		for _, key := range []string{"thing1", "name2", "character_string3"} {
			short, cut := Truncate(map[string]string{key: value})
			got := short[key]
			rest, ok := strings.CutPrefix(value, got)
			if !ok || (len(cut) > 0) != (rest != "") || !utf8.ValidString(got) {
				t.Fatalf("%s: %q became %q, %v", key, value, got, cut)
			}
			if len(cut) == 0 {
				continue
			}
			if units(got) > ruleOf(key).limit || count(got)+count(rest) != count(value) {
				t.Fatalf("%s: %q was cut to %q", key, value, got)
			}
			// Characters of the wrong sort stay; that alone may still be wrong.
			for _, w := range CheckTypes(short) {
				if strings.Contains(w.Detail, "at most") {
					t.Fatalf("%s: %q was cut to %q, which is refused: %s", key, value, got, w.Detail)
				}
			}
		}
		for _, r := range rules {
			r.judge(value) // whatever it is, it is judged
		}
	})
}
