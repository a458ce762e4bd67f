package producer

import (
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// maxTemplates is how many templates one report may name: more than WeChat lets a
// Mini Program ask for at once.
const maxTemplates = 20

// clockSkew is how far ahead of ours the clock may be that a form was submitted by.
const clockSkew = time.Minute

// What is wrong with a field, and what would be right.
const (
	detailApp      = "required: the AppID, letters, digits, '_' or '-'"
	detailOpenID   = "required: the user's openid in this app, letters, digits, '_' or '-'"
	detailFormID   = "required: the formId of the submit event or a prepay_id, at most 128 visible characters without ';' or ','; the developer tools' simulator gives a mock one that cannot be used"
	detailExpired  = "more than 7 days ago: the form id has expired"
	detailFuture   = "lies in the future: say when the form was submitted, or leave it out for now"
	detailReportID = "required: an id of this one answer, 1 to 128 characters of A-Z a-z 0-9 . _ ~ -, that the front end makes before it reports; a report repeated after a lost reply is then counted once"
	detailResult   = "must be accept, reject, ban or filter, as wx.requestSubscribeMessage gave it"
)

var (
	detailUses      = fmt.Sprintf("must be 1 to %d: a form id allows one message, a prepay_id %d", ledger.MaxUses, ledger.MaxUses)
	detailResults   = fmt.Sprintf("required: 1 to %d results by template id, such as {\"TEMPLATE_ID\":\"accept\"}", maxTemplates)
	detailTemplates = fmt.Sprintf("required: 1 to %d template ids as the WeChat console shows them", maxTemplates)
)

// refusal collects what is wrong.
type refusal []tasks.FieldError

func (r *refusal) check(ok bool, field, detail string) {
	if !ok {
		*r = append(*r, tasks.FieldError{Field: field, Detail: detail})
	}
}

func (r refusal) err() error {
	if len(r) == 0 {
		return nil
	}
	return &ValidationError{Fields: r}
}

func checkUser(app, openID string) refusal {
	var r refusal
	r.check(tasks.ValidApp(app), "app", detailApp)
	r.check(tasks.ValidOpenID(openID), "openid", detailOpenID)
	return r
}

// Validate checks a form id as it would be granted at now. The error is nil or a
// *ValidationError.
func (f FormID) Validate(now time.Time) error {
	r := checkUser(f.App, f.OpenID)
	r.check(tasks.ValidFormID(f.FormID), "form_id", detailFormID)
	r.check(f.Uses >= 0 && f.Uses <= ledger.MaxUses, "uses", detailUses)
	r.check(!f.SubmittedAt.After(now.Add(clockSkew)), "submitted_at", detailFuture)
	r.check(f.submitted(now).Add(ledger.FormIDLife).After(now), "submitted_at", detailExpired)
	return r.err()
}

// submitted is when the form was submitted, seen from now.
func (f FormID) submitted(now time.Time) time.Time {
	if f.SubmittedAt.IsZero() || f.SubmittedAt.After(now) {
		return now
	}
	return f.SubmittedAt
}

// Validate checks a report. The error is nil or a *ValidationError.
func (s Subscription) Validate() error {
	r := checkUser(s.App, s.OpenID)
	r.check(tasks.ValidID(s.ReportID), "report_id", detailReportID)
	templates := s.templates()
	r.check(len(templates) > 0 && len(templates) <= maxTemplates, "results", detailResults)
	for _, id := range templates[:min(len(templates), maxTemplates)] {
		if !tasks.ValidTemplateID(id) {
			r.check(false, "results", detailResults) // not by its name, which can be anything
			break
		}
		_, known := accepts[s.Results[id]]
		r.check(known, "results."+id, detailResult)
	}
	return r.err()
}

func checkTemplates(app, openID string, ids []string) error {
	r := checkUser(app, openID)
	ok := len(ids) > 0 && len(ids) <= maxTemplates
	for _, id := range ids {
		ok = ok && tasks.ValidTemplateID(id)
	}
	r.check(ok, "template_id", detailTemplates)
	return r.err()
}
