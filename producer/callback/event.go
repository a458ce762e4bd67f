package callback

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks"
)

// reading is what a genuine push turned out to be.
type reading struct {
	label string // one of EventNames
	// result is EventQueued if event is to be stored, else EventIgnored or
	// EventMalformed.
	result  string
	event   tasks.Event
	leftOut int // items of event that are malformed
}

// readPush reads what WeChat pushed to app, opened. It fails if that is neither
// JSON nor XML.
func readPush(app string, body []byte) (reading, error) {
	var m message
	if err := decode(body, &m); err != nil {
		return reading{}, err
	}
	if m.MsgType != "event" && m.MsgType != "" {
		return reading{label: otherEvent, result: EventIgnored}, nil
	}
	name := tasks.EventName(m.Event)
	if !slices.Contains(tasks.EventNames(), name) {
		return reading{label: label(string(name)), result: EventIgnored}, nil
	}
	r := m.readEvent(app, name)
	if r.result == EventQueued {
		r.event.Source = m.source(app, body)
	}
	return r, nil
}

func (m *message) readEvent(app string, name tasks.EventName) reading {
	if name == tasks.EventCard {
		return m.readCard(app)
	}
	at, timed := parseTime(string(m.CreateTime))
	listed := m.list(name)
	r := reading{label: string(name), result: EventMalformed, event: tasks.Event{
		App: app, OpenID: string(m.FromUserName), Name: name, At: at, Items: usable(name, listed),
	}}
	if timed && tasks.ValidOpenID(r.event.OpenID) && len(r.event.Items) > 0 {
		r.result, r.leftOut = EventQueued, len(listed)-len(r.event.Items)
	}
	return r
}

// readCard reads what became of a service card, which has no list.
func (m *message) readCard(app string) reading {
	at, timed := parseTime(string(m.CreateTime))
	it, read := m.receipt()
	openID := cmp.Or(string(m.OpenID), string(m.FromUserName))
	if !timed || !read || !tasks.ValidOpenID(openID) {
		return reading{label: string(tasks.EventCard), result: EventMalformed}
	}
	return reading{label: string(tasks.EventCard), result: EventQueued, event: tasks.Event{
		App: app, OpenID: openID, Name: tasks.EventCard, At: at, Items: []tasks.EventItem{it},
	}}
}

// receipt reads the card, the state it was set to, and why that failed. WeChat's guide is
// not consistent about the values of fail_ret: any whole number will do.
func (c card) receipt() (tasks.EventItem, bool) {
	code, errCode := strconv.ParseInt(string(c.FailRet), 10, 32)
	notifyType, errType := strconv.ParseInt(string(c.NotifyType), 10, 32)
	state, errState := strconv.ParseInt(string(c.CardStatus), 10, 64)
	if errCode != nil || errType != nil || errState != nil || !tasks.ValidNotifyCode(string(c.NotifyCode)) {
		return tasks.EventItem{}, false
	}
	return tasks.EventItem{
		NotifyType: tasks.NotifyType(notifyType), NotifyCode: string(c.NotifyCode), CardState: state,
		ErrorCode: int(code), ErrorStatus: cut(string(c.FailMsg)),
	}, true
}

// list returns the items, from where the format has them.
func (m *message) list(name tasks.EventName) items {
	if len(m.List) > 0 {
		return m.List
	}
	switch name {
	case tasks.EventPopup:
		return m.Popup.List
	case tasks.EventChange:
		return m.Change.List
	}
	return m.Sent.List
}

// source names this very push. It hashes the opened body because a repeat is
// sealed anew, and more than user and time because two events may share both.
func (m *message) source(app string, body []byte) string {
	if m.Encrypt != "" { // it is in the body, and another one in a repeat
		body = m.said()
	}
	hash := sha256.New()
	for _, part := range []string{app, string(m.FromUserName), string(m.CreateTime), string(m.Event)} {
		hash.Write([]byte(part))
		hash.Write([]byte{0}) // no part holds one: nothing can move from one to the next
	}
	hash.Write(body)
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil)[:12])
}

// said is all that was read of a push but what is sealed in it.
func (m *message) said() []byte {
	rest := *m
	rest.Encrypt = ""
	text, err := json.Marshal(rest)
	if err != nil {
		panic(err) // it is made of strings
	}
	return text
}

// usable returns the items that can be acted on.
func usable(name tasks.EventName, listed items) []tasks.EventItem {
	readItem := item.choice
	if name == tasks.EventSent {
		readItem = item.receipt
	}
	var kept []tasks.EventItem
	for _, it := range listed {
		if one, ok := readItem(it); ok {
			kept = append(kept, one)
		}
	}
	return kept
}

// choice reads what a user decided about a template. Whatever is neither accept
// nor reject must not be taken for either.
func (it item) choice() (tasks.EventItem, bool) {
	if it.Status != "accept" && it.Status != "reject" || !tasks.ValidTemplateID(string(it.TemplateID)) {
		return tasks.EventItem{}, false
	}
	return tasks.EventItem{TemplateID: string(it.TemplateID), Status: string(it.Status)}, true
}

// receipt reads what became of a message. The msgid alone names the message, so
// a template that is missing or no template is left empty. An error code that is
// missing is not taken for success.
func (it item) receipt() (tasks.EventItem, bool) {
	code, err := strconv.ParseInt(string(it.ErrorCode), 10, 32)
	if err != nil || !isMsgID(string(it.MsgID)) {
		return tasks.EventItem{}, false
	}
	template := string(it.TemplateID)
	if !tasks.ValidTemplateID(template) {
		template = ""
	}
	return tasks.EventItem{
		TemplateID: template, MsgID: string(it.MsgID), ErrorCode: int(code), ErrorStatus: cut(string(it.ErrorStatus)),
	}, true
}

// isMsgID reports whether s is a positive 64-bit number as strconv writes it:
// the send call's answer, which it is joined with, was written so.
func isMsgID(s string) bool {
	n, err := strconv.ParseUint(s, 10, 64)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// maxStatus bounds an ErrorStatus, in bytes. WeChat lists no values; "success"
// and short phrases were seen.
const maxStatus = 128

// cut shortens an ErrorStatus to maxStatus bytes of UTF-8.
func cut(status string) string {
	status = strings.ToValidUTF8(status, "")
	if len(status) <= maxStatus {
		return status
	}
	end := maxStatus
	for !utf8.RuneStart(status[end]) {
		end--
	}
	return status[:end]
}
