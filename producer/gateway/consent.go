package gateway

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// formIDFields are the fields of a form id.
var formIDFields = map[string]setter[producer.FormID]{
	"app":          word(func(f *producer.FormID) *string { return &f.App }),
	"openid":       required(func(f *producer.FormID) *string { return &f.OpenID }),
	"form_id":      required(func(f *producer.FormID) *string { return &f.FormID }),
	"uses":         setUses,
	"submitted_at": moment(func(f *producer.FormID) *time.Time { return &f.SubmittedAt }),
}

// subscriptionFields are the fields of a report.
var subscriptionFields = map[string]setter[producer.Subscription]{
	"app":       word(func(s *producer.Subscription) *string { return &s.App }),
	"openid":    required(func(s *producer.Subscription) *string { return &s.OpenID }),
	"report_id": required(func(s *producer.Subscription) *string { return &s.ReportID }),
	"results":   setResults,
}

// setUses reads a whole number. Zero is refused here, because it would mean one.
func setUses(d *draft[producer.FormID], field string, raw json.RawMessage) {
	n, err := strconv.Atoi(string(raw))
	if err != nil || n == 0 {
		d.add(field, "must be a whole number, 1 to "+strconv.Itoa(ledger.MaxUses)+": leave it out for 1")
		return
	}
	d.v.Uses = n
}

// setResults reads {"TEMPLATE_ID": "accept"}. errMsg, which the front end finds
// beside the templates, may be anything.
func setResults(d *draft[producer.Subscription], field string, raw json.RawMessage) {
	if raw[0] != '{' {
		d.add(field, `must be an object, such as {"TEMPLATE_ID": "accept"}, not `+typeOf(raw))
		return
	}
	d.v.Results = map[string]string{}
	for id, value := range members(raw) {
		if id == "errMsg" {
			continue
		}
		name := field
		if tasks.ValidTemplateID(id) {
			name += "." + id
		}
		if _, twice := d.v.Results[id]; twice {
			d.add(name, "appears twice: say it once")
		}
		d.v.Results[id], _ = d.str(name, value, "a string")
		if d.full() {
			return
		}
	}
}

// read reads the body of a POST that has the given fields.
func read[T any](x *exchange, fields map[string]setter[T]) (*draft[T], *problem) {
	body, p := x.readPost(maxBody)
	if p != nil {
		return nil, p
	}
	d := new(draft[T])
	d.object("", body, fields)
	return d, nil
}

// grantFormID is POST /v1/form-ids.
func (g *gateway) grantFormID(x *exchange) reply {
	d, p := read(x, formIDFields)
	if p != nil {
		return p.reply()
	}
	d.chooseApp(g, &d.v.App)
	d.judge(d.v.Validate(time.Now()))
	if p := d.problem(); p != nil {
		return p.reply()
	}
	x.app = d.v.App
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	granted, err := g.sender.GrantFormID(ctx, d.v)
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	if granted.Result == ledger.FormIDRepeated {
		g.observeGrant(x.app, metrics.GrantFromFormID, metrics.GrantRepeated)
		return answer(http.StatusOK, granted)
	}
	g.observeGrant(x.app, metrics.GrantFromFormID, metrics.GrantGranted)
	return answer(http.StatusCreated, granted)
}

// grantSubscription is POST /v1/subscriptions.
func (g *gateway) grantSubscription(x *exchange) reply {
	d, p := read(x, subscriptionFields)
	if p != nil {
		return p.reply()
	}
	d.chooseApp(g, &d.v.App)
	d.judge(d.v.Validate())
	if p := d.problem(); p != nil {
		return p.reply()
	}
	x.app = d.v.App
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	granted, err := g.sender.GrantSubscription(ctx, d.v)
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	g.countReport(x.app, len(d.v.Results), granted)
	return answer(http.StatusOK, granted)
}

// countReport counts each template of a report once.
func (g *gateway) countReport(app string, templates int, s producer.SubscriptionGrant) {
	count := func(n int, result string) {
		for range n {
			g.observeGrant(app, metrics.GrantFromReport, result)
		}
	}
	if s.Repeated {
		count(templates, metrics.GrantRepeated)
		return
	}
	count(s.Accepted, metrics.GrantGranted)
	count(s.Refused, metrics.GrantRefused)
	count(templates-s.Accepted-s.Refused, metrics.GrantIgnored)
}

// credits is GET /v1/credits.
func (g *gateway) credits(x *exchange) reply {
	query, app, fields, p := g.asked(x, "openid")
	if p != nil {
		return p.reply()
	}
	openID := query.Get("openid")
	if len(query["openid"]) < 2 {
		fields = append(fields, checkOpenID(openID)...)
	}
	if len(fields) > 0 {
		return invalid(fields...).reply()
	}
	x.app = app
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	allowed, err := g.sender.Credits(ctx, app, openID)
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	return answer(http.StatusOK, allowed)
}

// erasing is the answer to an erasure.
type erasing struct {
	App    string `json:"app"`
	Status string `json:"status"`
}

// eraseUser is DELETE /v1/users/{openid}.
func (g *gateway) eraseUser(x *exchange) reply {
	_, app, fields, p := g.asked(x)
	if p != nil {
		return p.reply()
	}
	openID := x.r.PathValue("openid")
	if fields = append(fields, checkOpenID(openID)...); len(fields) > 0 {
		return invalid(fields...).reply()
	}
	x.app = app
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	if err := g.sender.EraseUser(ctx, app, openID); err != nil {
		return g.failed(x, "", "", err).reply()
	}
	return answer(http.StatusAccepted, erasing{App: app, Status: "erasing"})
}

func checkOpenID(openID string) []tasks.FieldError {
	if tasks.ValidOpenID(openID) {
		return nil
	}
	return []tasks.FieldError{{Field: "openid", Detail: "required: the user's openid in the app, letters, digits, '_' or '-'"}}
}
