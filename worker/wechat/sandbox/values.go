package sandbox

import (
	"regexp"
	"slices"
	"strings"
)

// What WeChat's page on the send call says about the values of each type, as patterns of whole values. Where it can be read in two
// ways the wider one is taken.
const (
	hours  = `([01]?[0-9]|2[0-4]):[0-5][0-9](:[0-5][0-9])?`
	month  = `(0?[1-9]|1[0-2])`
	dayNo  = `(0?[1-9]|[12][0-9]|3[01])`
	day    = `([0-9]{4}年` + month + `月(` + dayNo + `日)?|[0-9]{4}[-/.]` + month + `([-/.]` + dayNo + `)?|` + month + `月` + dayNo + `日|` + month + `[-/.]` + dayNo + `)`
	atTime = `(` + day + ` *)?` + hours
	onDate = day + `( *` + hours + `)?`

	chinese = `\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}`
	plain   = `A-Za-z0-9`
)

// patterns are those of the types. Values of a type that is not among them are not judged, those of an enum by its list alone.
var patterns = map[string]*regexp.Regexp{
	"thing":            whole(`.{0,20}`),
	"number":           whole(`[0-9]{1,32}|[0-9]{0,32}\.[0-9]*`),
	"letter":           whole(`[^\P{L}\p{Han}]{0,32}`),
	"symbol":           whole(`[^\p{L}\p{Nd}]{0,5}`),
	"character_string": whole(`[^\p{Han}]{0,32}`),
	"time":             whole(atTime + `( *~ *` + atTime + `)?`),
	"date":             whole(onDate + `( *~ *` + onDate + `)?`),
	"amount":           whole(`\p{Sc}?[0-9]{1,10}(\.[0-9]+)?元?`),
	"phone_number":     whole(`[^\p{L}]{0,17}`),
	"car_number":       whole(`[` + plain + chinese + `]?[` + plain + `]{0,6}[` + plain + chinese + `]?`),
	"name":             whole(`[^\p{Nd}\p{Han}]{0,20}|[^\p{Nd}]{0,10}`),
	"phrase":           whole(`[` + chinese + `]{0,5}`),
}

func whole(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(` + pattern + `)$`) }

// belonging are the code points that belong to the character before them, or with a joiner to the one behind it too: an emoji counts as
// one here. A flag is two code points.
var (
	belonging = regexp.MustCompile(`\x{200D}.?|[\p{M}\x{1F3FB}-\x{1F3FF}\x{E0020}-\x{E007F}]`)
	flags     = regexp.MustCompile(`[\x{1F1E6}-\x{1F1FF}]{2}`)
)

// fits tells whether WeChat takes a value for a key of a template.
func (t Template) fits(key, value string) bool {
	if list, ok := t.Enums[key]; ok {
		return slices.Contains(list, value)
	}
	pattern, ok := patterns[strings.TrimRight(key, "0123456789")]
	return !ok || pattern.MatchString(value) || pattern.MatchString(flags.ReplaceAllString(belonging.ReplaceAllString(value, ""), "*"))
}
