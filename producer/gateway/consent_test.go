package gateway

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

const template = "pKQYkVqAdt2fHAqP8P8rBUoh-79Yln_27oBsZ0TXhdY"

// body is a JSON object with more or other fields; absent takes one out.
func body(least map[string]any, fields ...any) string {
	for i := 0; i < len(fields); i += 2 {
		least[fields[i].(string)] = fields[i+1]
		if fields[i+1] == absent {
			delete(least, fields[i].(string))
		}
	}
	text, err := json.Marshal(least)
	if err != nil {
		panic(err)
	}
	return string(text)
}

const absent = "(absent)"

func formID(fields ...any) string {
	return body(map[string]any{"openid": openid, "form_id": "CANARYform-0123456789"}, fields...)
}

func subscription(fields ...any) string {
	return body(map[string]any{
		"openid": openid, "report_id": "CANARYreport", "results": map[string]any{template: "accept", "errMsg": "requestSubscribeMessage:ok"},
	}, fields...)
}

func TestGrantFormID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	submitted := time.Now().Add(-time.Hour).Truncate(time.Second)
	for _, status := range []int{201, 200} {
		r := b.do("POST", "/v1/form-ids", formID("uses", 3, "submitted_at", submitted.Format(time.RFC3339))).want(status)
		r.wantField("app", app)
		if (r.json["expires_at"] != nil) != (status == 201) {
			t.Errorf("%d: %s", status, r.Body)
		}
	}
	want := producer.FormID{App: app, OpenID: openid, FormID: "CANARYform-0123456789", Uses: 3, SubmittedAt: submitted}
	if got := b.sender.forms[0]; !got.SubmittedAt.Equal(submitted) || got.FormID != want.FormID || got.Uses != 3 || got.OpenID != openid || got.App != app {
		t.Errorf("%+v", got)
	}
	b.do("POST", "/v1/form-ids", formID("form_id", "other", "uses", nil, "submitted_at", nil)).want(201)
	b.wantGrants("form_id granted", "form_id repeated", "form_id granted")
}

func (b *bundle) wantGrants(want ...string) {
	b.t.Helper()
	if !slices.Equal(b.grants, want) {
		b.t.Errorf("counted %v, want %v", b.grants, want)
	}
	b.grants = nil
}

func TestGrantSubscription(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sender.granted = producer.SubscriptionGrant{Counted: true, Accepted: 2, Refused: 1}
	r := b.do("POST", "/v1/subscriptions", subscription("results", map[string]any{"a": "accept", "b": "reject", "c": "accept", "errMsg": 1})).want(200)
	for name, want := range map[string]any{"app": app, "counted": true, "repeated": false, "accepted": 2.0, "refused": 1.0, "note": nil} {
		r.wantField(name, want)
	}
	got := b.sender.reports[0]
	if got.App != app || got.OpenID != openid || got.ReportID != "CANARYreport" || fmt.Sprint(got.Results) != "map[a:accept b:reject c:accept]" {
		t.Errorf("%+v", got)
	}
	b.wantGrants("report granted", "report granted", "report refused")
	b.sender.granted = producer.SubscriptionGrant{Note: "because"}
	r = b.do("POST", "/v1/subscriptions", subscription()).want(200)
	r.wantField("counted", false)
	r.wantField("note", "because")
	b.wantGrants("report ignored")
	b.sender.granted = producer.SubscriptionGrant{Counted: true, Repeated: true}
	b.do("POST", "/v1/subscriptions", subscription()).want(200)
	b.wantGrants("report repeated")
}

func TestShowCredits(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Date(2030, 1, 31, 1, 0, 0, 0, time.UTC)
	b.sender.credits = producer.Credits{
		Mode: tasks.CreditsObserve, Source: tasks.ConsentEvent,
		Subscriptions: []producer.SubscriptionCredits{{TemplateID: template, Type: "one_time", Credits: 2, ChangedAt: at}},
		FormIDs:       []producer.FormIDCredits{{FormID: "form…0001", Uses: 1, ExpiresAt: at}},
	}
	r := b.do("GET", "/v1/credits?openid="+openid+"&app="+app, "").want(200)
	r.wantField("app", app)
	r.wantField("mode", "observe")
	got := r.json["subscriptions"].([]any)[0].(map[string]any)
	if got["template_id"] != template || got["credits"] != 2.0 || got["refused_at"] != nil || got["changed_at"] != "2030-01-31T01:00:00Z" {
		t.Errorf("%v", got)
	}
	b.do("GET", "/v1/credits?openid="+openid, "").want(200)
}

func TestEraseUser(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.do("DELETE", "/v1/users/"+openid+"?app="+app, "").want(202)
	r.wantField("app", app)
	r.wantField("status", "erasing")
	if !slices.Equal(b.sender.erased, []string{app + " " + openid}) || !slices.Equal(b.requests, []string{"/v1/users/{openid} 202"}) {
		t.Errorf("erased %q, observed %q", b.sender.erased, b.requests)
	}
	for _, path := range []string{"/v1/users/CANARY%20", "/v1/users/" + strings.Repeat("CANARY", 22)} {
		if got := b.do("DELETE", path, "").want(422).fields(); !slices.Equal(got, []string{"openid"}) {
			t.Errorf("%s: %v", path, got)
		}
	}
	if len(b.sender.erased) != 1 {
		t.Errorf("erased %q", b.sender.erased)
	}
}

// Every value sent here is a canary: do() searches answer and log for it.
func TestBadFormIDs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"no JSON":          {"CANARY", 400, nil},
		"array":            {"[" + formID() + "]", 400, nil},
		"nothing":          {"{}", 422, []string{"openid", "form_id"}},
		"unknown":          {formID("formid", content), 422, []string{"formid"}},
		"nested":           {formID("to", map[string]any{"openid": openid}), 422, []string{"to"}},
		"twice":            {`{"form_id":"CANARY1",` + formID()[1:], 422, []string{"form_id"}},
		"app empty":        {formID("app", ""), 422, []string{"app"}},
		"app other":        {formID("app", otherApp), 422, []string{"app"}},
		"openid malformed": {formID("openid", "CANARY !"), 422, []string{"openid"}},
		"openid number":    {formID("openid", 1), 422, []string{"openid"}},
		"form id mock":     {formID("form_id", "the formId is a mock one CANARY"), 422, []string{"form_id"}},
		"form id number":   {formID("form_id", 1234567890123), 422, []string{"form_id"}},
		"uses zero":        {formID("uses", 0), 422, []string{"uses"}},
		"uses many":        {formID("uses", 4), 422, []string{"uses"}},
		"uses negative":    {formID("uses", -1), 422, []string{"uses"}},
		"uses fraction":    {formID("uses", 1.5), 422, []string{"uses"}},
		"uses exponent":    {formID("uses", json.RawMessage("1e0")), 422, []string{"uses"}},
		"uses string":      {formID("uses", "3"), 422, []string{"uses"}},
		"submitted late":   {formID("submitted_at", "2999-01-01T00:00:00Z"), 422, []string{"submitted_at"}},
		"submitted early":  {formID("submitted_at", "2020-01-01T00:00:00Z"), 422, []string{"submitted_at"}},
		"submitted millis": {formID("submitted_at", 1893456000000), 422, []string{"submitted_at"}},
		"several":          {formID("openid", "", "uses", 9, "x", 1), 422, []string{"x", "openid", "uses"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.wantRefused("/v1/form-ids", c.body, c.status, c.fields)
		})
	}
}

func TestBadSubscriptions(t *testing.T) {
	t.Parallel()
	results := func(r any) string { return subscription("results", r) }
	many := map[string]any{}
	for i := range 21 {
		many[fmt.Sprint("t", i)] = "accept"
	}
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"no JSON":             {"CANARY", 400, nil},
		"nothing":             {"{}", 422, []string{"openid", "report_id", "results"}},
		"no report id":        {subscription("report_id", absent), 422, []string{"report_id"}},
		"report id empty":     {subscription("report_id", ""), 422, []string{"report_id"}},
		"report id malformed": {subscription("report_id", "CANARY/1"), 422, []string{"report_id"}},
		"report id number":    {subscription("report_id", 1), 422, []string{"report_id"}},
		"unknown":             {subscription("template_id", content), 422, []string{"template_id"}},
		"results null":        {results(nil), 422, []string{"results"}},
		"results array":       {results([]string{content}), 422, []string{"results"}},
		"results empty":       {results(map[string]any{}), 422, []string{"results"}},
		"errMsg alone":        {results(map[string]any{"errMsg": content}), 422, []string{"results"}},
		"too many":            {results(many), 422, []string{"results"}},
		"odd template":        {results(map[string]any{"CANARY !": "accept"}), 422, []string{"results"}},
		"odd and wrong":       {results(map[string]any{"CANARY !": 1}), 422, []string{"results"}},
		"another result":      {results(map[string]any{template: content}), 422, []string{"results." + template}},
		"a failed call":       {results(map[string]any{"errMsg": "fail", "errCode": 20004}), 422, []string{"results.errCode"}},
		"result true":         {results(map[string]any{template: true, "a": "accept"}), 422, []string{"results." + template}},
		"result null":         {results(map[string]any{template: nil}), 422, []string{"results." + template}},
		"result twice":        {results(json.RawMessage(`{"a":"accept","a":"reject"}`)), 422, []string{"results.a"}},
		"results twice":       {`{"results":{"a":"reject"},` + subscription()[1:], 422, []string{"results"}},
		"wrong everywhere":    {results(json.RawMessage(`{"a` + strings.Repeat(`":1,"CANARY !`, 4000) + `":1}`)), 422, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.wantRefused("/v1/subscriptions", c.body, c.status, c.fields)
		})
	}
}

// wantRefused posts a body and wants it refused for these fields; nil: whichever.
func (b *bundle) wantRefused(path, body string, status int, fields []string) {
	b.t.Helper()
	r := b.do("POST", path, body).want(status)
	got := r.fields()
	slices.Sort(got)
	slices.Sort(fields)
	if fields != nil && !slices.Equal(got, fields) {
		b.t.Errorf("fields %q, want %q: %s", got, fields, r.Body)
	}
	if (status == 422) != (len(got) > 0) || b.sender.calls > 0 {
		b.t.Errorf("%d fields, %d calls", len(got), b.sender.calls)
	}
}

func TestConsentQueries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		method, path string
		status       int
		fields       []string
	}{
		{"GET", "/v1/credits", 422, []string{"openid"}},
		{"GET", "/v1/credits?openid=", 422, []string{"openid"}},
		{"GET", "/v1/credits?openid=CANARY%20", 422, []string{"openid"}},
		{"GET", "/v1/credits?openid=CANARY&openid=CANARY", 422, []string{"openid"}},
		{"GET", "/v1/credits?openid=CANARY&app=wxCANARY", 422, []string{"app"}},
		{"GET", "/v1/credits?open_id=CANARY", 422, []string{"open_id", "openid"}},
		{"GET", "/v1/credits?openid=%zz", 400, nil},
		{"POST", "/v1/form-ids?openid=CANARY", 422, []string{"openid"}},
		{"POST", "/v1/subscriptions?app=CANARY", 422, []string{"app"}},
		{"DELETE", "/v1/users/CANARY?openid=CANARY", 422, []string{"openid"}},
		{"DELETE", "/v1/users/CANARY?app=wxCANARY", 422, []string{"app"}},
	} {
		body := ""
		if c.method == "POST" {
			body = "{}"
		}
		if got := b.do(c.method, c.path, body).want(c.status).fields(); !slices.Equal(got, c.fields) {
			t.Errorf("%s %s: %q, want %q", c.method, c.path, got, c.fields)
		}
	}
	if b.sender.calls > 0 {
		t.Errorf("%d calls", b.sender.calls)
	}
}

func TestConsentErrors(t *testing.T) {
	t.Parallel()
	for err, status := range map[error]int{
		producer.ErrUnknownApp: 422, producer.ErrNoWorker: 503, fmt.Errorf("%w: dial", producer.ErrUnavailable): 503,
		fmt.Errorf("producer: no random numbers"):                                                      500,
		&tasks.ValidationError{Fields: []tasks.FieldError{{Field: "submitted_at", Detail: "expired"}}}: 422,
	} {
		b := setup(t)
		b.sender.err = err
		for _, r := range []result{
			b.do("POST", "/v1/form-ids", formID()), b.do("POST", "/v1/subscriptions", subscription()),
			b.do("GET", "/v1/credits?openid="+openid, ""), b.do("DELETE", "/v1/users/"+openid, ""),
		} {
			r.want(status)
			if (r.Header().Get("Retry-After") != "") != (status == 503) {
				t.Errorf("%v: Retry-After %q", err, r.Header().Get("Retry-After"))
			}
		}
	}
}

// Without a key nothing is told, granted or erased.
func TestConsentsNeedAKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range [][3]string{
		{"POST", "/v1/form-ids", formID()}, {"POST", "/v1/subscriptions", subscription()},
		{"GET", "/v1/credits?openid=" + openid, ""}, {"DELETE", "/v1/users/" + openid, ""},
	} {
		req := httptest.NewRequest(c[0], c[1], strings.NewReader(c[2]))
		rec := httptest.NewRecorder()
		b.handler.ServeHTTP(rec, req)
		if rec.Code != 401 || b.sender.calls > 0 {
			t.Errorf("%s %s: %d, %d calls", c[0], c[1], rec.Code, b.sender.calls)
		}
	}
	if strings.Contains(b.log.String(), "CANARY") {
		t.Errorf("the log has what was sent: %s", b.log)
	}
}
