package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

func batch(items ...string) string { return `{"notifications":[` + strings.Join(items, ",") + `]}` }

// results returns the results of a batch as objects.
func (r result) results() []map[string]any {
	r.t.Helper()
	list, ok := r.json["results"].([]any)
	if !ok {
		r.t.Fatalf("no results: %s", r.Body)
	}
	var results []map[string]any
	for _, item := range list {
		results = append(results, item.(map[string]any))
	}
	return results
}

func itemError(item map[string]any) map[string]any {
	problem, _ := item["error"].(map[string]any)
	return problem
}

func TestBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("POST", "/v1/notifications", notification("id", "old")).want(202)
	b.offered = nil
	r := b.do("POST", "/v1/notifications:batch", batch(
		notification("id", "a"),
		notification("tempalte_id", content),
		`"`+openid+`"`,
		notification("id", "old"),
		notification("id", "a", "page", "other"),
		notification("data", map[string]any{"thing1": "\n"}),
		notification("app", otherApp),
		` null `,
		notification("id", "z"),
	)).want(200)
	items := r.results()
	type line struct {
		id     string
		status float64
		fields []string
	}
	for i, want := range []line{
		{id: "a"}, {status: 422, fields: []string{"tempalte_id"}}, {status: 400}, {id: "old"}, {status: 409},
		{status: 422, fields: []string{"data.thing1"}}, {status: 422, fields: []string{"app"}}, {status: 400}, {id: "z"},
	} {
		problem := itemError(items[i])
		id, _ := items[i]["id"].(string)
		status, _ := problem["status"].(float64)
		if id != want.id || status != want.status || !slices.Equal(fieldsOf(problem), want.fields) {
			t.Errorf("item %d: %v, want %+v", i, items[i], want)
		}
	}
	if items[3]["duplicate"] != true || items[0]["duplicate"] != nil {
		t.Errorf("duplicate: %v, %v", items[3], items[0])
	}
	if len(items) != 9 || len(b.offered) != 9 {
		t.Errorf("%d results, %d counted", len(items), len(b.offered))
	}
	if !strings.Contains(b.log.String(), `"items":9`) {
		t.Error("the log does not say how many")
	}
}

func TestBadBatches(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"array":           {`[` + notification() + `]`, 400, nil},
		"no JSON":         {batch(notification())[1:], 400, nil},
		"nothing":         {`{}`, 422, []string{"notifications"}},
		"null":            {`{"notifications":null}`, 422, []string{"notifications"}},
		"empty":           {batch(), 422, []string{"notifications"}},
		"object":          {`{"notifications":` + notification() + `}`, 422, []string{"notifications"}},
		"misspelled":      {`{"notification":[]}`, 422, []string{"notification"}},
		"twice":           {`{"notifications":[],"notifications":[` + notification() + `]}`, 422, []string{"notifications"}},
		"unknown besides": {`{"CANARY !":1,"app":"CANARY",` + batch(notification())[1:], 422, []string{"(unnamed)", "app"}},
		"too many":        {batch(slices.Repeat([]string{`{}`}, maxItems+1)...), 413, nil},
		"too large":       {batch(notification("page", strings.Repeat(content, maxBatch/len(content)))), 413, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := b.do("POST", "/v1/notifications:batch", c.body).want(c.status)
			if !slices.Equal(r.fields(), c.fields) {
				t.Errorf("fields %q, want %q", r.fields(), c.fields)
			}
			if b.sender.calls > 0 {
				t.Error("something was sent")
			}
		})
	}
}

func TestFullBatch(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var items []string
	for i := range maxItems {
		items = append(items, notification("id", fmt.Sprintf("n-%d", i)))
	}
	for i, item := range b.do("POST", "/v1/notifications:batch", batch(items...)).want(200).results() {
		if item["id"] != fmt.Sprintf("n-%d", i) {
			t.Fatalf("item %d: %v", i, item)
		}
	}
}

// Redis away for some is told item by item; for all, by the status.
func TestBatchWithoutRedis(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.do("POST", "/v1/notifications:batch", batch(notification("id", "a"), notification("tpl", 1))).want(200)
	if len(r.results()) != 2 {
		t.Errorf("results %v", r.results())
	}
	b.sender.err = fmt.Errorf("%w: dial", producer.ErrUnavailable)
	items := b.do("POST", "/v1/notifications:batch", batch(notification("id", "a"), notification("tpl", 1))).want(200).results()
	if itemError(items[0])["status"] != 503.0 || itemError(items[1])["status"] != 422.0 {
		t.Errorf("results %v", items)
	}
	r = b.do("POST", "/v1/notifications:batch", batch(notification("id", "a"), notification("id", "b"))).want(503)
	if r.Header().Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	want := slices.Repeat([]string{app + " subscribe unavailable"}, 2)
	if got := b.offered[len(b.offered)-2:]; !slices.Equal(got, want) {
		t.Errorf("counted %q", got)
	}
}

// A sender that forgets an item is a bug that must not be taken for success.
type forgetful struct{ *fakeSender }

func (f forgetful) SendMany(context.Context, []tasks.Notification) []producer.Result { return nil }

func TestSenderForgets(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Sender = forgetful{c.Sender.(*fakeSender)} })
	b.do("POST", "/v1/notifications:batch", batch(notification())).want(500)
}

func TestItemsCarryTheRequestsID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("POST", "/v1/notifications:batch", batch(notification("id", "r-1"), notification("id", "r-2")), "X-Request-Id: req-4711").want(200)
	for _, n := range b.sender.sent {
		if n.RequestID != "req-4711" {
			t.Errorf("%s came with %q", n.ID, n.RequestID)
		}
	}
	if len(b.sender.sent) != 2 {
		t.Errorf("%d were sent, want 2", len(b.sender.sent))
	}
}
