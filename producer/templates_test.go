package producer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// lists makes an app's templates known, as a worker does.
func (b *bundle) lists(templates ...catalogue.Template) {
	b.Helper()
	if err := catalogue.New(b.rdb, "").Store(b.Context(), app, time.Now(), templates); err != nil {
		b.Fatal(err)
	}
}

func tmpl() catalogue.Template {
	return catalogue.Template{
		ID: "tmpl", Title: "发货", Type: tasks.OneTime, Example: "商品:咖啡豆\n",
		Fields: catalogue.ParseFields("商品:{{thing1.DATA}}", "商品:咖啡豆\n", nil),
	}
}

// wantRefused fails unless err is about the field alone.
func (b *bundle) wantRefused(err error, field string) {
	b.Helper()
	var refused *producer.ValidationError
	if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Field != field {
		b.Errorf("%v, want %s refused", err, field)
	}
}

func TestSendJudgesByTheTemplate(t *testing.T) {
	b := setup(t)
	b.lists(tmpl())
	n := notification("long")
	n.Data = map[string]string{"thing1": strings.Repeat("字", 21)}
	_, err := b.client.Send(t.Context(), n)
	b.wantRefused(err, "data.thing1")
	n.Data = map[string]string{"thing2": "x", "thing1": "x"}
	_, err = b.client.Send(t.Context(), n)
	b.wantRefused(err, "data.thing2")
	n = notification("other")
	n.TemplateID = "other"
	_, err = b.client.Send(t.Context(), n)
	b.wantRefused(err, "template_id")
	b.send(notification("good"))
	results := b.client.SendMany(t.Context(), []producer.Notification{n, notification("many")})
	if b.wantRefused(results[0].Err, "template_id"); results[1].Err != nil {
		t.Error(results[1].Err)
	}
}

// What was taken before a template was known or changed stays known under its id.
func TestAKnownIDIsNotJudgedAgain(t *testing.T) {
	b := setup(t)
	n := notification("n")
	n.TemplateID = "other"
	b.send(n)
	b.lists(tmpl())
	if r := b.send(n); !r.Duplicate {
		t.Errorf("%+v, want a duplicate", r)
	}
}

func TestTruncate(t *testing.T) {
	b := setup(t)
	long := notification("long")
	long.Data, long.Truncate = map[string]string{"thing1": strings.Repeat("字", 25)}, true
	first := b.send(long)
	if !slices.Equal(first.Truncated, []string{"thing1"}) || first.Duplicate {
		t.Errorf("%+v, want thing1 shortened", first)
	}
	b.lists(tmpl()) // a list that comes between makes no difference
	again := b.send(long)
	if !again.Duplicate || !slices.Equal(again.Truncated, []string{"thing1"}) {
		t.Errorf("%+v, want a duplicate", again)
	}
	short := notification("long")
	short.Data = map[string]string{"thing1": strings.Repeat("字", 20)}
	if r := b.send(short); !r.Duplicate || r.Truncated != nil {
		t.Errorf("%+v, want what is sent to be the same", r)
	}
	task, err := tasks.NewClient(b.rdb, "").Find(t.Context(), app, "long")
	if err != nil || task.Envelope.Data["thing1"] != strings.Repeat("字", 20) {
		t.Errorf("queued is %+v, %v", task.Envelope.Data, err)
	}
	if long.Data["thing1"] != strings.Repeat("字", 25) {
		t.Error("the caller's own data was changed")
	}
	old := notification("old")
	old.Kind, old.Truncate, old.Data = tasks.KindTemplate, true, map[string]string{"thing1": strings.Repeat("字", 25)}
	if r := b.send(old); r.Truncated != nil {
		t.Errorf("kind template: %+v, want nothing shortened", r)
	}
}

func TestTemplates(t *testing.T) {
	b := setup(t)
	empty, err := b.client.Templates(t.Context(), app)
	if err != nil || !empty.ReadAt.IsZero() || empty.Templates == nil || empty.Changes == nil {
		t.Errorf("before the first list: %+v, %v", empty, err)
	}
	b.lists(tmpl())
	list, err := b.client.Templates(t.Context(), app)
	if err != nil || len(list.Templates) != 1 || list.ReadAt.Location() != time.UTC {
		t.Fatalf("%+v, %v", list, err)
	}
	f := list.Templates[0].Fields[0]
	if f.Key != "thing1" || f.Type != "thing" || f.Label != "商品" || f.Limit != 20 || f.Placeholder != "咖啡豆" || list.Templates[0].Type != "one_time" {
		t.Errorf("%+v", list.Templates[0])
	}
	slot := func() time.Time { return time.Now().Truncate(catalogue.AskEvery) }
	first := slot()
	if asked, err := b.client.RefreshTemplates(t.Context(), app); !asked || err != nil {
		t.Errorf("%v, %v, want it asked for", asked, err)
	}
	if asked, err := b.client.RefreshTemplates(t.Context(), app); err != nil || asked && slot().Equal(first) {
		t.Errorf("%v, %v, want it asked for once", asked, err)
	}
	if _, err := b.client.Templates(t.Context(), "no app"); err == nil {
		t.Error("an AppID that is none was taken")
	}
	b.keeps(tasks.CreditsEnforce, tasks.ConsentReport)
	if _, err := b.client.RefreshTemplates(t.Context(), "wxother"); !errors.Is(err, producer.ErrUnknownApp) {
		t.Error(err)
	}
}

// dry fails unless a dry run says so.
func (b *bundle) dry(n producer.Notification, want producer.Would) producer.DryRun {
	b.Helper()
	d, err := b.client.DryRun(b.Context(), n)
	if err != nil || !d.Valid || d.Would != want || d.App != app {
		b.Errorf("%+v, %v, want %s", d, err, want)
	}
	return d
}

func TestDryRun(t *testing.T) {
	b := setup(t)
	if d := b.dry(notification("n"), producer.WouldSend); d.Credits != nil || d.Template != catalogue.NoList || d.ID != "n" {
		t.Errorf("before any worker: %+v", d)
	}
	if d := b.dry(notification(""), producer.WouldSend); d.ID != "" {
		t.Errorf("%+v, want no id made", d)
	}
	b.lists(tmpl())
	b.keeps(tasks.CreditsObserve, tasks.ConsentReport)
	b.client = on(t, b.server.URL).client // it looks the mode up anew
	if d := b.dry(notification("n"), producer.WouldSend); d.Credits == nil || d.Credits.Covered || d.Template != catalogue.Listed {
		t.Errorf("observed: %+v", d)
	}
	long := notification("n")
	long.Data = map[string]string{"thing1": strings.Repeat("字", 25)}
	_, err := b.client.DryRun(t.Context(), long)
	b.wantRefused(err, "data.thing1")
	long.Truncate = true
	if d := b.dry(long, producer.WouldSend); !slices.Equal(d.Truncated, []string{"thing1"}) {
		t.Errorf("%+v, want thing1 shortened", d)
	}
	later := notification("n")
	later.SendAt = time.Now().Add(time.Hour)
	b.dry(later, producer.WouldWait)
	if keys, err := b.rdb.Keys(t.Context(), "asynq:*").Result(); err != nil || len(keys) > 0 {
		t.Errorf("%v, %v: want nothing enqueued", keys, err)
	}
	if _, err := b.client.Status(t.Context(), app, "n"); !errors.Is(err, producer.ErrNotFound) {
		t.Errorf("%v, want nothing known", err)
	}
	b.send(notification("n"))
	if d := b.dry(notification("n"), producer.WouldDuplicate); d.Status != tasks.StatusQueued {
		t.Errorf("%+v", d)
	}
	other := notification("n")
	other.Data = map[string]string{"thing1": "other"}
	if _, err := b.client.DryRun(t.Context(), other); !errors.Is(err, producer.ErrConflict) {
		t.Error(err)
	}
}

func TestDryRunForeseesCreditsAndPauses(t *testing.T) {
	b := setup(t).keeps(tasks.CreditsEnforce, tasks.ConsentReport)
	n := notification("n")
	n.To.OpenID = user
	if d := b.dry(n, producer.WouldLackCredit); d.Reason == "" || d.Remedy == "" {
		t.Errorf("%+v, want why", d)
	}
	form := n
	form.Kind = tasks.KindTemplate
	b.dry(form, producer.WouldLackCredit)
	form.FormID = "form"
	b.dry(form, producer.WouldSend)
	byCode := notification("n")
	byCode.To = producer.Recipient{Code: "code"}
	b.dry(byCode, producer.WouldSend)
	b.report("r1", map[string]string{"tmpl": "accept"})
	if d := b.dry(n, producer.WouldSend); d.Credits == nil || d.Credits.Left != 1 || !d.Credits.Covered {
		t.Errorf("%+v, want a credit", d)
	}
	pause := ledger.Pause{
		PauseKey: ledger.PauseKey{App: app, Scope: ledger.ScopeTemplate, Name: "tmpl"}, By: ledger.PauseByHand, Reason: errcode.ReasonPaused,
	}
	if _, _, err := ledger.NewPauses(b.rdb, "").Begin(t.Context(), pause, ledger.Lengths{First: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if d := b.dry(n, producer.WouldWait); d.Reason == "" {
		t.Errorf("%+v, want why", d)
	}
	many := b.client.DryRunMany(t.Context(), []producer.Notification{n, {App: app}})
	if many[0].Would != producer.WouldWait || many[1].Err == nil {
		t.Errorf("%+v", many)
	}
	b.server.Stop(t)
	if _, err := b.client.DryRun(t.Context(), n); !errors.Is(err, producer.ErrUnavailable) {
		t.Error(err)
	}
}
