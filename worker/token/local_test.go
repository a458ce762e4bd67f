package token

import (
	"testing"
	"time"
)

// seen is a snapshot of a token that is usable for an hour from now on.
func seen(value string, confirmed int64, now time.Time) snapshot {
	return snapshot{token: Token{value: &value, confirmed: confirmed, generation: confirmed}, usable: time.Hour, until: now.Add(time.Hour)}
}

func TestLocalCopy(t *testing.T) {
	t.Parallel()
	now := time.Now()
	first, second := seen("a", 1, now), seen("b", 2, now)
	refused := second
	refused.usable = 0
	for name, c := range map[string]struct {
		do   func(*local)
		want string
	}{
		"empty":                        {func(*local) {}, ""},
		"taken":                        {func(l *local) { l.adopt(first) }, "a"},
		"newer":                        {func(l *local) { l.adopt(first); l.adopt(second) }, "b"},
		"read earlier, arrives later":  {func(l *local) { l.adopt(second); l.adopt(first) }, "b"},
		"forgotten by redis":           {func(l *local) { l.adopt(first); l.adopt(seen("", 0, now)) }, "a"},
		"refused elsewhere":            {func(l *local) { l.adopt(second); l.adopt(refused) }, ""},
		"refused here":                 {func(l *local) { l.adopt(first); l.drop(first.token) }, ""},
		"refused here, read before":    {func(l *local) { l.drop(first.token); l.adopt(first) }, ""},
		"refused here, then confirmed": {func(l *local) { l.drop(first.token); l.adopt(seen("a", 2, now)) }, "a"},
		"a stale report":               {func(l *local) { l.adopt(second); l.drop(first.token) }, "b"},
		"over":                         {func(l *local) { l.adopt(seen("a", 1, now.Add(-time.Hour))) }, ""},
	} {
		var l local
		c.do(&l)
		if got, ok := l.get(now); got.Value() != c.want || ok != (c.want != "") {
			t.Errorf("%s: %q, want %q", name, got.Value(), c.want)
		}
	}
}
