package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// setter reads the value of one field. It is never called with null, which is
// the same as leaving the field out.
type setter func(d *draft, field string, raw json.RawMessage)

// notificationFields are the fields of a notification; a test holds the OpenAPI
// document against them. No other name is accepted.
var notificationFields = map[string]setter{
	"app":               word(func(n *tasks.Notification) *string { return &n.App }),
	"kind":              word(func(n *tasks.Notification) *tasks.Kind { return &n.Kind }),
	"id":                word(func(n *tasks.Notification) *string { return &n.ID }),
	"to":                setRecipient,
	"template_id":       required(func(n *tasks.Notification) *string { return &n.TemplateID }),
	"page":              setPage,
	"data":              setData,
	"miniprogram_state": word(func(n *tasks.Notification) *string { return &n.MiniprogramState }),
	"lang":              word(func(n *tasks.Notification) *string { return &n.Lang }),
	"send_at":           moment(func(n *tasks.Notification) *time.Time { return &n.SendAt }),
	"not_after":         moment(func(n *tasks.Notification) *time.Time { return &n.NotAfter }),
	"priority":          word(func(n *tasks.Notification) *tasks.Priority { return &n.Priority }),
	"on_unknown":        word(func(n *tasks.Notification) *tasks.OnUnknown { return &n.OnUnknown }),
}

// recipientFields are the fields of to.
var recipientFields = map[string]setter{
	"openid": required(func(n *tasks.Notification) *string { return &n.To.OpenID }),
}

// maxFieldErrors bounds the answer to a body that is wrong everywhere.
const maxFieldErrors = 50

// draft is a notification while it is read.
type draft struct {
	n    tasks.Notification
	errs []tasks.FieldError
	// complaints counts what errs lists once per field.
	complaints int
}

// add records what is wrong with a field, once per field.
func (d *draft) add(field, detail string) {
	same := func(e tasks.FieldError) bool { return e.Field == field }
	if !d.full() && !slices.ContainsFunc(d.errs, same) {
		d.errs = append(d.errs, tasks.FieldError{Field: field, Detail: detail})
	}
	d.complaints++
}

// full reports whether enough is wrong to stop reading.
func (d *draft) full() bool { return d.complaints >= maxFieldErrors }

// notification reads one notification and judges it as the Sender will, so that
// what is wrong with its JSON and with its values is told at once. With a
// problem it returns what could be read, for the metrics alone.
func (g *gateway) notification(raw json.RawMessage) (tasks.Notification, *problem) {
	if raw[0] != '{' {
		return tasks.Notification{}, newProblem(http.StatusBadRequest, "a notification must be an object, not "+typeOf(raw))
	}
	var d draft
	d.object("", raw, notificationFields)
	if !d.concerns("app") {
		app, wrong := g.chosenApp(d.n.App)
		if wrong != "" {
			d.add("app", wrong)
		}
		d.n.App = app
	}
	d.validate()
	if len(d.errs) > 0 {
		return d.n, invalid(d.errs...)
	}
	return d.n, nil
}

// validate adds what the contract finds wrong with the fields that could be read.
func (d *draft) validate() {
	refused, ok := errors.AsType[*tasks.ValidationError](d.n.Validate(time.Now()))
	if !ok {
		return
	}
	for _, f := range refused.Fields {
		if !d.concerns(f.Field) {
			d.add(f.Field, f.Detail)
		}
	}
}

// concerns reports whether field, a part of it or the object it is in is wrong
// already: what could not be read is not missing.
func (d *draft) concerns(field string) bool {
	return slices.ContainsFunc(d.errs, func(e tasks.FieldError) bool {
		return e.Field == field || strings.HasPrefix(e.Field, field+".") || strings.HasPrefix(field, e.Field+".")
	})
}

// object reads an object whose names are known.
func (d *draft) object(prefix string, raw json.RawMessage, fields map[string]setter) {
	seen := make(map[string]bool, len(fields))
	for name, value := range members(raw) {
		field := shown(prefix, name)
		set, known := fields[name]
		switch {
		case !known:
			d.add(field, "unknown field"+suggestion(name, fields))
		case seen[name]:
			d.add(field, "appears twice: say it once")
		case typeOf(value) != "null":
			set(d, field, value)
		}
		seen[name] = known
		if d.full() {
			return
		}
	}
}

// str reads a string. want describes what belongs there.
func (d *draft) str(field string, raw json.RawMessage, want string) (string, bool) {
	if raw[0] != '"' {
		d.add(field, fmt.Sprintf("must be %s, not %s", want, typeOf(raw)))
		return "", false
	}
	s, ok := text(raw)
	if !ok {
		d.add(field, "holds half of a character (an unpaired surrogate): cut texts between characters, not inside an emoji")
	}
	return s, ok
}

// required reads a string whose absence the contract finds.
func required(at func(*tasks.Notification) *string) setter {
	return func(d *draft, field string, raw json.RawMessage) {
		if s, ok := d.str(field, raw, "a string"); ok {
			*at(&d.n) = s
		}
	}
}

// word reads a string that has a default. An empty one is refused: it is more
// likely a variable that was never set than a wish for the default.
func word[T ~string](at func(*tasks.Notification) *T) setter {
	return func(d *draft, field string, raw json.RawMessage) {
		s, ok := d.str(field, raw, "a string")
		if ok && s == "" {
			d.add(field, "must not be empty: leave it out for the default")
		}
		*at(&d.n) = T(s)
	}
}

// earliest is long before any notification: what lies before is the zero time
// of some language, and means that nothing was meant.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func moment(at func(*tasks.Notification) *time.Time) setter {
	const want = `a string with a time and its offset (RFC 3339), such as "2030-01-31T09:00:00+08:00"`
	return func(d *draft, field string, raw json.RawMessage) {
		s, ok := d.str(field, raw, want)
		if !ok {
			return
		}
		var t time.Time
		switch err := t.UnmarshalText([]byte(s)); {
		case err != nil:
			d.add(field, "must be "+want)
		case t.Before(earliest):
			d.add(field, "lies before the year 2000: leave it out if no time is meant")
		default:
			*at(&d.n) = t
		}
	}
}

// setPage keeps "", which means no jump.
func setPage(d *draft, field string, raw json.RawMessage) {
	if s, ok := d.str(field, raw, "a string"); ok {
		d.n.Page = &s
	}
}

func setRecipient(d *draft, field string, raw json.RawMessage) {
	if raw[0] != '{' {
		d.add(field, `must be an object, {"openid": string}, not `+typeOf(raw))
		return
	}
	d.object(field, raw, recipientFields)
}

func setData(d *draft, field string, raw json.RawMessage) {
	if raw[0] != '{' {
		d.add(field, `must be an object, such as {"thing1": "…"}, not `+typeOf(raw))
		return
	}
	d.n.Data = map[string]string{}
	for key, value := range members(raw) {
		name := shown(field, key)
		if _, twice := d.n.Data[key]; twice {
			d.add(name, "appears twice: say it once")
		}
		d.n.Data[key] = d.dataValue(name, value)
		if d.full() {
			return
		}
	}
}

// dataValue reads "v", or {"value": "v"} as WeChat writes it. Numbers are
// refused, because nobody can tell how they should be spelled: 1.0, 1, 1e3?
func (d *draft) dataValue(field string, raw json.RawMessage) (s string) {
	const want = `a string or {"value": string}`
	if raw[0] != '{' {
		s, _ = d.str(field, raw, want)
		return s
	}
	values := 0
	for name, value := range members(raw) {
		if name != "value" {
			d.add(shown(field, name), "unknown field: a value has no other property than value")
			continue
		}
		values++
		s, _ = d.str(field, value, want)
	}
	if values != 1 {
		d.add(field, "must be "+want+", with one value")
	}
	return s
}
