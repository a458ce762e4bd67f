package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	app       = "wxtest000000000001"
	otherApp  = "wxtest000000000002"
	secretKey = "SECRET-key-of-the-shop"
	openid    = "oCANARYopenid000000000000001"
	content   = "CANARYcontent"
)

// fakeSender keeps notifications in memory and answers as producer.Client does.
type fakeSender struct {
	mu     sync.Mutex
	hashes map[string]string
	sent   []tasks.Notification
	calls  int

	forms   []producer.FormID
	reports []producer.Subscription
	erased  []string // "app openid"

	err     error // what every call fails with
	state   producer.State
	granted producer.SubscriptionGrant
	credits producer.Credits
	dead    fakeDead
	asked   []producer.StatsQuery
	before  func(ctx context.Context)
}

func (f *fakeSender) begin(ctx context.Context) error {
	if f.before != nil {
		f.before(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	return f.err
}

func (f *fakeSender) Send(ctx context.Context, n producer.Notification) (producer.Receipt, error) {
	if err := f.begin(ctx); err != nil {
		return producer.Receipt{}, err
	}
	if err := n.Validate(time.Now()); err != nil {
		return producer.Receipt{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if n.ID == "" {
		n.ID = fmt.Sprintf("made-%d", len(f.sent))
	}
	hash, key := n.WithDefaults().ContentHash(), n.App+":"+n.ID
	switch earlier, found := f.hashes[key]; {
	case found && earlier != hash:
		return producer.Receipt{}, producer.ErrConflict
	case found:
		return producer.Receipt{ID: n.ID, App: n.App, Status: tasks.StatusQueued, Duplicate: true}, nil
	}
	f.hashes[key] = hash
	f.sent = append(f.sent, n)
	return producer.Receipt{ID: n.ID, App: n.App, Status: tasks.StatusQueued}, nil
}

func (f *fakeSender) SendMany(ctx context.Context, ns []producer.Notification) []producer.Result {
	results := make([]producer.Result, len(ns))
	for i, n := range ns {
		results[i].Receipt, results[i].Err = f.Send(ctx, n)
	}
	return results
}

func (f *fakeSender) Status(ctx context.Context, app, id string) (producer.State, error) {
	s := f.state
	s.App, s.ID = app, id
	return s, f.begin(ctx)
}

func (f *fakeSender) Cancel(ctx context.Context, app, id string) (producer.State, error) {
	return producer.State{App: app, ID: id, Status: tasks.Status(tasks.Canceled)}, f.begin(ctx)
}

func (f *fakeSender) GrantFormID(ctx context.Context, form producer.FormID) (producer.FormIDGrant, error) {
	if err := f.begin(ctx); err != nil {
		return producer.FormIDGrant{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, have := range f.forms {
		if have.FormID == form.FormID {
			return producer.FormIDGrant{App: form.App, Result: ledger.FormIDRepeated}, nil
		}
	}
	f.forms = append(f.forms, form)
	return producer.FormIDGrant{App: form.App, Result: ledger.FormIDGranted, ExpiresAt: time.Now().UTC()}, nil
}

func (f *fakeSender) GrantSubscription(ctx context.Context, s producer.Subscription) (producer.SubscriptionGrant, error) {
	if err := f.begin(ctx); err != nil {
		return producer.SubscriptionGrant{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reports = append(f.reports, s)
	granted := f.granted
	granted.App = s.App
	return granted, nil
}

func (f *fakeSender) Credits(ctx context.Context, app, openID string) (producer.Credits, error) {
	c := f.credits
	c.App, c.OpenID = app, openID
	return c, f.begin(ctx)
}

func (f *fakeSender) EraseUser(ctx context.Context, app, openID string) error {
	if err := f.begin(ctx); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.erased = append(f.erased, app+" "+openID)
	return nil
}

func (f *fakeSender) last(t *testing.T) tasks.Notification {
	t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.sent) == 0 {
		t.Fatal("nothing was sent")
	}
	return f.sent[len(f.sent)-1]
}

// lockedBuffer is a log that several requests may write to.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

type bundle struct {
	t       *testing.T
	sender  *fakeSender
	handler http.Handler
	log     *lockedBuffer

	mu       sync.Mutex
	requests []string // "route code"
	offered  []string // "app kind result"
	grants   []string // "source result"
}

func setup(t *testing.T, change ...func(*Config)) *bundle {
	t.Helper()
	b := &bundle{t: t, log: &lockedBuffer{}}
	b.sender = &fakeSender{
		hashes:  map[string]string{},
		state:   producer.State{Kind: tasks.KindSubscribe, Status: tasks.StatusQueued},
		credits: producer.Credits{Subscriptions: []producer.SubscriptionCredits{}, FormIDs: []producer.FormIDCredits{}},
	}
	c := Config{
		Sender: b.sender,
		Keys:   []Key{{"shop", secretKey}, {"crm", "SECRET-key-of-the-crm"}},
		Apps:   []string{app},
		Logger: slog.New(slog.NewJSONHandler(b.log, nil)),
		Observe: func(route string, code int, d time.Duration) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.requests = append(b.requests, fmt.Sprint(route, " ", code))
			if d < 0 {
				t.Errorf("took %v", d)
			}
		},
		ObserveEnqueue: func(app, kind, result string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.offered = append(b.offered, app+" "+kind+" "+result)
		},
		ObserveGrant: func(_, source, result string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.grants = append(b.grants, source+" "+result)
		},
	}
	for _, f := range change {
		f(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	b.handler = h
	return b
}

// result is an answer whose body has been checked against the OpenAPI document.
type result struct {
	*httptest.ResponseRecorder
	t    *testing.T
	json map[string]any
}

// do sends a request with a key and, if there is a body, as JSON; headers
// ("Name: value") come on top. Every answer is searched for what must not leak.
func (b *bundle) do(method, path, body string, headers ...string) result {
	b.t.Helper()
	req := httptest.NewRequest(method, path, strings.NewReader(body))
	req.Header.Set("Authorization", "Bearer "+secretKey)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	r := result{ResponseRecorder: httptest.NewRecorder(), t: b.t}
	b.handler.ServeHTTP(r.ResponseRecorder, req)
	if err := json.Unmarshal(r.Body.Bytes(), &r.json); err != nil {
		b.t.Fatalf("%s %s: body is no JSON object: %v", method, path, err)
	}
	checkDocumented(b.t, req, r.ResponseRecorder)
	b.checkLeaks(r)
	return r
}

func (b *bundle) checkLeaks(r result) {
	b.t.Helper()
	for _, canary := range []string{"CANARY", "SECRET"} {
		if strings.Contains(r.Body.String(), canary) || strings.Contains(fmt.Sprint(r.Header()), canary) {
			b.t.Errorf("the answer repeats what was sent: %s", r.Body)
		}
		if strings.Contains(b.log.String(), canary) {
			b.t.Errorf("the log has what was sent: %s", b.log)
		}
	}
}

func (r result) want(status int) result {
	r.t.Helper()
	if r.Code != status {
		r.t.Fatalf("status %d, want %d: %s", r.Code, status, r.Body)
	}
	return r
}

func (r result) wantField(name string, want any) {
	r.t.Helper()
	if got := r.json[name]; got != want {
		r.t.Errorf("%s is %v, want %v", name, got, want)
	}
}

// fields lists the names in errors.
func (r result) fields() []string { return fieldsOf(r.json) }

func fieldsOf(problem map[string]any) []string {
	var names []string
	list, _ := problem["errors"].([]any)
	for _, e := range list {
		names = append(names, e.(map[string]any)["field"].(string))
	}
	return names
}

// notification is a valid body with more or other fields.
func notification(fields ...any) string {
	n := map[string]any{
		"to":          map[string]any{"openid": openid},
		"template_id": "template-1",
		"data":        map[string]any{"thing1": content},
	}
	for i := 0; i < len(fields); i += 2 {
		n[fields[i].(string)] = fields[i+1]
	}
	body, err := json.Marshal(n)
	if err != nil {
		panic(err)
	}
	return string(body)
}

func TestCreate(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.do("POST", "/v1/notifications", notification("id", "n-1")).want(202)
	r.wantField("id", "n-1")
	r.wantField("app", app)
	r.wantField("status", "queued")
	r.wantField("duplicate", nil)

	r = b.do("POST", "/v1/notifications", notification("id", "n-1")).want(200)
	r.wantField("duplicate", true)
	b.do("POST", "/v1/notifications", notification("id", "n-1", "template_id", "template-2")).want(409)
	b.do("POST", "/v1/notifications", notification()).want(202)
	b.do("POST", "/v1/notifications", notification("id", "no good")).want(422)

	want := []string{"accepted", "duplicate", "conflict", "accepted", "invalid"}
	for i := range want {
		want[i] = app + " subscribe " + want[i]
	}
	if !slices.Equal(b.offered, want) {
		t.Errorf("offered: %q, want %q", b.offered, want)
	}
}

func TestShow(t *testing.T) {
	t.Parallel()
	b := setup(t)
	at := time.Date(2030, 1, 31, 9, 0, 0, 0, time.FixedZone("", 8*3600))
	b.sender.state = producer.State{
		Kind: tasks.KindSubscribe, Status: tasks.Status(tasks.Accepted), MsgID: "1988810812324364291",
		Errcode: 43108, Reason: "busy", Remedy: "none", Attempts: 2, CreatedAt: at, UpdatedAt: at,
	}
	r := b.do("GET", "/v1/notifications/n.~_-1?app="+app, "").want(200)
	for name, want := range map[string]any{
		"id": "n.~_-1", "app": app, "kind": "subscribe", "status": "accepted", "msgid": "1988810812324364291", "errcode": 43108.0,
		"reason": "busy", "remedy": "none", "attempts": 2.0, "created_at": "2030-01-31T01:00:00Z", "updated_at": "2030-01-31T01:00:00Z",
	} {
		r.wantField(name, want)
	}
	b.do("GET", "/v1/notifications/n-1", "").want(200).wantField("app", app)

	b.sender.err = producer.ErrNotFound
	b.do("GET", "/v1/notifications/n-1", "").want(404)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.do("DELETE", "/v1/notifications/n-1", "").want(200)
	r.wantField("status", "canceled")
	r.wantField("id", "n-1")

	for status, detail := range map[tasks.Status]string{tasks.StatusSending: "under way", tasks.Status(tasks.Accepted): "has ended"} {
		b.sender.err = fmt.Errorf("wrapped: %w", &producer.NotCancelableError{Status: status})
		r = b.do("DELETE", "/v1/notifications/n-1", "").want(409)
		if got := r.json["notification"].(map[string]any)["status"]; got != string(status) {
			t.Errorf("status %v, want %v", got, status)
		}
		if !strings.Contains(r.json["detail"].(string), detail) {
			t.Errorf("detail %v, want %q in it", r.json["detail"], detail)
		}
	}
	b.sender.err = producer.ErrNotFound
	b.do("DELETE", "/v1/notifications/n-1", "").want(404)
}

func TestSenderErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		status int
		result string
	}{
		{producer.ErrUnknownApp, 422, "invalid"},
		{producer.ErrConflict, 409, "conflict"},
		{fmt.Errorf("%w: dial", producer.ErrUnavailable), 503, "unavailable"},
		{fmt.Errorf("%w: %w", producer.ErrBusy, tasks.ErrMemoryFull), 503, "busy"},
		{fmt.Errorf("%w: %w", producer.ErrBusy, tasks.ErrQueueFull), 503, "busy"},
		{context.DeadlineExceeded, 503, "unavailable"},
		{fmt.Errorf("producer: %w", context.Canceled), 503, "unavailable"},
		{&tasks.ValidationError{Fields: []tasks.FieldError{{Field: "page", Detail: "no"}}}, 422, "invalid"},
		{errors.New("producer: no random numbers"), 500, "failed"},
	} {
		b := setup(t)
		b.sender.err = c.err
		r := b.do("POST", "/v1/notifications", notification("id", "n-1")).want(c.status)
		if want := []string{app + " subscribe " + c.result}; !slices.Equal(b.offered, want) {
			t.Errorf("%v: offered %q, want %q", c.err, b.offered, want)
		}
		if wait := r.Header().Get("Retry-After"); (c.status == 503) != (wait != "") {
			t.Errorf("%v: Retry-After %q", c.err, wait)
		}
		if c.status == 500 && !strings.Contains(b.log.String(), "no random numbers") {
			t.Errorf("the log has no cause: %s", b.log)
		}
	}
}

func TestAppMayBeLeftOutIfThereIsOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		apps   []string
		named  any
		status int
	}{
		{"one", []string{app}, nil, 202},
		{"one, named", []string{app}, app, 202},
		{"one, another named", []string{app}, otherApp, 422},
		{"two", []string{app, otherApp}, nil, 422},
		{"two, named", []string{app, otherApp}, otherApp, 202},
		{"any", nil, nil, 422},
		{"any, named", nil, otherApp, 202},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(cfg *Config) { cfg.Apps = c.apps })
			query := ""
			if c.named != nil {
				query = "?app=" + c.named.(string)
			}
			post := b.do("POST", "/v1/notifications", notification("app", c.named)).want(c.status)
			get := b.do("GET", "/v1/notifications/n-1"+query, "")
			if c.status == 422 && (!slices.Equal(post.fields(), []string{"app"}) || !slices.Equal(get.fields(), []string{"app"})) {
				t.Errorf("fields %v and %v", post.fields(), get.fields())
			}
			if (get.Code == 200) != (c.status == 202) {
				t.Errorf("GET: %d", get.Code)
			}
		})
	}
}

func TestKeys(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		header string
		status int
	}{
		{"Bearer " + secretKey, 202}, {"bearer SECRET-key-of-the-crm", 202}, {"Bearer  " + secretKey, 202},
		{"", 401}, {"Bearer", 401}, {"Bearer ", 401}, {"Bearer wrong", 401}, {"Basic " + secretKey, 401}, {secretKey, 401},
		{"Bearer " + secretKey + "x", 401}, {"Bearer " + secretKey[1:], 401}, {"Bearer shop", 401},
	} {
		r := b.do("POST", "/v1/notifications", notification(), "Authorization: "+c.header).want(c.status)
		if c.status == 401 && !strings.HasPrefix(r.Header().Get("WWW-Authenticate"), "Bearer ") {
			t.Errorf("%q: WWW-Authenticate %q", c.header, r.Header().Get("WWW-Authenticate"))
		}
	}
	if !strings.Contains(b.log.String(), `"key":"crm"`) {
		t.Error("the log does not name the key")
	}
}

// Without a key no body is read, however long it takes to arrive.
func TestKeyComesBeforeBody(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req := httptest.NewRequest("POST", "/v1/notifications", readerFunc(func([]byte) (int, error) {
		t.Error("the body was read")
		return 0, io.EOF
	}))
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, req)
	if rec.Code != 401 {
		t.Errorf("status %d", rec.Code)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRefusesToStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no sender", func(c *Config) { c.Sender = nil }, "no sender"},
		{"no keys", func(c *Config) { c.Keys = nil }, "refuses to start"},
		{"no name", func(c *Config) { c.Keys[1].Name = "" }, "key 2 of 2"},
		{"empty key", func(c *Config) { c.Keys[1].Key = "" }, `"crm"`},
		{"key with a space", func(c *Config) { c.Keys[1].Key = "SECRET key" }, `"crm"`},
		{"key of two lines", func(c *Config) { c.Keys[1].Key = "SECRET\n" }, `"crm"`},
		{"name twice", func(c *Config) { c.Keys[1].Name = "shop" }, "defined twice"},
		{"key twice", func(c *Config) { c.Keys[1].Key = c.Keys[0].Key }, "are the same"},
		{"no AppID", func(c *Config) { c.Apps = []string{app, "wx CANARY"} }, "app 2 of 2"},
		{"app twice", func(c *Config) { c.Apps = []string{app, app} }, "twice"},
	} {
		cfg := Config{Sender: &fakeSender{}, Keys: []Key{{"shop", secretKey}, {"crm", "SECRET2"}}, Apps: []string{app}}
		c.change(&cfg)
		_, err := New(cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "gateway: ") {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err != nil && (strings.Contains(err.Error(), "SECRET") || strings.Contains(err.Error(), "CANARY")) {
			t.Errorf("%s: the error has a value: %v", c.name, err)
		}
	}
}

func TestWorksWithoutHooks(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Logger, c.Observe, c.ObserveEnqueue = nil, nil, nil })
	b.do("POST", "/v1/notifications", notification()).want(202)
}

func TestRoutes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		method, path string
		status       int
		allow, route string
	}{
		{"GET", "/", 404, "", "other"},
		{"GET", "/v1", 404, "", "other"},
		{"GET", "/v1/notifications/", 404, "", "other"},
		{"GET", "/v1/notifications/a/b", 404, "", "other"},
		{"POST", "/v1/notifications:other", 404, "", "other"},
		{"GET", "/v1/notifications", 405, "POST", "/v1/notifications"},
		{"PUT", "/v1/notifications/n-1", 405, "DELETE, GET, HEAD", "/v1/notifications/{id}"},
		{"DELETE", "/v1/notifications:batch", 405, "POST", "/v1/notifications:batch"},
		{"GET", "/v1/form-ids", 405, "POST", "/v1/form-ids"},
		{"PUT", "/v1/subscriptions", 405, "POST", "/v1/subscriptions"},
		{"POST", "/v1/credits", 405, "GET, HEAD", "/v1/credits"},
		{"GET", "/v1/users/" + openid, 405, "DELETE", "/v1/users/{openid}"},
		{"DELETE", "/v1/users/", 404, "", "other"},
		{"DELETE", "/v1/users/" + openid + "/more", 404, "", "other"},
		{"POST", "/v1/openapi.json", 405, "GET, HEAD", "/v1/openapi.json"},
		{"CANARY", "/v1/openapi.json", 405, "GET, HEAD", "/v1/openapi.json"},
		{"HEAD", "/v1/openapi.json", 200, "", "/v1/openapi.json"},
		{"GET", "/v1/notifications/n%2F1", 422, "", "/v1/notifications/{id}"},
		{"GET", "/v1/notifications/%2E%2E", 422, "", "/v1/notifications/{id}"},
		{"GET", "/v1/notifications/" + strings.Repeat("x", 129), 422, "", "/v1/notifications/{id}"},
	} {
		b.requests = nil
		r := b.do(c.method, c.path, "").want(c.status)
		if got := r.Header().Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
		if want := fmt.Sprint(c.route, " ", c.status); !slices.Equal(b.requests, []string{want}) {
			t.Errorf("%s %s: observed %q, want %q", c.method, c.path, b.requests, want)
		}
	}
}

func TestRequestID(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		given string
		kept  bool
	}{
		{"4bf92f3577b34da6", true}, {strings.Repeat("x", 64), true},
		{"", false}, {strings.Repeat("x", 65), false}, {"two words", false}, {"zeile\u00fc", false}, {"a\x01", false},
	} {
		r := b.do("POST", "/v1/notifications", notification(), "X-Request-Id: "+c.given)
		got := r.Header().Get("X-Request-Id")
		if (got == c.given) != c.kept || got == "" {
			t.Errorf("%q became %q", c.given, got)
		}
		if !strings.Contains(b.log.String(), fmt.Sprintf(`"request_id":%q`, got)) {
			t.Errorf("the log has no line of %q", got)
		}
		if sent := b.sender.last(t).RequestID; sent != got {
			t.Errorf("the notification came with %q, want %q", sent, got)
		}
	}
}

func TestLogLine(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("POST", "/v1/notifications?secret=CANARY", notification()).want(422)
	b.log.buf.Reset()
	b.do("POST", "/v1/notifications", notification("id", "n-1")).want(202)
	var line map[string]any
	if err := json.Unmarshal([]byte(b.log.String()), &line); err != nil {
		t.Fatalf("one line is wanted: %v in %s", err, b.log)
	}
	for name, want := range map[string]any{
		"level": "INFO", "component": "gateway", "method": "POST", "route": "/v1/notifications", "status": 202.0,
		"key": "shop", "app": app, "id": "n-1",
	} {
		if line[name] != want {
			t.Errorf("%s is %v, want %v", name, line[name], want)
		}
	}
}

// A panic is answered and logged, but not what it says.
func TestPanic(t *testing.T) {
	t.Parallel()
	for _, v := range []func(){
		func() { panic(content) },
		func() { panic(errors.New(openid)) },
		func() { var m map[string]int; m[content] = 1 }, //nolint:staticcheck // the panic is the point
	} {
		b := setup(t)
		b.sender.before = func(context.Context) { v() }
		b.do("POST", "/v1/notifications", notification()).want(500)
		if !strings.Contains(b.log.String(), "panicked") || !strings.Contains(b.log.String(), "notification.go") {
			t.Errorf("no stack in the log: %s", b.log)
		}
	}
}

func TestCallsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var left time.Duration
	b.sender.before = func(ctx context.Context) {
		deadline, _ := ctx.Deadline()
		left = time.Until(deadline)
	}
	for _, c := range []struct {
		method, path, body string
		limit              time.Duration
	}{
		{"POST", "/v1/notifications", notification(), callTimeout},
		{"GET", "/v1/notifications/n-1", "", callTimeout},
		{"DELETE", "/v1/notifications/n-1", "", callTimeout},
		{"POST", "/v1/notifications:batch", `{"notifications":[` + notification() + `]}`, batchTimeout},
		{"POST", "/v1/form-ids", formID(), callTimeout},
		{"POST", "/v1/subscriptions", subscription(), callTimeout},
		{"GET", "/v1/credits?openid=" + openid, "", callTimeout},
		{"DELETE", "/v1/users/" + openid, "", callTimeout},
	} {
		left = 0
		b.do(c.method, c.path, c.body)
		if left <= c.limit/2 || left > c.limit {
			t.Errorf("%s %s: %v left, want up to %v", c.method, c.path, left, c.limit)
		}
	}
}

// Through a real server, 100 at once: each gets its own answer.
func TestConcurrentRequests(t *testing.T) {
	t.Parallel()
	b := setup(t)
	srv := httptest.NewServer(b.handler)
	defer srv.Close()
	client := srv.Client()
	defer client.CloseIdleConnections()
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			id := fmt.Sprintf("n-%d", i)
			got, err := post(client, srv.URL, notification("id", id))
			if err != nil || got["id"] != id || got["status"] != "queued" {
				t.Errorf("%s: %v, %v", id, got, err)
			}
		})
	}
	wg.Wait()
	if len(b.sender.sent) != 100 || len(b.requests) != 100 {
		t.Errorf("%d sent, %d observed", len(b.sender.sent), len(b.requests))
	}
}

func post(client *http.Client, url, body string) (got map[string]any, err error) {
	req, err := http.NewRequest("POST", url+"/v1/notifications", strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+secretKey)
	req.Header.Set("Content-Type", "application/json; charset=UTF-8")
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	return got, json.NewDecoder(resp.Body).Decode(&got)
}
