package dashboard

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	app     = "wx1234567890abcdef"
	openID  = "oCANARYn_-abcdefghijklmnopqr"
	content = "content-cAnArY"
	foreign = "foreign-cAnArY"
)

func silent() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// page is a running dashboard.
type page struct {
	url            string
	user, password string
}

func serve(t *testing.T, c Config) page {
	t.Helper()
	if c.Logger == nil {
		c.Logger = silent()
	}
	if c.Metrics == nil {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "some_series 1\n") })
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return page{url: srv.URL, user: c.User, password: c.Password}
}

func (p page) do(t *testing.T, method, path string) (*http.Response, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, p.url+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if p.user != "" {
		req.SetBasicAuth(p.user, p.password)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(body)
}

// get returns the body of a page that must be there.
func (p page) get(t *testing.T, path string) string {
	t.Helper()
	res, body := p.do(t, http.MethodGet, path)
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s: %s", path, res.Status, body)
	}
	return body
}

// notification is a sealed notification whose recipient and content must not show.
func notification(t *testing.T, c *tasks.Client, id string, sendAt time.Time) tasks.Envelope {
	t.Helper()
	e, err := c.Seal(tasks.Notification{
		App: app, ID: id, To: tasks.Recipient{OpenID: openID}, TemplateID: "tpl-1", SendAt: sendAt,
		Page: new("pages/order?name=" + content), Data: map[string]string{"thing1": content, "name2": content + "二"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// queues is a Redis whose queues hold a task in every state.
type queues struct {
	rdb     redis.UniversalClient
	payload []byte // of a notification
	queue   string
}

func fill(t *testing.T, rdb redis.UniversalClient) queues {
	t.Helper()
	ctx := t.Context()
	c := tasks.NewClient(rdb, "")
	for id, sendAt := range map[string]time.Time{"pending": {}, "scheduled": time.Now().Add(time.Hour)} {
		if err := c.Enqueue(ctx, notification(t, c, id, sendAt)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.EnqueueJob(ctx, tasks.JobTask{Job: tasks.JobRefreshToken, App: app, Slot: 7}); err != nil {
		t.Fatal(err)
	}
	queue := tasks.Namespace("").Queue(app, tasks.Default)
	info, err := asynq.NewInspectorFromRedisClient(rdb).GetTaskInfo(queue, tasks.TaskID(app, "pending"))
	if err != nil {
		t.Fatal(err)
	}
	return queues{rdb: rdb, payload: info.Payload, queue: queue}
}

func (q queues) enqueue(t *testing.T, taskType, queue, id string, payload []byte, opts ...asynq.Option) {
	t.Helper()
	opts = append(opts, asynq.Queue(queue), asynq.TaskID(id))
	if _, err := asynq.NewClientFromRedisClient(q.rdb).Enqueue(asynq.NewTask(taskType, payload), opts...); err != nil {
		t.Fatal(err)
	}
}

// misbehave handles tasks as their ids say, and tells whatever it knows.
func misbehave(ctx context.Context, task *asynq.Task) error {
	id, _ := asynq.GetTaskID(ctx)
	switch {
	case strings.HasSuffix(id, "retry"):
		return errors.New("worker: no luck with " + openID + ".")
	case strings.HasSuffix(id, "archived"):
		return fmt.Errorf("hopeless %s: %w", openID, asynq.SkipRetry)
	case strings.HasSuffix(id, "panic"):
		panic("the payload " + string(task.Payload()))
	case strings.HasSuffix(id, "completed"):
		_, err := task.ResultWriter().Write([]byte("sent to " + openID + ": " + content))
		return err
	}
	<-ctx.Done() // stays active
	return ctx.Err()
}

// work runs a server and a scheduler on a queue of their own until the test ends.
func (q queues) work(t *testing.T, queue string) {
	t.Helper()
	log := quiet{}
	srv := asynq.NewServerFromRedisClient(q.rdb, asynq.Config{Queues: map[string]int{queue: 1}, Concurrency: 8, Logger: log,
		TaskCheckInterval: 20 * time.Millisecond, ShutdownTimeout: 50 * time.Millisecond,
		RetryDelayFunc: func(int, error, *asynq.Task) time.Duration { return time.Hour }}) // what failed stays so
	if err := srv.Start(asynq.HandlerFunc(misbehave)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(srv.Shutdown)
	sched := asynq.NewSchedulerFromRedisClient(q.rdb, &asynq.SchedulerOpts{Logger: log, HeartbeatInterval: 50 * time.Millisecond})
	if _, err := sched.Register("@every 1h", asynq.NewTask(tasks.KindSubscribe.TaskType(), q.payload)); err != nil {
		t.Fatal(err)
	}
	if err := sched.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sched.Shutdown)
}

// quiet is an asynq logger that says nothing.
type quiet struct{}

func (quiet) Debug(...any) {}
func (quiet) Info(...any)  {}
func (quiet) Warn(...any)  {}
func (quiet) Error(...any) {}
func (quiet) Fatal(...any) {}

// TestNothingPersonalIsShown fills every page of asynqmon and reads them all.
func TestNothingPersonalIsShown(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	q := fill(t, rdb)
	p := serve(t, Config{Redis: rdb})
	const busy = "busy.default"
	ours, theirs := tasks.KindSubscribe.TaskType(), "mail:send"
	for _, state := range []string{"retry", "archived", "panic", "completed", "active"} {
		q.enqueue(t, ours, busy, app+":"+state, q.payload, asynq.Retention(time.Hour), asynq.MaxRetry(5))
		q.enqueue(t, theirs, busy, "their-"+state, []byte(foreign+openID), asynq.Retention(time.Hour), asynq.MaxRetry(5))
	}
	q.enqueue(t, ours, q.queue, "newer", []byte(`{"v":99,"to":"`+openID+`"}`))
	q.enqueue(t, ours, q.queue, "garbage", []byte(`{"v":1,"to":"`+openID+`"}`))
	q.enqueue(t, ours, q.queue, "grouped", q.payload, asynq.Group("group"))
	q.work(t, busy)

	taskstest.Eventually(t, 60*time.Second, func() string {
		servers, entries := p.get(t, "/api/servers"), p.get(t, "/api/scheduler_entries")
		if !strings.Contains(servers, app+":active") || !strings.Contains(servers, "their-active") || !strings.Contains(entries, ours) {
			return "no active worker or no scheduler entry: " + servers + entries
		}
		if current := p.get(t, "/api/queues/"+busy); !strings.Contains(current, `"retry":4`) || !strings.Contains(current, `"archived":2`) || !strings.Contains(current, `"completed":2`) {
			return "not all have run: " + current
		}
		return ""
	})

	shown := map[string]string{}
	for _, path := range endpoints(q.queue, busy, schedulerEntry(t, p)) {
		shown[path] = p.get(t, path)
		if body := strings.ToLower(shown[path]); strings.Contains(body, "canary") {
			t.Errorf("GET %s shows a recipient or content: %s", path, shown[path])
		}
	}
	masked := `\"to\":\"oC•••qr\"`
	for path, want := range map[string]string{
		"/api/queues/" + q.queue + "/pending_tasks":                         masked,
		"/api/queues/" + q.queue + "/scheduled_tasks":                       masked,
		"/api/queues/" + q.queue + "/tasks/" + tasks.TaskID(app, "pending"): `\"data\":{\"name2\":\"•••(15)\",\"thing1\":\"•••(14)\"}`,
		"/api/queues/" + q.queue + "/groups/group/aggregating_tasks":        masked,
		"/api/queues/" + q.queue + "/tasks/newer":                           "written by a newer version",
		"/api/queues/" + q.queue + "/tasks/garbage":                         "bytes, not shown",
		"/api/queues/" + busy + "/active_tasks":                             masked,
		"/api/queues/" + busy + "/retry_tasks":                              "worker: no luck with oC•••qr.",
		"/api/queues/" + busy + "/archived_tasks":                           "hopeless oC•••qr",
		"/api/queues/" + busy + "/tasks/" + app + ":panic":                  `"error_message":"panic error cause by: panic [`,
		"/api/queues/" + busy + "/tasks/their-retry":                        `"payload":"42 bytes, not shown"`,
		"/api/queues/" + busy + "/completed_tasks":                          `"result":"52 bytes, not shown"`,
		"/api/queues/wxnotify.system/pending_tasks":                         `{\"job\":\"token-refresh\"`,
		"/api/servers":           masked,
		"/api/scheduler_entries": masked,
		"/api/redis_info":        "redis_version",
	} {
		if !strings.Contains(shown[path], want) {
			t.Errorf("GET %s lacks %s: %s", path, want, shown[path])
		}
	}
}

func schedulerEntry(t *testing.T, p page) string {
	t.Helper()
	var list struct {
		Entries []struct {
			ID string `json:"id"`
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(p.get(t, "/api/scheduler_entries")), &list); err != nil || len(list.Entries) == 0 {
		t.Fatalf("scheduler entries: %v", err)
	}
	return list.Entries[0].ID
}

// endpoints lists every GET route of asynqmon v0.7.2 but the charts.
func endpoints(queue, busy, entry string) []string {
	list := []string{"/", "/api/queues", "/api/queue_stats", "/api/servers", "/api/scheduler_entries",
		"/api/scheduler_entries/" + entry + "/enqueue_events", "/api/redis_info",
		"/api/queues/" + queue + "/groups/group/aggregating_tasks"}
	for _, q := range []string{queue, busy, "wxnotify.system"} {
		list = append(list, "/api/queues/"+q, "/api/queues/"+q+"/groups")
		for _, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			list = append(list, "/api/queues/"+q+"/"+state+"_tasks")
		}
	}
	for _, id := range []string{tasks.TaskID(app, "pending"), tasks.TaskID(app, "scheduled"), "newer", "garbage", "grouped"} {
		list = append(list, "/api/queues/"+queue+"/tasks/"+id)
	}
	for _, state := range []string{"retry", "archived", "panic", "completed", "active"} {
		list = append(list, "/api/queues/"+busy+"/tasks/"+app+":"+state, "/api/queues/"+busy+"/tasks/their-"+state)
	}
	return list
}

func TestNothingCanBeChanged(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	q := fill(t, rdb)
	p := serve(t, Config{Redis: rdb})
	id := url.PathEscape(tasks.TaskID(app, "pending"))
	for _, path := range []string{"/", "/healthz", "/api/anything", "/api/queues/" + q.queue, "/api/queues/" + q.queue + ":pause",
		"/api/queues/" + q.queue + "/pending_tasks/" + id, "/api/queues/" + q.queue + "/pending_tasks:delete_all",
		"/api/queues/" + q.queue + "/scheduled_tasks:run_all", "/api/queues/" + q.queue + "/tasks/" + id} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "NONSENSE"} {
			if res, _ := p.do(t, method, path); res.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %s", method, path, res.Status)
			}
		}
	}
	if _, err := tasks.NewClient(rdb, "").Find(t.Context(), app, "pending"); err != nil {
		t.Error(err)
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	var log strings.Builder
	p := serve(t, Config{Redis: rdb, User: "ops", Password: "p:ss wörd", Logger: slog.New(slog.NewTextHandler(&log, nil))})
	for _, path := range []string{"/", "/api/queues", "/static/js/main.5adda2da.chunk.js", "/api/metrics", "/metrics", "/healthz/", "/nonsense"} {
		for _, c := range []struct {
			user, password string
			want           int
		}{{"ops", "p:ss wörd", http.StatusOK}, {"", "", 401}, {"ops", "", 401}, {"ops", "p:ss worde", 401}, {"op", "sp:ss wörd", 401}, {"root-cAnArY", "p:ss wörd", 401}} {
			try := p
			try.user, try.password = c.user, c.password
			res, _ := try.do(t, http.MethodGet, path)
			if path == "/api/metrics" && c.want == http.StatusOK {
				c.want = http.StatusNotFound // no Prometheus
			}
			if res.StatusCode != c.want {
				t.Errorf("GET %s as %q: %s, want %d", path, c.user, res.Status, c.want)
			}
			if res.StatusCode == 401 && !strings.HasPrefix(res.Header.Get("WWW-Authenticate"), "Basic ") {
				t.Errorf("GET %s: nobody asks for a login", path)
			}
		}
	}
	if body := p.get(t, "/metrics"); body != "some_series 1\n" {
		t.Errorf("/metrics: %q", body)
	}
	anonymous := page{url: p.url}
	if body := anonymous.get(t, "/healthz"); body != "ok\n" {
		t.Errorf("/healthz: %q", body)
	}
	if text := log.String(); !strings.Contains(text, "login refused") || !strings.Contains(text, "127.0.0.1") || strings.Contains(text, "cAnArY") || strings.Contains(text, "p:ss") {
		t.Errorf("log: %s", text)
	}
}

func TestHalfALoginIsRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []Config{{User: "ops"}, {Password: "p"}} {
		if _, err := New(c); err == nil {
			t.Error("half a login passes")
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	p := serve(t, Config{Redis: rdb, PrometheusURL: "http://127.0.0.1:1"})
	for _, path := range []string{"/", "/api/queues", "/healthz", "/static/js/main.5adda2da.chunk.js"} {
		res, body := p.do(t, http.MethodGet, path)
		for name, want := range map[string]string{
			"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
		} {
			if got := res.Header.Get(name); got != want {
				t.Errorf("GET %s: %s: %q", path, name, got)
			}
		}
		policy := res.Header.Get("Content-Security-Policy")
		if strings.Contains(policy, "script-src 'self' 'unsafe-inline'") || strings.Count(policy, "'sha256-") != 2 {
			t.Errorf("policy %s", policy)
		}
		if path == "/" && strings.Count(body, "<script>") != 2 {
			t.Error("the page has other scripts than the policy")
		}
		if path == "/api/queues" && res.Header.Get("Cache-Control") != "no-store" {
			t.Error("answers may be cached")
		}
	}
}

// TestEmbeddedRedis holds the pages against miniredis, which `wxnotify dev` uses.
func TestEmbeddedRedis(t *testing.T) {
	t.Parallel()
	rdb, err := tasks.ConnectRedis("redis://"+miniredis.RunT(t).Addr(), tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	q := fill(t, rdb)
	p := serve(t, Config{Redis: rdb})
	for _, path := range []string{"/", "/api/queues", "/api/queues/" + q.queue, "/api/queues/" + q.queue + "/pending_tasks", "/api/queue_stats", "/api/servers", "/api/redis_info"} {
		p.get(t, path)
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	srv := taskstest.StartRedis(t)
	rdb, err := tasks.ConnectRedis(srv.URL, tasks.RedisOptions{MaxRetries: -1, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	p := serve(t, Config{Redis: rdb})
	srv.Kill()
	if res, body := p.do(t, http.MethodGet, "/api/queues"); res.StatusCode != http.StatusInternalServerError || body == "" {
		t.Errorf("%s: %s", res.Status, body)
	}
	p.get(t, "/")
	p.get(t, "/healthz")
}

func TestCharts(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	prometheus := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success"}`)
	}))
	p := serve(t, Config{Redis: rdb, PrometheusURL: prometheus.URL})
	if body := p.get(t, "/api/metrics"); !strings.Contains(body, `"queue_size":{"status":"success"}`) {
		t.Errorf("charts: %s", body)
	}
	prometheus.Close()
	if res, body := p.do(t, http.MethodGet, "/api/metrics"); res.StatusCode != http.StatusBadGateway || strings.TrimSpace(body) != noCharts {
		t.Errorf("%s: %s", res.Status, body)
	}
}
