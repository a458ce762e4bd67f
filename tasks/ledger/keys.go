package ledger

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"strconv"

	"github.com/wxnotify/wxnotify/tasks"
)

// Ref names a notification and its recipient.
type Ref struct {
	App, ID string
	// OpenID is the recipient, tasks.Recipient.Key of several, or CodeRecipient while only
	// a login code is known.
	OpenID string
	// Exchanged says that the recipient was named by a login code.
	Exchanged bool
}

func (l *Ledger) pointerKey(app, id string) string {
	return l.ns.Key("p:{" + recordName(app, id) + "}")
}

// recordName stands for a notification in the names of its record and its pointer.
func recordName(app, id string) string { return digest(app, id) }

func (l *Ledger) recordKey(tag, name string) string {
	return l.ns.Key("r:{" + tag + "}:" + name)
}

func (l *Ledger) turnKey(tag string) string    { return l.ns.Key("t:{" + tag + "}") }
func (l *Ledger) consentKey(tag string) string { return l.ns.Key("c:{" + tag + "}") }
func (l *Ledger) formIDsKey(tag string) string { return l.ns.Key("f:{" + tag + "}") }

func (l *Ledger) msgIDKey(tag, msgID string) string {
	return l.ns.Key("m:{" + tag + "}:" + msgID)
}

// CardReceipt is what the receipt of a service card is joined by: WeChat gives it no msgid,
// and names the card and the state that it was set to. It is no msgid: those are digits.
func CardReceipt(t tasks.NotifyType, notifyCode string, state int64) string {
	return "card-" + digest(strconv.Itoa(int(t)), notifyCode, strconv.FormatInt(state, 10))
}

// CodeRecipient stands for the recipient in a Ref as long as only a login code is
// known. It is no openid: those hold no colon.
func CodeRecipient(code string) string { return "code:" + code }

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
