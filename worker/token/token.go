package token

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
)

// hidden is all that printing a Token shows.
const hidden = "[access token]"

// Token is an access_token that may be used now. It remembers which answer of
// WeChat it comes from, so that Invalidate can tell a stale report. However it
// is printed, its value does not show; the zero Token has none.
type Token struct {
	// A pointer, because fmt prints the fields of unexported struct fields without
	// asking their methods, but never follows a pointer there.
	value *string
	// confirmed numbers the latest renewal that brought this value or brought it again.
	confirmed int64
	// generation numbers the renewal that first brought this value.
	generation int64
}

// Value is the access_token itself, for the call to WeChat and nothing else.
func (t Token) Value() string {
	if t.value == nil {
		return ""
	}
	return *t.value
}

// Generation tells tokens apart: it grows with each different token, and the
// same token keeps its own. It is no count.
func (t Token) Generation() int64 { return t.generation }

// String hides the value.
func (t Token) String() string { return hidden }

// GoString is String.
func (t Token) GoString() string { return hidden }

// Format is String for every verb.
func (t Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) } // fmt.State reports no error

// LogValue is String.
func (t Token) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON is String.
func (t Token) MarshalJSON() ([]byte, error) { return json.Marshal(hidden) }

// digest names a value without showing it.
func digest(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:12])
}
