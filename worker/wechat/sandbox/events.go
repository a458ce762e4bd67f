package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"time"
)

// Names of the events the sandbox pushes by itself.
const (
	EventPopup  = "subscribe_msg_popup_event"
	EventChange = "subscribe_msg_change_event"
	EventSent   = "subscribe_msg_sent_event"
)

// wrapper names the element that holds an event's list in XML. JSON has the list at the top.
func wrapper(name string) string {
	switch name {
	case EventPopup:
		return "SubscribeMsgPopupEvent"
	case EventChange:
		return "SubscribeMsgChangeEvent"
	default:
		return "SubscribeMsgSentEvent"
	}
}

// Bounds of an event's name, and of the names of its fields, which become XML elements.
var (
	goodEventName = regexp.MustCompile(`^[A-Za-z0-9_]{1,64}$`)
	goodFieldName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.-]{0,63}$`)
)

// event is one event as it can be pushed in any format and mode. It never changes.
type event struct {
	name, openid string
	created      any            // Unix time, a json.Number or a text
	list         []any          // of the events about subscriptions
	own          map[string]any // of the others: their fields
}

// tree is the event as fields in the target's format. The map is the caller's.
func (e event) tree(t *target) map[string]any {
	m := map[string]any{
		"ToUserName": t.original, "FromUserName": e.openid, "CreateTime": e.created,
		"MsgType": "event", "Event": e.name,
	}
	maps.Copy(m, e.own)
	switch {
	case len(e.list) == 0:
	case t.xml:
		m[wrapper(e.name)] = map[string]any{"List": e.list}
	case len(e.list) == 1:
		m["List"] = e.list[0] // one item comes as an object
	default:
		m["List"] = e.list
	}
	return m
}

// numerals writes numbers as WeChat does: now as a JSON number, now as a text. Each bit decides on one.
type numerals uint64

func (n *numerals) write(number string) any {
	quoted := *n&1 == 1
	*n >>= 1
	if quoted {
		return number
	}
	return json.Number(number)
}

// numerals draws how the next event writes its numbers. a.mu is held.
func (a *app) numerals() *numerals {
	n := numerals(a.pushDice.Uint64())
	return &n
}

// sentEvent is what WeChat pushes about a message it has accepted. a.mu is held.
func (a *app) sentEvent(m message, msgID int64, code json.Number, status string, now time.Time) event {
	n := a.numerals()
	return event{
		name: EventSent, openid: m.ToUser, created: n.write(strconv.FormatInt(now.Unix(), 10)),
		list: []any{map[string]any{
			"TemplateId": m.TemplateID, "MsgID": n.write(strconv.FormatInt(msgID, 10)),
			"ErrorCode": n.write(code.String()), "ErrorStatus": status,
		}},
	}
}

// Event is any event, for those the sandbox does not push by itself.
type Event struct {
	Event  string `json:"event"`
	OpenID string `json:"openid"`
	// Body is a JSON object with the event's own fields. They replace the common ones (CreateTime and so on) of the same name.
	Body json.RawMessage `json:"body,omitempty"`
}

// PushEvent pushes an event to the app's callback URL, once.
func (s *Server) PushEvent(appID string, e Event) error {
	switch {
	case !goodEventName.MatchString(e.Event):
		return errors.New("sandbox: event: must be 1 to 64 letters, digits and underscores")
	case e.OpenID == "":
		return errors.New("sandbox: openid: must not be empty")
	}
	own, err := ownFields(e.Body)
	if err != nil {
		return err
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	t, n := a.target, a.numerals()
	a.mu.Unlock()
	if t == nil {
		return fmt.Errorf("sandbox: app %s: callback: none is set", appID)
	}
	created := n.write(strconv.FormatInt(s.now().Unix(), 10))
	a.courier.post(delivery{target: t, events: []event{{name: e.Event, openid: e.OpenID, created: created, own: own}}})
	return nil
}

// ownFields reads an event's own fields. Their names must be fit for XML.
func ownFields(body json.RawMessage) (map[string]any, error) {
	if len(body) == 0 {
		return nil, nil
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber() // a msgid has more digits than a float keeps
	var own map[string]any
	if err := dec.Decode(&own); err != nil {
		return nil, errors.New("sandbox: body: must be an object")
	}
	if !goodNames(own) {
		return nil, errors.New("sandbox: body: a field name must begin with a letter, and go on with letters, digits, _, . and -")
	}
	return own, nil
}

func goodNames(value any) bool {
	switch v := value.(type) {
	case map[string]any:
		for name, field := range v {
			if !goodFieldName.MatchString(name) || !goodNames(field) {
				return false
			}
		}
	case []any:
		for _, item := range v {
			if !goodNames(item) {
				return false
			}
		}
	}
	return true
}
