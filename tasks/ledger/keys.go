package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// Ref names a notification and its recipient.
type Ref struct {
	App, ID, OpenID string
}

func (l *Ledger) pointerKey(app, id string) string {
	return l.ns.Key("p:{" + digest(app, id) + "}")
}

func (l *Ledger) recordKey(tag, id string) string {
	return l.ns.Key("r:{" + tag + "}:" + digest(id))
}

func (l *Ledger) turnKey(tag string) string { return l.ns.Key("t:{" + tag + "}") }

// Tag stands for a recipient in key names and in memory: the same for the same
// app and openid, and it tells neither.
func Tag(app, openID string) string { return digest(app, openID) }

const digestLen = 16

// digest is 96 bits of SHA-256 over the parts and their lengths.
func digest(parts ...string) string {
	var buf [256]byte
	b := buf[:0]
	for _, p := range parts {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		b = append(b, p...)
	}
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}
