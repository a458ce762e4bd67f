package callback

import (
	"net/url"
	"time"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
)

// Bounds of a request. A push has about 1 KiB, in compatible mode three times
// that.
const (
	maxBody  = 64 << 10
	maxQuery = 2 << 10
)

// window is how far a request's timestamp may be from our clock, either way: it
// bounds how long a request that somebody saw can be repeated.
const window = 10 * time.Minute

// query holds what a request's query says. The rest of it (openid, encrypt_type)
// is nobody's proof and is not read.
type query struct {
	signature, msgSignature string
	timestamp, nonce        string
	echo                    string
}

// readQuery returns the query of a request that is not stale, or why it is
// refused.
func (h *handler) readQuery(u *url.URL) (query, string) {
	if len(u.RawQuery) > maxQuery {
		return query{}, reasonQuery
	}
	values, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return query{}, reasonQuery
	}
	q := query{
		signature: values.Get("signature"), msgSignature: values.Get("msg_signature"),
		timestamp: values.Get("timestamp"), nonce: values.Get("nonce"), echo: values.Get("echostr"),
	}
	at, ok := parseTime(q.timestamp)
	if !ok || q.nonce == "" {
		return query{}, reasonQuery
	}
	if age := h.now().Sub(at); age > window || age < -window {
		return query{}, reasonStale
	}
	return q, ""
}

// parseTime reads Unix seconds, until the year 2286. Exactly ten digits: the
// signature covers digits in a row, which a stranger could part differently.
func parseTime(s string) (time.Time, bool) {
	if len(s) != 10 || s[0] == '0' {
		return time.Time{}, false
	}
	var seconds int64
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return time.Time{}, false
		}
		seconds = 10*seconds + int64(c-'0')
	}
	return time.Unix(seconds, 0), true
}

// checkPlain returns why a request with a plain signature is refused, or "".
func (a *app) checkPlain(q query) string {
	if a == nil {
		return reasonApp
	}
	if !wxcrypt.Verify(q.signature, a.token, q.timestamp, q.nonce) {
		return reasonSignature
	}
	return ""
}

// open returns the message of a push once it is proven to be WeChat's, or why it
// is refused.
func (a *app) open(q query, body []byte) ([]byte, string) {
	switch {
	case a == nil:
		return nil, reasonApp
	case a.crypt == nil:
		return a.openPlain(q, body)
	}
	return a.openSealed(q, body)
}

// openSealed ignores the plaintext beside the sealed text, and the plain
// signature, which covers no body.
func (a *app) openSealed(q query, body []byte) ([]byte, string) {
	var e envelope
	if err := decode(body, &e); err != nil {
		return nil, reasonUnreadable
	}
	if e.Encrypt == "" {
		return nil, reasonPlaintext
	}
	if !wxcrypt.Verify(q.msgSignature, a.token, q.timestamp, q.nonce, string(e.Encrypt)) {
		return nil, reasonSignature
	}
	message, err := a.crypt.Open(string(e.Encrypt))
	if err != nil {
		return nil, reasonUnopened
	}
	return message, ""
}

// openPlain takes the body as it is; the Encrypt of compatible mode is ignored.
func (a *app) openPlain(q query, body []byte) ([]byte, string) {
	if reason := a.checkPlain(q); reason != "" {
		return nil, reason
	}
	var e envelope
	if err := decode(body, &e); err != nil {
		return nil, reasonUnreadable
	}
	switch {
	case e.hasPlaintext():
		return body, ""
	case e.Encrypt != "":
		return nil, reasonSealed
	}
	return nil, reasonUnreadable
}
