package gateway

import "strings"

// maxShown is the longest name of the caller's that an answer repeats: longer
// than any field's and shorter than an openid, which has 28 characters.
const maxShown = 24

// shown is how an answer calls the field of that name inside prefix. A name that
// is no name is not repeated; the field is called by what it is in.
func shown(prefix, name string) string {
	odd := func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_'
	}
	switch {
	case name != "" && len(name) <= maxShown && !strings.ContainsFunc(name, odd):
		return strings.TrimPrefix(prefix+"."+name, ".")
	case prefix == "":
		return "(unnamed)"
	}
	return prefix
}

// elsewhere says where fields of WeChat's own API are to be found here.
var elsewhere = map[string]string{"touser": "to.openid", "openid": "to.openid"}

// suggestion names the known field that a misspelled one most likely is.
func suggestion[T any](name string, fields map[string]T) string {
	const none = ": leave it out"
	if len(name) > maxShown {
		return none
	}
	name = plain(name)
	best, least := elsewhere[name], 3
	if _, here := fields["openid"]; here && best != "" {
		best = "openid"
	}
	for known := range fields {
		d := distance(name, plain(known))
		alike := d <= 2 && d < len(known)/2
		if alike && (d < least || d == least && known < best) {
			best, least = known, d
		}
	}
	if best == "" {
		return none
	}
	return "; did you mean " + best + "?"
}

// plain makes templateId, template-id and template_id the same.
func plain(name string) string {
	return strings.ToLower(strings.ReplaceAll(strings.ReplaceAll(name, "_", ""), "-", ""))
}

// distance is Levenshtein's: how many bytes to change, add or leave out. b is
// at most maxShown long.
func distance(a, b string) int {
	var buf [maxShown + 1]int
	row := buf[:len(b)+1]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
