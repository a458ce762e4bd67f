package gateway

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// fakeDead remembers what was asked about dead letters.
type fakeDead struct {
	calls  []string
	filter producer.DeadFilter
	run    producer.DeadRun
	counts producer.DeadCounts
}

func (f *fakeSender) DeadLetters(ctx context.Context, filter producer.DeadFilter, cursor string, limit int) (producer.DeadPage, error) {
	f.noteDead(fmt.Sprint("list ", cursor, " ", limit), filter, producer.DeadRun{})
	return producer.DeadPage{Letters: []producer.DeadLetter{}, Next: "more"}, f.begin(ctx)
}

func (f *fakeSender) DeadLetter(ctx context.Context, app, id string) (producer.DeadContent, error) {
	f.noteDead("show "+id, producer.DeadFilter{App: app}, producer.DeadRun{})
	return producer.DeadContent{DeadLetter: producer.DeadLetter{ID: id, App: app}, DataLengths: map[string]int{}}, f.begin(ctx)
}

func (f *fakeSender) ReplayDead(ctx context.Context, filter producer.DeadFilter, o producer.DeadRun) (producer.DeadCounts, error) {
	f.noteDead("replay", filter, o)
	return f.dead.counts, f.begin(ctx)
}

func (f *fakeSender) DropDead(ctx context.Context, filter producer.DeadFilter, o producer.DeadRun) (producer.DeadCounts, error) {
	f.noteDead("drop", filter, o)
	return f.dead.counts, f.begin(ctx)
}

func (f *fakeSender) noteDead(call string, filter producer.DeadFilter, o producer.DeadRun) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead.calls, f.dead.filter, f.dead.run = append(f.dead.calls, call), filter, o
}

// wantFields fails unless a refusal names exactly this field.
func wantFields(r result, field string) {
	r.t.Helper()
	if got := r.fields(); !slices.Equal(got, []string{field}) {
		r.t.Errorf("errors name %q, want %s", got, field)
	}
}

func TestDeadRequestsReachTheSender(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sender.dead.counts = producer.DeadCounts{Matched: 9, Done: 5, Expired: 3, Skipped: 1, More: true}
	b.do("GET", "/v1/dead?template=T&reason=47003&older_than=7d&cursor=C&limit=5", "").want(200).wantField("next", "more")
	want := producer.DeadFilter{App: app, TemplateID: "T", Reason: "47003", OlderThan: 7 * 24 * time.Hour}
	if got := b.sender.dead.filter; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("filter %+v, want %+v", got, want)
	}
	b.do("GET", "/v1/dead", "").want(200)
	b.do("GET", "/v1/dead/n-1", "").want(200).wantField("id", "n-1")
	r := b.do("POST", "/v1/dead:replay", `{"template": "T", "reason": 47003, "older_than": "168h", "limit": 7, "rate": 3, "dry_run": true}`).want(200)
	if got := b.sender.dead.filter; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("filter %+v, want %+v", got, want)
	}
	for name, value := range map[string]any{"matched": 9.0, "replayed": 5.0, "expired": 3.0, "skipped": 1.0, "more": true, "dry_run": true, "app": app} {
		r.wantField(name, value)
	}
	if o := b.sender.dead.run; o.Limit != 7 || o.Rate != 3 || !o.DryRun || o.Within != deadRunFor {
		t.Errorf("run %+v", o)
	}
	b.do("POST", "/v1/dead:drop", `{"all": true}`).want(200).wantField("dropped", 5.0)
	if o := b.sender.dead.run; o.Limit != 1000 || o.Rate != 100 || o.DryRun {
		t.Errorf("run %+v, want the defaults", o)
	}
	if got := b.sender.dead.calls; !slices.Equal(got, []string{"list C 5", "list  100", "show n-1", "replay", "drop"}) {
		t.Errorf("calls %q", got)
	}
}

func TestWrongDeadRequestsNameTheField(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for query, field := range map[string]string{
		"limit=0": "limit", "limit=1001": "limit", "limit=x": "limit", "older_than=soon": "older_than", "state=dead": "state", "app=other!": "app",
	} {
		wantFields(b.do("GET", "/v1/dead?"+query, "").want(422), field)
	}
	for body, field := range map[string]string{
		`{"rate": 0}`: "rate", `{"rate": -1}`: "rate", `{"rate": 1.5}`: "rate", `{"rate": "50"}`: "rate",
		`{"limit": 0}`: "limit", `{"limit": 1001}`: "limit",
		`{"older_than": "soon"}`: "older_than", `{"older_than": 60}`: "older_than", `{"dry_run": "yes"}`: "dry_run",
		`{"reason": ""}`: "reason", `{"reason": true}`: "reason", `{"template_id": "T"}`: "template_id",
	} {
		wantFields(b.do("POST", "/v1/dead:replay", body).want(422), field)
		wantFields(b.do("POST", "/v1/dead:drop", body).want(422), field)
	}
	wantFields(b.do("GET", "/v1/dead/"+"!", "").want(422), "id")
	b.do("POST", "/v1/dead:replay", `{}`, "Authorization: ").want(401)
	for _, body := range []string{`{}`, `{"limit": 5}`, `{"all": false}`} {
		wantFields(b.do("POST", "/v1/dead:replay", body).want(422), "all")
		wantFields(b.do("POST", "/v1/dead:drop", body).want(422), "all")
	}
	b.do("GET", "/v1/dead", "", "Authorization: ").want(401)
	b.do("GET", "/v1/dead:replay", "").want(405)
	if len(b.sender.dead.calls) != 0 {
		t.Errorf("calls %q, want none", b.sender.dead.calls)
	}
}

// The whole way, with letters in a real Redis; not parallel, see TestWithProducerAndRedis.
func TestDeadLettersInRedis(t *testing.T) {
	server := taskstest.StartRedis(t)
	client, err := producer.New(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	b := setup(t, func(c *Config) { c.Sender = client })
	books := ledger.New(server.Client(t), "", ledger.Options{})
	for _, id := range []string{"n-1", "n-2", "n-3"} {
		n := producer.Notification{App: app, ID: id, To: producer.Recipient{OpenID: openid}, TemplateID: "T", Data: map[string]string{"thing1": content}}.WithDefaults()
		e := tasks.Envelope{Notification: n, EnqueuedAt: time.Now(), Hash: n.ContentHash()}
		if dead, err := books.BuryArchived(t.Context(), e); !dead || err != nil {
			t.Fatal(dead, err)
		}
	}
	first := b.do("GET", "/v1/dead?limit=2", "").want(200)
	rest := b.do("GET", "/v1/dead?limit=2&cursor="+first.json["next"].(string), "").want(200)
	if n := len(first.json["letters"].([]any)) + len(rest.json["letters"].([]any)); n != 3 || rest.json["next"] != "" {
		t.Errorf("%d letters on two pages, next %q, want 3 and the end", n, rest.json["next"])
	}
	wantFields(b.do("GET", "/v1/dead?reason=moon_phase", "").want(422), "reason")
	wantFields(b.do("GET", "/v1/dead?cursor=none", "").want(422), "cursor")
	wantFields(b.do("POST", "/v1/dead:replay", `{"reason": "moon_phase"}`).want(422), "reason")
	b.do("GET", "/v1/dead/n-4", "").want(404).wantField("detail", "no dead letter has this id: the notification is not dead, or was dropped; GET /v1/notifications/{id} tells where it stands")
	r := b.do("GET", "/v1/dead/n-1", "").want(200)
	r.wantField("reason_code", "archived")
	if got := fmt.Sprint(r.json["data_lengths"]); got != fmt.Sprintf("map[thing1:%d]", len(content)) {
		t.Errorf("data_lengths %s", got)
	}
	b.do("POST", "/v1/dead:replay", `{"reason": 47003}`).want(200).wantField("matched", 0.0)
	b.do("POST", "/v1/dead:replay", `{"limit": 1, "dry_run": true}`).want(200).wantField("more", true)
	b.do("POST", "/v1/dead:replay", `{"limit": 1, "all": true}`).want(200).wantField("replayed", 1.0)
	b.do("POST", "/v1/dead:drop", `{"all": true}`).want(200).wantField("dropped", 2.0)
	if left := b.do("GET", "/v1/dead", "").want(200).json["letters"].([]any); len(left) != 0 {
		t.Errorf("%d letters are left, want none", len(left))
	}
	b.do("GET", "/v1/notifications/n-1", "").want(200).wantField("status", "queued")
	b.do("GET", "/v1/notifications/n-2", "").want(200).wantField("status", "dead")
	server.Kill()
	for _, path := range []string{"/v1/dead", "/v1/dead/n-2"} {
		b.do(http.MethodGet, path, "").want(503)
	}
	b.do("POST", "/v1/dead:drop", `{"all": true}`).want(503)
}
