package tasks

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"hash"
	"maps"
	"slices"
	"strconv"
	"time"
)

// Notification is one message to one recipient.
type Notification struct {
	// App is the AppID of the Mini Program that sends. Required.
	App string
	// Kind is the sort of message. Default KindSubscribe.
	Kind Kind
	// ID is the idempotency key, 1 to 128 characters of [A-Za-z0-9._~-], unique
	// in its app. The same id is sent once, however often it is enqueued. Empty:
	// one is made.
	ID string
	// To is the recipient. Required.
	To Recipient
	// TemplateID is the template's id as the WeChat console shows it. Required, but with
	// KindCard, which has none.
	TemplateID string
	// Page is the page the card opens. nil: pages/index/index, or index with
	// KindTemplate; "": none. KindCard has none.
	Page *string
	// Data holds the template's values by key, such as thing1. Required, but with
	// KindTemplate and KindCard.
	Data map[string]string
	// FormID, with KindTemplate, is the form id or prepay_id to send with. Empty:
	// the stored one that expires first, see producer.Client.GrantFormID.
	FormID string
	// EmphasisKeyword, with KindTemplate, is the value shown large, such as
	// keyword1.DATA.
	EmphasisKeyword string
	// SN and ModelID, with KindDevice, name the device as the user subscribed to it: its
	// serial number and its model's id in the WeChat console. Required there.
	SN, ModelID string
	// NotifyType, with KindCard, is the sort of card. Required there.
	NotifyType NotifyType
	// NotifyCode, with KindCard, names the card: the order number of the payment, or the
	// code that the liveActivity button gave. Required there.
	NotifyCode string
	// Content, with KindCard, is a JSON object with cur_status and the fields of the card's
	// type. It activates or updates the card (POST /wxa/set_user_notify).
	Content json.RawMessage
	// Check, with KindCard, is a JSON object with pay_amount in fen, pay_time in Unix
	// seconds, and pay_channel. It goes with the Content that activates a payment's card.
	Check json.RawMessage
	// Ext, with KindCard, is a JSON object with further details of the card, in place of
	// Content (POST /wxa/set_user_notifyext).
	Ext json.RawMessage
	// MiniprogramState is the version the card opens: developer, trial or formal.
	// Default formal.
	MiniprogramState string
	// Lang is the language of the Mini Program's own texts: zh_CN, en_US, zh_HK
	// or zh_TW. Default zh_CN.
	Lang string
	// SendAt is the earliest time to send, at most MaxAhead in the future. Zero
	// or past: now.
	SendAt time.Time
	// NotAfter is the time after which sending is pointless; then the outcome is
	// expired. Zero: never.
	NotAfter time.Time
	// Priority chooses the lane. Default "default".
	Priority Priority
	// OnUnknown says what to do when nobody can know whether WeChat accepted it.
	// Default resend.
	OnUnknown OnUnknown
	// Truncate shortens the values of thing, name and character_string fields that are
	// longer than WeChat takes. It is done before the notification is stored, so the
	// ContentHash is that of what is sent.
	Truncate bool
	// RequestID names the request that it came with: up to 64 visible ASCII characters,
	// which the worker's log repeats beside the outcome, so put nothing personal into
	// them. No content. Default none.
	RequestID string
}

// Recipient names who gets a notification.
type Recipient struct {
	// OpenID is the user's id in the app.
	OpenID string
	// Code is a login code from wx.login, in place of the openid. The worker
	// exchanges it, once; it is good for five minutes. Not with KindDevice.
	Code string
	// OpenIDs, with KindDevice, are up to MaxOpenIDs users in place of one: one call to
	// WeChat and one outcome for all of them.
	OpenIDs []string
}

// DefaultPage is the page a card opens when the notification names none.
const DefaultPage = "pages/index/index"

// defaultTemplatePage is that of KindTemplate.
const defaultTemplatePage = "index"

// defaultPage is the page of a kind's card when the notification names none.
func (k Kind) defaultPage() string {
	if k == KindTemplate {
		return defaultTemplatePage
	}
	return DefaultPage
}

// WithDefaults returns a copy in which every optional field that is empty has
// its default. It makes no id.
func (n Notification) WithDefaults() Notification {
	if n.Kind == "" {
		n.Kind = KindSubscribe
	}
	if n.Kind != KindCard {
		n = n.withLooks()
	}
	n.To = n.To.inOrder()
	if n.Priority == "" {
		n.Priority = Default
	}
	if n.OnUnknown == "" {
		n.OnUnknown = Resend
	}
	return n
}

// withLooks fills in how a message opens and speaks.
func (n Notification) withLooks() Notification {
	if n.Page == nil {
		n.Page = new(n.Kind.defaultPage())
	}
	if n.MiniprogramState == "" {
		n.MiniprogramState = "formal"
	}
	if n.Lang == "" {
		n.Lang = "zh_CN"
	}
	return n
}

// pageText is the page, "" where there is none.
func (n Notification) pageText() string {
	if n.Page == nil {
		return ""
	}
	return *n.Page
}

// ContentHash tells whether two notifications say the same to the same
// recipient. When, how urgently, with what guard and by which form id a message is
// sent is no content: a caller that repeats a request may well choose those anew.
// Apply WithDefaults first.
func (n Notification) ContentHash() string {
	h := sha256.New()
	for _, s := range []string{string(n.Kind), n.To.OpenID, n.TemplateID, n.pageText(), n.MiniprogramState, n.Lang} {
		hashString(h, s)
	}
	for _, k := range slices.Sorted(maps.Keys(n.Data)) {
		hashString(h, k)
		hashString(h, n.Data[k])
	}
	for _, s := range []string{n.To.Code, n.EmphasisKeyword} {
		if s != "" { // left out otherwise, so that earlier hashes stand
			hashString(h, s)
		}
	}
	n.hashKind(h)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:12])
}

// hashKind writes what only some kinds have.
func (n Notification) hashKind(h hash.Hash) {
	switch n.Kind {
	case KindDevice:
		for _, s := range slices.Concat([]string{n.SN, n.ModelID}, n.To.OpenIDs) {
			hashString(h, s)
		}
	case KindCard:
		hashString(h, strconv.Itoa(int(n.NotifyType)))
		hashString(h, n.NotifyCode)
		for _, object := range n.cardObjects() {
			hashString(h, canonical(object))
		}
	}
}

// hashString writes s with its length, so that no two lists of strings collide
// by moving a boundary.
func hashString(h hash.Hash, s string) {
	var length [4]byte
	binary.BigEndian.PutUint32(length[:], uint32(len(s)))
	h.Write(length[:])
	h.Write([]byte(s))
}
