package ledger

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestParseSubscription(t *testing.T) {
	t.Parallel()
	at := time.Unix(1772366400, 0)
	for text, want := range map[string]Subscription{
		"":                         {},
		"0;;;":                     {},
		"3;1772366400;;":           {ChangedAt: at},
		"1;1772366400;;1772360000": {ChangedAt: at, Credits: 1},
		"9;1772366400;1772366400;1772360000*3,1772360001,1772360002*2": {ChangedAt: at, RefusedAt: at, Credits: 6},
		"1;1;1;1*":             {ChangedAt: time.Unix(1, 0), RefusedAt: time.Unix(1, 0)},
		"1;x;-;1*y,*2,,5":      {Credits: 3},
		"no fields":            {},
		"1;0;0;1;2;3":          {Credits: 1},
		strings.Repeat(";", 9): {},
	} {
		if got := parseSubscription("", text); got != want {
			t.Errorf("%q: %+v, want %+v", text, got, want)
		}
	}
}

func TestParseFormID(t *testing.T) {
	t.Parallel()
	for member, want := range map[any]StoredFormID{
		"1;F":      {FormID: "F", Uses: 1},
		"3;wx2017": {FormID: "wx2017", Uses: 3},
		"1;1;1":    {FormID: "1;1", Uses: 1},
		"1;":       {Uses: 1},
		"":         {}, "F": {}, ";F": {}, "x;F": {}, 7: {},
	} {
		got, ok := parseFormID(redis.Z{Member: member, Score: 5})
		if ok != (want != StoredFormID{}) {
			t.Errorf("%v: %+v, %v", member, got, ok)
		}
		if want.ExpiresAt = time.UnixMilli(5); ok && got != want {
			t.Errorf("%v: %+v, want %+v", member, got, want)
		}
	}
}

// FuzzParse: whatever stands there, reading it neither panics nor invents credits.
func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", "1;F", "3;1772366400;;1*2,3", ";;;*", "A;s;1;1;;7"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s := parseSubscription("t", text)
		if s.Credits > 0 && strings.Count(text, ";") < 3 {
			t.Errorf("credits without a list: %+v", s)
		}
		if got, ok := parseFormID(redis.Z{Member: text}); ok && !strings.HasSuffix(text, ";"+got.FormID) {
			t.Errorf("%+v", got)
		}
		_, _ = parseRecord(text) // an error or a record
	})
}
