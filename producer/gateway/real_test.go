package gateway

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// The whole way into a real Redis, and what it says when that is gone.
func TestWithProducerAndRedis(t *testing.T) {
	t.Parallel()
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

	server.Kill()
	b.do("POST", "/v1/notifications", notification("id", "n-5")).want(503)
	b.do("POST", "/v1/notifications:batch", batch(notification("id", "n-5"), notification("id", "n-6"))).want(503)
	b.do("GET", "/v1/notifications/n-1", "").want(503)
}
