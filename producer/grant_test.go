package producer_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

const (
	user     = "oCANARY9AgO5Kd5ggOC"
	template = "pKQYkVqAdt2fHAqP8P8rBUoh-79Yln_27oBsZ0TXhdY"
)

// keeps announces a worker that keeps the app's consent so.
func (b *bundle) keeps(mode tasks.CreditMode, source tasks.ConsentSource) *bundle {
	b.Helper()
	policy := map[string]tasks.ConsentPolicy{app: {Mode: mode, Source: source}}
	if err := tasks.NewServed(b.rdb, "").Announce(b.Context(), policy, time.Now()); err != nil {
		b.Fatal(err)
	}
	return b
}

func (b *bundle) report(id string, results map[string]string) producer.SubscriptionGrant {
	b.Helper()
	g, err := b.client.GrantSubscription(b.Context(), producer.Subscription{App: app, OpenID: user, ReportID: id, Results: results})
	if err != nil {
		b.Fatal(err)
	}
	return g
}

func (b *bundle) credits() producer.Credits {
	b.Helper()
	c, err := b.client.Credits(b.Context(), app, user)
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// counts is how many messages are left by template.
func (b *bundle) counts() map[string]int {
	b.Helper()
	counts := map[string]int{}
	for _, s := range b.credits().Subscriptions {
		counts[s.TemplateID] = s.Credits
	}
	return counts
}

func TestReportsCount(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsEnforce, tasks.ConsentReport)
	first := map[string]string{
		"errMsg": "requestSubscribeMessage:ok", "a": "accept", "b": "acceptWithAudio", "c": "acceptWithAlert",
		"d": "reject", "e": "ban", "f": "filter",
	}
	if g := b.report("r1", first); g != (producer.SubscriptionGrant{App: app, Counted: true, Accepted: 3, Refused: 1}) {
		t.Fatalf("%+v", g)
	}
	if g := b.report("r1", first); !g.Repeated || !g.Counted || g.Accepted != 0 {
		t.Fatalf("%+v", g)
	}
	b.report("r2", map[string]string{"a": "accept"})
	if want := map[string]int{"a": 2, "b": 1, "c": 1, "d": 0}; !maps.Equal(b.counts(), want) {
		t.Fatalf("%v, want %v", b.counts(), want)
	}
	b.report("r3", map[string]string{"a": "reject", "b": "ban"})
	if want := map[string]int{"a": 0, "b": 1, "c": 1, "d": 0}; !maps.Equal(b.counts(), want) {
		t.Fatalf("%v, want %v", b.counts(), want)
	}
	if g := b.report("r4", map[string]string{"b": "filter"}); g != (producer.SubscriptionGrant{App: app, Counted: true}) {
		t.Fatalf("%+v", g)
	}
}

func TestReportsThatDoNotCount(t *testing.T) {
	for _, c := range []struct {
		mode   tasks.CreditMode
		source tasks.ConsentSource
		note   string
	}{
		{tasks.CreditsOff, tasks.ConsentReport, "_CREDITS is off"},
		{tasks.CreditsObserve, tasks.ConsentEvent, "_CONSENT_SOURCE is event"},
	} {
		t.Run(c.note, func(t *testing.T) {
			b := setup(t).keeps(c.mode, c.source)
			if g := b.report("r", map[string]string{"a": "accept"}); g.Counted || g.Accepted != 0 || !strings.Contains(g.Note, c.note) {
				t.Fatalf("%+v", g)
			}
			if len(b.counts()) != 0 {
				t.Fatal(b.counts())
			}
		})
	}
}

func TestReportsWithoutWorkerOrApp(t *testing.T) {
	b := setup(t)
	s := producer.Subscription{App: app, OpenID: user, ReportID: "r", Results: map[string]string{"a": "accept"}}
	if _, err := b.client.GrantSubscription(t.Context(), s); !errors.Is(err, producer.ErrNoWorker) {
		t.Fatal(err)
	}
	if _, err := b.client.GrantByHand(t.Context(), app, user, []string{"a"}); !errors.Is(err, producer.ErrNoWorker) {
		t.Fatal(err)
	}
	if c := b.credits(); c.Mode != "" || c.Source != "" {
		t.Fatalf("%+v", c)
	}
	b.keeps(tasks.CreditsObserve, tasks.ConsentReport)
	s.App = "wx0000000000000000"
	for name, call := range map[string]func() error{
		"GrantSubscription": func() error { _, err := b.client.GrantSubscription(t.Context(), s); return err },
		"GrantFormID": func() error {
			_, err := b.client.GrantFormID(t.Context(), producer.FormID{App: s.App, OpenID: user, FormID: "f"})
			return err
		},
		"GrantByHand": func() error { _, err := b.client.GrantByHand(t.Context(), s.App, user, []string{"a"}); return err },
		"Credits":     func() error { _, err := b.client.Credits(t.Context(), s.App, user); return err },
		"EraseUser":   func() error { return b.client.EraseUser(t.Context(), s.App, user) },
	} {
		if err := call(); !errors.Is(err, producer.ErrUnknownApp) {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.report("r", s.Results) // the worker that has come meanwhile is seen at once
}

// refused returns the fields that are wrong, in order. No value is in the error.
func refused(t *testing.T, err error) []string {
	t.Helper()
	var wrong *producer.ValidationError
	if !errors.As(err, &wrong) {
		t.Fatalf("%v, want a ValidationError", err)
	}
	if strings.Contains(err.Error(), "CANARY") {
		t.Errorf("the error has a value: %v", err)
	}
	var fields []string
	for _, f := range wrong.Fields {
		fields = append(fields, f.Field)
	}
	return fields
}

func TestReportsRefused(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsEnforce, tasks.ConsentReport)
	many := map[string]string{}
	for i := range 21 {
		many["t"+strings.Repeat("x", i)] = "accept"
	}
	for name, c := range map[string]struct {
		change func(*producer.Subscription)
		fields []string
	}{
		"nothing":       {func(s *producer.Subscription) { *s = producer.Subscription{} }, []string{"app", "openid", "report_id", "results"}},
		"app":           {func(s *producer.Subscription) { s.App = "wx CANARY" }, []string{"app"}},
		"openid":        {func(s *producer.Subscription) { s.OpenID = "CANARY " }, []string{"openid"}},
		"no report id":  {func(s *producer.Subscription) { s.ReportID = "" }, []string{"report_id"}},
		"odd report id": {func(s *producer.Subscription) { s.ReportID = "CANARY/1" }, []string{"report_id"}},
		"errMsg alone":  {func(s *producer.Subscription) { s.Results = map[string]string{"errMsg": "ok"} }, []string{"results"}},
		"too many":      {func(s *producer.Subscription) { s.Results = many }, []string{"results"}},
		"odd template": {func(s *producer.Subscription) {
			s.Results = map[string]string{"CANARY !": "accept", template: "accept"}
		}, []string{"results"}},
		"other result":      {func(s *producer.Subscription) { s.Results = map[string]string{template: "CANARY", "a": "accept"} }, []string{"results." + template}},
		"result in capital": {func(s *producer.Subscription) { s.Results = map[string]string{"a": "Accept", "b": ""} }, []string{"results.a", "results.b"}},
	} {
		s := producer.Subscription{App: app, OpenID: user, ReportID: "r", Results: map[string]string{template: "accept"}}
		c.change(&s)
		_, err := b.client.GrantSubscription(t.Context(), s)
		if got := refused(t, err); !slices.Equal(got, c.fields) {
			t.Errorf("%s: %v, want %v", name, got, c.fields)
		}
	}
	if len(b.counts()) != 0 {
		t.Errorf("granted by mistake: %v", b.counts())
	}
}

func TestGrantFormID(t *testing.T) {
	b := setup(t)
	submitted := time.Now().Add(-6 * 24 * time.Hour)
	f := producer.FormID{App: app, OpenID: user, FormID: "form-id-of-a-submit-event", SubmittedAt: submitted}
	g, err := b.client.GrantFormID(t.Context(), f)
	if err != nil || g.Result != ledger.FormIDGranted || !g.ExpiresAt.Equal(submitted.Add(ledger.FormIDLife)) || g.App != app {
		t.Fatalf("%+v %v", g, err)
	}
	if g, err := b.client.GrantFormID(t.Context(), f); err != nil || g.Result != ledger.FormIDRepeated || !g.ExpiresAt.IsZero() {
		t.Fatalf("%+v %v", g, err)
	}
	prepay := producer.FormID{App: app, OpenID: user, FormID: "wx=prepay/1", Uses: 3, SubmittedAt: time.Now().Add(30 * time.Second)}
	if g, err := b.client.GrantFormID(t.Context(), prepay); err != nil || g.ExpiresAt.After(time.Now().Add(ledger.FormIDLife)) {
		t.Fatalf("a clock that is a little ahead: %+v %v", g, err)
	}
	forms := b.credits().FormIDs
	if len(forms) != 2 || forms[0].FormID != "form…vent" || forms[0].Uses != 1 || forms[1].FormID != "wx=p…ay/1" || forms[1].Uses != 3 {
		t.Fatalf("%+v", forms)
	}
	f.OpenID = "o-another-user"
	if g, err := b.client.GrantFormID(t.Context(), f); err != nil || g.Result != ledger.FormIDGranted {
		t.Fatalf("what another user has is no matter of this one: %+v %v", g, err)
	}
}

func TestFormIDsRefused(t *testing.T) {
	b := setup(t)
	for name, c := range map[string]struct {
		change func(*producer.FormID)
		fields []string
	}{
		"nothing":       {func(f *producer.FormID) { *f = producer.FormID{} }, []string{"app", "openid", "form_id"}},
		"openid":        {func(f *producer.FormID) { f.OpenID = "CANARY:" }, []string{"openid"}},
		"mock":          {func(f *producer.FormID) { f.FormID = "the formId is a mock one CANARY" }, []string{"form_id"}},
		"separator":     {func(f *producer.FormID) { f.FormID = "CANARY;1" }, []string{"form_id"}},
		"too long":      {func(f *producer.FormID) { f.FormID = strings.Repeat("CANARY", 22) }, []string{"form_id"}},
		"negative uses": {func(f *producer.FormID) { f.Uses = -1 }, []string{"uses"}},
		"four uses":     {func(f *producer.FormID) { f.Uses = 4 }, []string{"uses"}},
		"future":        {func(f *producer.FormID) { f.SubmittedAt = time.Now().Add(time.Hour) }, []string{"submitted_at"}},
		"expired":       {func(f *producer.FormID) { f.SubmittedAt = time.Now().Add(-ledger.FormIDLife) }, []string{"submitted_at"}},
	} {
		f := producer.FormID{App: app, OpenID: user, FormID: "f"}
		c.change(&f)
		_, err := b.client.GrantFormID(t.Context(), f)
		if got := refused(t, err); !slices.Equal(got, c.fields) {
			t.Errorf("%s: %v, want %v", name, got, c.fields)
		}
	}
	if got := b.credits().FormIDs; len(got) != 0 {
		t.Errorf("granted by mistake: %v", got)
	}
}

func TestGrantByHand(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsEnforce, tasks.ConsentEvent)
	first, err := b.client.GrantByHand(t.Context(), app, user, []string{"a", "a", "b"})
	if err != nil || !first.Counted || first.Accepted != 3 {
		t.Fatalf("%+v %v", first, err)
	}
	second, err := b.client.GrantByHand(t.Context(), app, user, []string{"a"})
	if err != nil || second.Source == first.Source || !strings.HasPrefix(second.Source, "hand:") {
		t.Fatalf("%+v %v", second, err)
	}
	if want := map[string]int{"a": 3, "b": 1}; !maps.Equal(b.counts(), want) {
		t.Fatalf("%v, want %v", b.counts(), want)
	}
	for _, ids := range [][]string{nil, {"a", "CANARY !"}, slices.Repeat([]string{"a"}, 21)} {
		_, err := b.client.GrantByHand(t.Context(), app, user, ids)
		if got := refused(t, err); !slices.Equal(got, []string{"template_id"}) {
			t.Errorf("%d templates: %v", len(ids), got)
		}
	}
}

func TestGrantByHandWithoutBooks(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsOff, tasks.ConsentEvent)
	if g, err := b.client.GrantByHand(t.Context(), app, user, []string{"a"}); err != nil || g.Counted || g.Note == "" || g.Source != "" {
		t.Fatalf("%+v %v", g, err)
	}
}

func TestCreditsByType(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsEnforce, tasks.ConsentReport)
	b.client.KnowTypes(map[string]tasks.TemplateType{"long": tasks.LongTerm, "once": tasks.OneTime, "refused": tasks.LongTerm})
	results := map[string]string{"long": "accept", "once": "accept", "new": "accept", "refused": "reject"}
	b.report("r1", results)
	b.report("r2", results)
	c := b.credits()
	if c.Mode != tasks.CreditsEnforce || c.Source != tasks.ConsentReport || len(c.Subscriptions) != 4 {
		t.Fatalf("%+v", c)
	}
	for i, want := range []producer.SubscriptionCredits{ // sorted by template
		{TemplateID: "long", Type: "long_term", Credits: 1, Standing: true},
		{TemplateID: "new", Type: "unknown", Credits: 2},
		{TemplateID: "once", Type: "one_time", Credits: 2},
		{TemplateID: "refused", Type: "long_term"},
	} {
		got := c.Subscriptions[i]
		if time.Since(got.ChangedAt) > time.Minute || got.RefusedAt.IsZero() == (want.TemplateID == "refused") {
			t.Errorf("times of %+v", got)
		}
		got.ChangedAt, got.RefusedAt = time.Time{}, time.Time{}
		if got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}

// The JSON of a user nobody knows has lists, and no JSON has the openid.
func TestCreditsAsJSON(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsObserve, tasks.ConsentReport)
	text, err := json.Marshal(b.credits())
	if want := `{"app":"` + app + `","mode":"observe","source":"report","subscriptions":[],"form_ids":[]}`; err != nil || string(text) != want {
		t.Fatalf("%s, want %s", text, want)
	}
	b.report("r", map[string]string{"a": "accept"})
	if _, err := b.client.GrantFormID(t.Context(), producer.FormID{App: app, OpenID: user, FormID: "12345678"}); err != nil {
		t.Fatal(err)
	}
	text, err = json.Marshal(b.credits())
	if err != nil || strings.Contains(string(text), "CANARY") || strings.Contains(string(text), "refused_at") || strings.Contains(string(text), "12345678") {
		t.Fatalf("%s %v", text, err)
	}
	_, err = b.client.Credits(t.Context(), "", "CANARY !")
	if got := refused(t, err); !slices.Equal(got, []string{"app", "openid"}) {
		t.Error(got)
	}
}

func TestEraseUser(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsEnforce, tasks.ConsentReport)
	b.report("r", map[string]string{"a": "accept"})
	if _, err := b.client.GrantFormID(t.Context(), producer.FormID{App: app, OpenID: user, FormID: "f"}); err != nil {
		t.Fatal(err)
	}
	n := notification("queued")
	n.To.OpenID = user
	b.send(n)
	made := time.Now()
	for range 2 {
		if err := b.client.EraseUser(t.Context(), app, user); err != nil {
			t.Fatal(err)
		}
	}
	if c := b.credits(); len(c.Subscriptions) != 0 || len(c.FormIDs) != 0 {
		t.Fatalf("%+v", c)
	}
	ref := ledger.Ref{App: app, ID: n.ID, OpenID: user}
	got, err := b.ledger.Admit(t.Context(), ledger.Admission{
		Ref: ref, Kind: tasks.KindSubscribe, Attempt: ledger.NewAttempt(), Lease: time.Minute, CreatedAt: made,
	})
	if err != nil || got.Verdict != ledger.Ended {
		t.Fatalf("what was queued may go out: %+v %v", got, err)
	}
	if got := refused(t, b.client.EraseUser(t.Context(), app, "")); !slices.Equal(got, []string{"openid"}) {
		t.Error(got)
	}
}
