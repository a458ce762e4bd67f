package config

import (
	"fmt"
	"io"
	"log/slog"
)

// Secret is a text that no log, error or JSON may show: whatever formats it
// writes "[redacted]". Convert it to string where it is used.
type Secret string

const redacted = "[redacted]"

// Format writes the placeholder for every verb.
func (s Secret) Format(f fmt.State, _ rune) {
	if s != "" {
		_, _ = io.WriteString(f, redacted) // fmt.State reports no errors
	}
}

// String returns the placeholder.
func (s Secret) String() string { return fmt.Sprint(s) }

// LogValue returns the placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText returns the placeholder.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
