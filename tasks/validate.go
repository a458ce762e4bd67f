package tasks

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// FieldError says what is wrong with one field and what to do about it. Field
// is the name the HTTP API uses.
type FieldError struct {
	Field  string `json:"field"`
	Detail string `json:"detail"`
}

// ValidationError lists what is wrong with a notification, one entry per field.
// It never holds a value, which may be a person's.
type ValidationError struct {
	Fields []FieldError
}

func (e *ValidationError) Error() string {
	parts := make([]string, len(e.Fields))
	for i, f := range e.Fields {
		parts[i] = f.Field + ": " + f.Detail
	}
	return "tasks: notification refused: " + strings.Join(parts, "; ")
}

// Limits of what a notification may hold. WeChat's own limits are narrower for
// most values; these keep the queue safe.
const (
	maxOpaque   = 128  // openid, template id
	maxAppID    = 64   // WeChat's are 18 characters
	maxPage     = 1024 // bytes
	maxDataKeys = 20   // a template has at most a handful
	maxKey      = 64   // bytes
	maxValue    = 1024 // bytes

	maxRequestID = 64
)

// What is wrong with the fields that every notification has; made once, because
// every task is judged when it is taken from its queue, too.
var (
	detailApp    = fmt.Sprintf("required: the AppID, at most %d letters, digits, '_' or '-'", maxAppID)
	detailID     = fmt.Sprintf("use 1 to %d characters of A-Z a-z 0-9 . _ ~ -, or leave it out", maxID)
	detailOpenID = fmt.Sprintf("required: the user's openid in this app, at most %d letters, digits, '_' or '-'", maxOpaque)
	detailCode   = fmt.Sprintf("the login code from wx.login, at most %d visible characters", maxOpaque)
	detailFormID = fmt.Sprintf("the formId of a submit event or a prepay_id, at most %d visible characters without ';' or ','; "+
		"the developer tools' simulator gives a mock one that cannot be used", maxOpaque)
	detailRequestID = fmt.Sprintf("use at most %d visible ASCII characters without blanks, or leave it out", maxRequestID)
	detailTemplate  = fmt.Sprintf("required: the template's id from the WeChat console, at most %d letters, digits, '_' or '-'", maxOpaque)
)

// Validate checks a notification as it would be enqueued at now. The error is
// nil or a *ValidationError. An empty ID is fine: the client makes one.
func (n Notification) Validate(now time.Time) error {
	given := n
	n = n.WithDefaults()
	var v validation
	v.check(ValidApp(n.App), "app", detailApp)
	oneOf(&v, "kind", n.Kind, Kinds()...)
	v.check(n.ID == "" || validID(n.ID), "id", detailID)
	v.recipient(n.Kind, given.To)
	if n.Kind != KindCard {
		v.message(n)
	}
	v.template(n)
	v.device(n)
	v.card(given)
	oneOf(&v, "priority", n.Priority, Priorities()...)
	oneOf(&v, "on_unknown", n.OnUnknown, Resend, Drop)
	v.times(n, now)
	v.check(n.RequestID == "" || len(n.RequestID) <= maxRequestID && visible(n.RequestID), "request_id", detailRequestID)
	return v.err()
}

// message checks what every kind has but a card.
func (v *validation) message(n Notification) {
	v.check(validOpaque(n.TemplateID), "template_id", detailTemplate)
	v.page(*n.Page)
	v.data(n.Data, n.Kind == KindTemplate)
	oneOf(v, "miniprogram_state", n.MiniprogramState, "formal", "trial", "developer")
	oneOf(v, "lang", n.Lang, "zh_CN", "en_US", "zh_HK", "zh_TW")
}

// ValidApp reports whether app can be an AppID.
func ValidApp(app string) bool {
	return app != "" && len(app) <= maxAppID && allBytes(app, isOpaqueByte)
}

// ValidOpenID reports whether openID can be a user's id in an app.
func ValidOpenID(openID string) bool { return validOpaque(openID) }

// ValidTemplateID reports whether id can be a template's.
func ValidTemplateID(id string) bool { return validOpaque(id) }

// ValidID reports whether id can name a notification.
func ValidID(id string) bool { return validID(id) }

// ValidFormID reports whether id can be a form id or a prepay_id. What JavaScript
// makes of a missing one is none.
func ValidFormID(id string) bool {
	return id != "undefined" && id != "null" && len(id) <= maxOpaque && visible(id) && !strings.ContainsAny(id, ";,")
}

// visible reports whether s is printable ASCII without blanks, and not empty.
func visible(s string) bool {
	return s != "" && allBytes(s, func(c byte) bool { return c > ' ' && c <= '~' })
}

func validOpaque(s string) bool {
	return s != "" && len(s) <= maxOpaque && allBytes(s, isOpaqueByte)
}

type validation struct{ fields []FieldError }

func (v *validation) add(field, detail string) {
	v.fields = append(v.fields, FieldError{Field: field, Detail: detail})
}

func (v *validation) check(ok bool, field, detail string) {
	if !ok {
		v.add(field, detail)
	}
}

func (v *validation) err() error {
	if len(v.fields) == 0 {
		return nil
	}
	return &ValidationError{Fields: v.fields}
}

func (v *validation) page(page string) {
	switch {
	case len(page) > maxPage:
		v.add("page", fmt.Sprintf("at most %d bytes", maxPage))
	case !cleanText(page):
		v.add("page", "must be UTF-8 without control characters")
	}
}

// recipient checks whom it is for, as it was given.
func (v *validation) recipient(kind Kind, to Recipient) {
	switch {
	case kind == KindDevice:
		v.devices(to)
	case len(to.OpenIDs) > 0:
		v.add("to.openids", "belongs to kind device: name one user in to.openid")
	case to.OpenID != "" && to.Code != "":
		v.add("to", "name the user by openid or by code, not by both")
	case to.Code != "":
		v.check(len(to.Code) <= maxOpaque && visible(to.Code), "to.code", detailCode)
	default:
		v.check(validOpaque(to.OpenID), "to.openid", detailOpenID)
	}
}

// template checks the fields that only KindTemplate has.
func (v *validation) template(n Notification) {
	if n.Kind != KindTemplate {
		v.check(n.FormID == "", "form_id", "belongs to kind template: leave it out")
		v.check(n.EmphasisKeyword == "", "emphasis_keyword", "belongs to kind template: leave it out")
		return
	}
	v.check(n.FormID == "" || ValidFormID(n.FormID), "form_id", detailFormID)
	key, ok := strings.CutSuffix(n.EmphasisKeyword, ".DATA")
	v.check(n.EmphasisKeyword == "" || ok && validKey(key), "emphasis_keyword", "write the key and .DATA, such as keyword1.DATA")
}

func (v *validation) data(data map[string]string, optional bool) {
	if len(data) == 0 && optional {
		return
	}
	if len(data) == 0 || len(data) > maxDataKeys {
		v.add("data", fmt.Sprintf("required: 1 to %d values by template key, such as {\"thing1\":\"…\"}", maxDataKeys))
		return
	}
	found := len(v.fields)
	for k, value := range data {
		if !validKey(k) {
			v.fields = v.fields[:found]
			v.add("data", "a key must be letters and a number as the template names it, such as thing1")
			return
		}
		if wrong := wrongValue(value); wrong != "" {
			v.add("data."+k, wrong)
		}
	}
	slices.SortFunc(v.fields[found:], func(a, b FieldError) int { return strings.Compare(a.Field, b.Field) })
}

// wrongValue names what WeChat answers with 47003 for every type: empty values,
// and newlines and other control characters (its page on the send call says so).
func wrongValue(value string) string {
	switch {
	case strings.TrimSpace(value) == "":
		return "must not be empty: WeChat refuses empty values (47003)"
	case len(value) > maxValue:
		return fmt.Sprintf("at most %d bytes", maxValue)
	case !cleanText(value):
		return "must be UTF-8 without newlines or other control characters (WeChat answers 47003)"
	}
	return ""
}

func (v *validation) times(n Notification, now time.Time) {
	start := now
	v.check(n.To.Code == "" || !n.SendAt.After(now), "send_at", "leave it out with to.code: a login code is good for five minutes only")
	if n.SendAt.After(now.Add(MaxAhead)) {
		v.add("send_at", "at most 30 days ahead")
	} else if n.SendAt.After(now) {
		start = n.SendAt
	}
	if !n.NotAfter.IsZero() && !n.NotAfter.After(start) {
		if start.Equal(now) {
			v.add("not_after", "lies in the past: leave it out or choose a later time")
		} else {
			v.add("not_after", "must be after send_at")
		}
	}
}

func oneOf[T ~string](v *validation, field string, value T, allowed ...T) {
	if slices.Contains(allowed, value) {
		return
	}
	options := make([]string, len(allowed))
	for i, a := range allowed {
		options[i] = string(a)
	}
	v.add(field, "must be one of "+strings.Join(options, ", "))
}

func validKey(k string) bool {
	return k != "" && len(k) <= maxKey && allBytes(k, func(c byte) bool { return isAlnum(c) || c == '_' })
}

func cleanText(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
