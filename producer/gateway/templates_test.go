package gateway

import (
	"context"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func (f *fakeSender) Templates(ctx context.Context, app string) (producer.TemplateList, error) {
	return producer.TemplateList{App: app, Templates: []producer.Template{}, Changes: []catalogue.Change{}}, f.begin(ctx)
}

func (f *fakeSender) DryRun(ctx context.Context, n producer.Notification) (producer.DryRun, error) {
	if err := f.begin(ctx); err != nil {
		return producer.DryRun{}, err
	}
	return producer.DryRun{App: n.App, ID: n.ID, Valid: true, Would: producer.WouldSend, Template: catalogue.NoList}, nil
}

func (f *fakeSender) DryRunMany(ctx context.Context, ns []producer.Notification) []producer.DryResult {
	results := make([]producer.DryResult, len(ns))
	for i, n := range ns {
		results[i].DryRun, results[i].Err = f.DryRun(ctx, n)
	}
	return results
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("GET", "/v1/templates", "").want(200).wantField("app", app)
	b.do("GET", "/v1/templates?app=nonsense!", "").want(422)
	b.do("GET", "/v1/templates?openid=o", "").want(422)
	b.sender.err = producer.ErrUnavailable
	b.do("GET", "/v1/templates", "").want(503)
}

func TestDryRunSendsNothing(t *testing.T) {
	t.Parallel()
	var counted int
	b := setup(t, func(c *Config) { c.ObserveEnqueue = func(string, string, string) { counted++ } })
	b.do("POST", "/v1/notifications", notification("dry_run", true)).want(200).wantField("would", "send")
	b.do("POST", "/v1/notifications", notification("dry_run", true, "to", map[string]any{})).want(422)
	b.do("POST", "/v1/notifications", notification("dry_run", "yes")).want(422)
	if len(b.sender.sent) != 0 {
		t.Errorf("%d notifications were sent, want none", len(b.sender.sent))
	}
	if counted != 1 { // the one that could not be read as a dry run
		t.Errorf("%d were counted as offered, want 1", counted)
	}
	items := b.do("POST", "/v1/notifications:batch",
		batch(notification("dry_run", true), notification("id", "real"), notification("dry_run", true, "lang", "de"))).want(200).results()
	if items[0]["would"] != "send" || items[1]["status"] != "queued" || itemError(items[2])["status"] != 422.0 {
		t.Errorf("results %v", items)
	}
	if len(b.sender.sent) != 1 {
		t.Errorf("%d notifications were sent, want 1", len(b.sender.sent))
	}
}

// What a template does not take is answered 422 with its field, as is what is unknown. Not
// parallel, see TestWithProducerAndRedis.
func TestWithTemplates(t *testing.T) {
	server := taskstest.StartRedis(t)
	client, err := producer.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	list := []catalogue.Template{{ID: "T", Title: "发货", Type: tasks.OneTime, Fields: catalogue.ParseFields("商品:{{thing1.DATA}}\n数量:{{number2.DATA}}", "", nil)}}
	if err := catalogue.New(server.Client(t), "").Store(t.Context(), app, time.Now(), list); err != nil {
		t.Fatal(err)
	}
	b := setup(t, func(c *Config) { c.Sender = client })
	post := func(code int, field string, fields ...any) {
		t.Helper()
		r := b.do("POST", "/v1/notifications", notification(append([]any{"template_id", "T"}, fields...)...)).want(code)
		if field == "" {
			return
		}
		first := r.json["errors"].([]any)[0].(map[string]any)
		if first["field"] != field {
			t.Errorf("%v, want field %s", first, field)
		}
	}
	long := "一二三四五六七八九十一二三四五六七八九十三"
	post(422, "data.thing1", "data", map[string]any{"thing1": long, "number2": "1"})
	post(422, "data.number2", "data", map[string]any{"thing1": "x", "number2": "one"})
	post(422, "data.number2", "data", map[string]any{"thing1": "x"})
	post(422, "data.thing3", "data", map[string]any{"thing1": "x", "number2": "1", "thing3": "x"})
	post(422, "template_id", "template_id", "other", "data", map[string]any{"thing1": "x"})
	post(422, "data.number2", "dry_run", true, "data", map[string]any{"thing1": "x"})
	post(202, "", "data", map[string]any{"thing1": "x", "number2": "1.5"})
	r := b.do("POST", "/v1/notifications", notification("template_id", "T", "truncate", true, "data", map[string]any{"thing1": long, "number2": "1"})).want(202)
	if cut, _ := r.json["truncated"].([]any); len(cut) != 1 || cut[0] != "thing1" {
		t.Errorf("truncated: %v, want thing1", r.json)
	}
	templates := b.do("GET", "/v1/templates", "").want(200).json["templates"].([]any)
	if len(templates) != 1 || templates[0].(map[string]any)["title"] != "发货" {
		t.Errorf("templates: %v", templates)
	}
}
