package catalogue

import (
	"maps"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/tasks"
)

// Truncate shortens the values of data that may be shortened (thing, name and
// character_string) to what every way of counting allows, and says which, in order.
// It goes by the keys alone, so the same data always becomes the same. data itself
// stays; what needs nothing is returned as it is.
func Truncate(data map[string]string) (map[string]string, []string) {
	var cut []string
	short := data
	for key, value := range data {
		shorter, ok := shortened(key, value)
		if !ok {
			continue
		}
		if cut == nil {
			short = maps.Clone(data)
		}
		short[key] = shorter
		cut = append(cut, key)
	}
	slices.Sort(cut)
	return short, cut
}

// shortened is a value cut to its limit; false if it needs or bears no cutting.
func shortened(key, value string) (string, bool) {
	r := ruleOf(key)
	if r == nil || r.shorten == nil || len(value) <= hanNameLimit {
		return value, false
	}
	short := r.shorten(value)
	return short, len(short) < len(value) && strings.TrimSpace(short) != ""
}

// cutTo cuts a text to at most limit UTF-16 units, between characters.
func cutTo(limit int) func(string) string {
	return func(value string) string {
		c, left := chars{text: value}, limit
		for c.next() {
			if left -= units(value[c.from:c.at]); left < 0 {
				return value[:c.from]
			}
		}
		return value
	}
}

func shortenName(value string) string { return cutTo(nameLimitOf(value))(value) }

// Shortens reports whether a notification is one whose values Truncate is for: those
// of kind template go by numbers that say nothing of a type.
func Shortens(n tasks.Notification) bool { return n.Truncate && n.Kind != tasks.KindTemplate }
