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

// setter reads the value of one field of a T. It is never called with null, which
// is the same as leaving the field out.
type setter[T any] func(d *draft[T], field string, raw json.RawMessage)

// notificationFields are the fields of a notification; a test holds the OpenAPI
// document against them. No other name is accepted.
var notificationFields = map[string]setter[tasks.Notification]{
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
	"form_id":           word(func(n *tasks.Notification) *string { return &n.FormID }),
	"emphasis_keyword":  word(func(n *tasks.Notification) *string { return &n.EmphasisKeyword }),
	"sn":                word(func(n *tasks.Notification) *string { return &n.SN }),
	"model_id":          word(func(n *tasks.Notification) *string { return &n.ModelID }),
	"notify_type":       setNotifyType,
	"notify_code":       word(func(n *tasks.Notification) *string { return &n.NotifyCode }),
	"content":           cardObject(func(n *tasks.Notification) *json.RawMessage { return &n.Content }),
	"check":             cardObject(func(n *tasks.Notification) *json.RawMessage { return &n.Check }),
	"ext":               cardObject(func(n *tasks.Notification) *json.RawMessage { return &n.Ext }),
	"truncate":          flag(func(d *draft[tasks.Notification]) *bool { return &d.v.Truncate }),
	"dry_run":           flag(func(d *draft[tasks.Notification]) *bool { return &d.dryRun }),
}

// recipientFields are the fields of to.
var recipientFields = map[string]setter[tasks.Notification]{
	"openid":  word(func(n *tasks.Notification) *string { return &n.To.OpenID }),
	"code":    word(func(n *tasks.Notification) *string { return &n.To.Code }),
	"openids": setOpenIDs,
}

// maxFieldErrors bounds the answer to a body that is wrong everywhere.
const maxFieldErrors = 50

// draft is a T while it is read.
type draft[T any] struct {
	v    T
	errs []tasks.FieldError
	// complaints counts what errs lists once per field.
	complaints int
	// dryRun says that nothing is to be done with it but to judge it.
	dryRun bool
}

// add records what is wrong with a field, once per field.
func (d *draft[T]) add(field, detail string) {
	same := func(e tasks.FieldError) bool { return e.Field == field }
	if !d.full() && !slices.ContainsFunc(d.errs, same) {
		d.errs = append(d.errs, tasks.FieldError{Field: field, Detail: detail})
	}
	d.complaints++
}

// full reports whether enough is wrong to stop reading.
func (d *draft[T]) full() bool { return d.complaints >= maxFieldErrors }

// notification reads one notification and judges it as the Sender will, so that
// what is wrong with its JSON and with its values is told at once. With a
// problem it returns what could be read, for the metrics alone. dry: it asks for a
// dry run.
func (g *gateway) notification(raw json.RawMessage) (n tasks.Notification, dry bool, p *problem) {
	if raw[0] != '{' {
		return tasks.Notification{}, false, newProblem(http.StatusBadRequest, "a notification must be an object, not "+typeOf(raw))
	}
	var d draft[tasks.Notification]
	d.object("", raw, notificationFields)
	d.chooseApp(g, &d.v.App)
	d.judge(d.v.Validate(time.Now()))
	return d.v, d.dryRun, d.problem()
}

// chooseApp fills in the app if it may be left out, and refuses one that the
// gateway does not serve.
func (d *draft[T]) chooseApp(g *gateway, app *string) {
	if d.concerns("app") {
		return
	}
	chosen, wrong := g.chosenApp(*app)
	if wrong != "" {
		d.add("app", wrong)
	}
	*app = chosen
}

// judge adds what the contract finds wrong with the fields that could be read.
func (d *draft[T]) judge(err error) {
	refused, ok := errors.AsType[*tasks.ValidationError](err)
	if !ok {
		return
	}
	for _, f := range refused.Fields {
		// What could not be read of to stands for the openid that is missing.
		told := d.concerns(f.Field) || strings.HasPrefix(f.Field, "to.openid") && (d.concerns("to.code") || d.concerns("to.openid") || d.concerns("to.openids"))
		if !told {
			d.add(f.Field, f.Detail)
		}
	}
}

// problem is the answer to what is wrong, nil if nothing is.
func (d *draft[T]) problem() *problem {
	if len(d.errs) == 0 {
		return nil
	}
	return invalid(d.errs...)
}

// concerns reports whether field, a part of it or the object it is in is wrong
// already: what could not be read is not missing.
func (d *draft[T]) concerns(field string) bool {
	return slices.ContainsFunc(d.errs, func(e tasks.FieldError) bool {
		return e.Field == field || strings.HasPrefix(e.Field, field+".") || strings.HasPrefix(field, e.Field+".")
	})
}

// object reads an object whose names are known.
func (d *draft[T]) object(prefix string, raw json.RawMessage, fields map[string]setter[T]) {
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
func (d *draft[T]) str(field string, raw json.RawMessage, want string) (string, bool) {
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
func required[T any](at func(*T) *string) setter[T] {
	return func(d *draft[T], field string, raw json.RawMessage) {
		if s, ok := d.str(field, raw, "a string"); ok {
			*at(&d.v) = s
		}
	}
}

// word reads a string that may be left out. An empty one is refused: it is more
// likely a variable that was never set than a wish for the default.
func word[T any, S ~string](at func(*T) *S) setter[T] {
	return func(d *draft[T], field string, raw json.RawMessage) {
		s, ok := d.str(field, raw, "a string")
		if ok && s == "" {
			d.add(field, "must not be empty: leave it out if nothing is meant")
		}
		*at(&d.v) = S(s)
	}
}

// flag reads true or false.
func flag[T any](at func(*draft[T]) *bool) setter[T] {
	return func(d *draft[T], field string, raw json.RawMessage) {
		switch string(raw) {
		case "true", "false":
			*at(d) = raw[0] == 't'
		default:
			d.add(field, "must be true or false, not "+typeOf(raw))
		}
	}
}

// earliest is long before any notification: what lies before is the zero time
// of some language, and means that nothing was meant.
var earliest = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func moment[T any](at func(*T) *time.Time) setter[T] {
	const want = `a string with a time and its offset (RFC 3339), such as "2030-01-31T09:00:00+08:00"`
	return func(d *draft[T], field string, raw json.RawMessage) {
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
			*at(&d.v) = t
		}
	}
}

// setPage keeps "", which means no jump.
func setPage(d *draft[tasks.Notification], field string, raw json.RawMessage) {
	if s, ok := d.str(field, raw, "a string"); ok {
		d.v.Page = &s
	}
}

func setRecipient(d *draft[tasks.Notification], field string, raw json.RawMessage) {
	if raw[0] != '{' {
		d.add(field, `must be an object, {"openid": string}, {"code": string} or {"openids": [string]}, not `+typeOf(raw))
		return
	}
	d.object(field, raw, recipientFields)
}

func setData(d *draft[tasks.Notification], field string, raw json.RawMessage) {
	if raw[0] != '{' {
		d.add(field, `must be an object, such as {"thing1": "…"}, not `+typeOf(raw))
		return
	}
	d.v.Data = map[string]string{}
	for key, value := range members(raw) {
		name := shown(field, key)
		if _, twice := d.v.Data[key]; twice {
			d.add(name, "appears twice: say it once")
		}
		d.v.Data[key] = d.dataValue(name, value)
		if d.full() {
			return
		}
	}
}

// dataValue reads "v", or {"value": "v"} as WeChat writes it. Numbers are
// refused, because nobody can tell how they should be spelled: 1.0, 1, 1e3?
func (d *draft[T]) dataValue(field string, raw json.RawMessage) (s string) {
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
