package wechat

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const (
	hidden = "[redacted]"
	// maxMessage is how many characters of an errmsg are kept.
	maxMessage = 200
	// minContent is the shortest message content that is searched for, in bytes:
	// replacing every "5" would spoil the errmsg and hide nothing.
	minContent = 4
)

// redactor holds what one call must never let into a text. The empty strings in
// it hide nothing.
type redactor struct {
	secrets [3]string // token, secret, openid, login code, form_id
	people  []string  // further openids
	content map[string]string
	objects []json.RawMessage // content that is JSON
	page    string
}

// credentialPair finds credentials by name, also those of another call.
var credentialPair = regexp.MustCompile(`(?i)(access_token|app_?secret|secret|session_key|js_code)(=|%3d)[^\s&"'<>]*`)

// query finds the query of a URL or path.
var query = regexp.MustCompile(`\?[^\s=]*=\S*`)

// ridMark is how an errmsg ends: rid: 61725984-6126f6f9-040f19c4.
var ridMark = regexp.MustCompile(`(?i)\s*\brid:\s*([0-9a-f]{8}(?:-[0-9a-f]{8}){2})\b`)

// clean makes an errmsg fit to be shown: nothing private, printable, bounded,
// its rid apart. also are further secrets, which the answer itself brought.
func (r redactor) clean(errmsg string, also ...string) (message, rid string) {
	message = r.redact(strings.Map(printable, errmsg), also)
	if m := ridMark.FindStringSubmatchIndex(message); m != nil {
		rid = message[m[2]:m[3]]
		message = message[:m[0]] + " " + message[m[1]:]
	}
	return strings.TrimSpace(bounded(strings.Join(strings.Fields(message), " "))), rid
}

func (r redactor) redact(s string, also []string) string {
	for _, form := range r.forms(also) {
		s = replaceFold(s, form)
	}
	if !strings.ContainsAny(s, "=%") { // The usual errmsg, spared two slow searches.
		return s
	}
	return credentialPair.ReplaceAllString(query.ReplaceAllString(s, ""), hidden)
}

// forms lists all that must not appear, the longest first: a value that holds
// another one would else leave its rest behind.
func (r redactor) forms(also []string) []string {
	var all []string
	for _, secret := range slices.Concat(r.secrets[:], r.people, also) {
		all = appendForms(all, secret)
	}
	content := slices.Collect(maps.Values(r.content))
	for _, object := range r.objects {
		content = appendValues(append(content, string(object)), object)
	}
	for _, value := range content {
		if len(value) >= minContent {
			all = appendForms(all, value)
		}
	}
	if strings.Contains(r.page, "?") { // Its query may name the user.
		all = appendForms(all, r.page)
	}
	slices.SortFunc(all, func(a, b string) int {
		return cmp.Or(len(b)-len(a), strings.Compare(a, b))
	})
	return slices.Compact(all) // Most secrets need no escaping anywhere.
}

// appendValues appends the texts and numbers that JSON holds, whatever they are called. It
// reads each byte once, however deep they nest.
func appendValues(all []string, value json.RawMessage) []string {
	const between = " \t\r\n,:"
	d := json.NewDecoder(bytes.NewReader(value))
	d.UseNumber() // one that is too large for a float must not end the reading
	for from := int64(0); ; from = d.InputOffset() {
		token, err := d.Token()
		if err != nil { // the end: it is valid JSON
			return all
		}
		end := d.InputOffset()
		isName := bytes.HasPrefix(bytes.TrimLeft(value[end:], " \t\r\n"), []byte(":"))
		if _, bracket := token.(json.Delim); bracket || isName {
			continue
		}
		text, _ := token.(string)
		written := bytes.TrimLeft(value[from:end], between)
		all = append(all, text, strings.Trim(string(written), `"`)) // also as it is written there
	}
}

// appendForms appends the secret as it is, printable, in a URL, in JSON and in
// base64: every form in which a server may echo it.
func appendForms(all []string, secret string) []string {
	if secret == "" {
		return all
	}
	quoted := appendString(nil, secret)
	return append(all,
		secret,
		strings.Map(printable, secret),
		url.QueryEscape(secret),
		url.PathEscape(secret),
		string(quoted[1:len(quoted)-1]),
		escapeHTML.Replace(string(quoted[1:len(quoted)-1])),
		base64.RawStdEncoding.EncodeToString([]byte(secret)),
		base64.RawURLEncoding.EncodeToString([]byte(secret)),
	)
}

// escapeHTML escapes as encoding/json does by default.
var escapeHTML = strings.NewReplacer("&", `\u0026`, "<", `\u003c`, ">", `\u003e`)

// replaceFold replaces old in s, whatever the case of its ASCII letters: %2b and
// %2B are the same.
func replaceFold(s, old string) string {
	if old == "" || len(old) > len(s) {
		return s
	}
	low, find := lowerASCII(s), lowerASCII(old)
	var b strings.Builder
	from := 0
	for i := strings.Index(low, find); i >= 0; i = strings.Index(low[from:], find) {
		b.WriteString(s[from:from+i] + hidden)
		from += i + len(old)
	}
	if from == 0 {
		return s
	}
	b.WriteString(s[from:])
	return b.String()
}

// lowerASCII keeps the length in bytes, as strings.ToLower does not.
func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c >= 'A' && c <= 'Z' {
			b[i] = c + ('a' - 'A')
		}
	}
	return string(b)
}

func printable(r rune) rune {
	switch {
	case unicode.IsPrint(r):
		return r
	case unicode.IsSpace(r):
		return ' '
	}
	return -1
}

// bounded cuts s to maxMessage characters.
func bounded(s string) string {
	n := 0
	for i := range s {
		if n == maxMessage {
			return s[:i]
		}
		n++
	}
	return s
}
