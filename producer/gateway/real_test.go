package gateway

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// The whole way into a real Redis, and what it says when that is gone. It is not parallel,
// like all tests here with a real Redis: the producer gives that two seconds, and the
// others keep the machine busy.
func TestWithProducerAndRedis(t *testing.T) {
	server := taskstest.StartRedis(t)
	client, err := producer.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	b := setup(t, func(c *Config) { c.Sender = client })
	later := time.Now().Add(time.Hour).Format(time.RFC3339)

	b.do("POST", "/v1/notifications", notification("id", "n-1")).want(202).wantField("status", "queued")
	b.do("POST", "/v1/notifications", notification("id", "n-2", "send_at", later)).want(202).wantField("status", "scheduled")
	b.do("POST", "/v1/notifications", notification("id", "n-1", "priority", "bulk")).want(200).wantField("duplicate", true)
	b.do("POST", "/v1/notifications", notification("id", "n-1", "page", "other")).want(409)
	b.do("POST", "/v1/notifications", notification("id", "n-3", "data", map[string]any{"thing1": " "})).want(422)

	items := b.do("POST", "/v1/notifications:batch",
		batch(notification("id", "n-1"), notification("id", "n-4"), `7`, notification())).want(200).results()
	if items[0]["duplicate"] != true || items[1]["id"] != "n-4" || itemError(items[2])["status"] != 400.0 || items[3]["id"] == "" {
		t.Errorf("results %v", items)
	}

	b.do("GET", "/v1/notifications/n-1", "").want(200).wantField("status", "queued")
	b.do("GET", "/v1/notifications/n-3", "").want(404)
	b.do("DELETE", "/v1/notifications/n-2", "").want(200).wantField("status", "canceled")
	b.do("GET", "/v1/notifications/n-2", "").want(200).wantField("status", "canceled")
	b.do("DELETE", "/v1/notifications/n-3", "").want(404)

	b.do("POST", "/v1/notifications", notification("id", "n-7", "kind", "template", "to", map[string]any{"code": content})).want(202)
	b.do("DELETE", "/v1/notifications/n-7", "").want(200).wantField("status", "canceled")
	consents(t, b, tasks.NewServed(server.Client(t), ""))

	server.Kill()
	b.do("POST", "/v1/form-ids", formID()).want(503)
	b.do("POST", "/v1/subscriptions", subscription()).want(503)
	b.do("GET", "/v1/credits?openid="+openid, "").want(503)
	b.do("DELETE", "/v1/users/"+openid, "").want(503)
	b.do("POST", "/v1/notifications", notification("id", "n-5")).want(503)
	b.do("POST", "/v1/notifications:batch", batch(notification("id", "n-5"), notification("id", "n-6"))).want(503)
	b.do("GET", "/v1/notifications/n-1", "").want(503)
}

// consents walks through what a user allows, from nothing to nothing.
func consents(t *testing.T, b *bundle, served *tasks.Served) {
	t.Helper()
	b.do("POST", "/v1/subscriptions", subscription()).want(503)
	policy := tasks.ConsentPolicy{Mode: tasks.CreditsEnforce, Source: tasks.ConsentReport}
	if err := served.Announce(t.Context(), map[string]tasks.ConsentPolicy{app: policy}, time.Now()); err != nil {
		t.Fatal(err)
	}
	b.do("POST", "/v1/subscriptions", subscription()).want(200).wantField("accepted", 1.0)
	b.do("POST", "/v1/subscriptions", subscription()).want(200).wantField("repeated", true)
	b.do("POST", "/v1/form-ids", formID("uses", 3)).want(201).wantField("result", "granted")
	b.do("POST", "/v1/form-ids", formID("uses", 3)).want(200).wantField("result", "repeated")
	r := b.do("GET", "/v1/credits?openid="+openid, "").want(200)
	first := func(name string) map[string]any { return r.json[name].([]any)[0].(map[string]any) }
	if first("subscriptions")["credits"] != 1.0 || first("form_ids")["uses"] != 3.0 || r.json["mode"] != "enforce" {
		t.Errorf("credits %v", r.json)
	}
	b.do("DELETE", "/v1/users/"+openid, "").want(202).wantField("status", "erasing")
	r = b.do("GET", "/v1/credits?openid="+openid, "").want(200)
	if len(r.json["subscriptions"].([]any)) != 0 || len(r.json["form_ids"].([]any)) != 0 {
		t.Errorf("credits after the erasure: %v", r.json)
	}
}
