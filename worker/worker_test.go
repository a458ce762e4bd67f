package worker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"
	"go.uber.org/goleak"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/token"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	app    = "wxba5fad812f8e6fb9"
	secret = "CANARY-secret-0123456789abcdef"
	openID = "oCANARYopenid"
)

// bundle is a worker with a Redis and a WeChat of its own.
type bundle struct {
	*testing.T
	redis    *taskstest.Server // nil on other forms of Redis
	redisURL string
	rdb      redis.UniversalClient
	wechat   *sandbox.Server
	url      string
	client   *producer.Client
	log      *logBuffer
	timeout  time.Duration
	horizon  time.Duration
	consent  tasks.ConsentPolicy
	grace    time.Duration
	rate     float64
	metrics  *metrics.Metrics
}

// setup starts everything but the worker.
func setup(t *testing.T, redisArgs ...string) *bundle {
	t.Helper()
	t.Parallel()
	server := taskstest.StartRedis(t, redisArgs...)
	b := setupOn(t, server.URL)
	b.redis = server
	return b
}

// setupOn starts everything but Redis and the worker.
func setupOn(t *testing.T, redisURL string) *bundle {
	t.Helper()
	b := &bundle{T: t, redisURL: redisURL, log: &logBuffer{}, timeout: 5 * time.Second, horizon: time.Hour}
	clearOfTheEnd(time.Hour)
	var err error
	if b.rdb, err = tasks.ConnectRedis(redisURL, tasks.RedisOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.rdb.Close() })
	b.wechat, err = sandbox.New(sandbox.Config{Seed: 1, Apps: []sandbox.App{{
		AppID: app, Secret: secret, AllowAnyOpenID: true, AllowAnyTemplate: true, IDKey: "character_string1",
	}}})
	if err != nil {
		t.Fatal(err)
	}
	running, err := b.wechat.Start("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = running.Shutdown(ctx)
	})
	b.url = running.URL()
	if b.client, err = producer.New(b.redisURL); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.client.Close() })
	return b
}

// clearOfTheEnd waits until no hour, or minute, ends within the next seconds: quotas
// begin anew then, pauses end, and schedules are due.
func clearOfTheEnd(period time.Duration) {
	now := time.Now()
	if left := now.Truncate(period).Add(period).Sub(now); left < 15*time.Second {
		<-time.After(left)
	}
}

// start runs a worker until the test ends, or until the returned function is called.
func (b *bundle) start() (stop func()) {
	b.Helper()
	rdb, err := tasks.ConnectRedis(b.redisURL, tasks.RedisOptions{})
	if err != nil {
		b.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(b.log, nil))
	call, err := wechat.New(wechat.Config{BaseURL: b.url, Timeout: b.timeout})
	if err != nil {
		b.Fatal(err)
	}
	tokens, err := token.New(token.Config{Redis: rdb, Logger: log, HTTPTimeout: b.timeout,
		Apps: []token.App{{Credential: wechat.Credential{AppID: app, Secret: secret}, API: call}}})
	if err != nil {
		b.Fatal(err)
	}
	w, err := worker.New(worker.Config{
		Redis: rdb, Tokens: tokens, Ledger: ledger.New(rdb, "", ledger.Options{Batch: true, Grace: b.grace}),
		Apps:    []worker.App{{AppID: app, WeChat: call, Credential: wechat.Credential{AppID: app, Secret: secret}, Consent: b.consent, Rate: b.rate}},
		Metrics: b.metrics, Logger: log, AsynqLogger: quiet{}, Concurrency: 16, HTTPTimeout: b.timeout, ShutdownTimeout: 26 * time.Second,
		RetryHorizon: b.horizon, TokenRefreshEvery: time.Hour,
		DeadRetention: 30 * 24 * time.Hour, Purge: cron.Every(24 * time.Hour), Timezone: time.FixedZone("Asia/Shanghai", 8*3600),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		tokens.Close()
		call.Close()
		_ = rdb.Close()
	})
	b.Cleanup(stop)
	return stop
}

func notification(id string) producer.Notification {
	return producer.Notification{
		App: app, ID: id, To: producer.Recipient{OpenID: openID + id}, TemplateID: "tmpl",
		Data: map[string]string{"character_string1": id, "thing2": "CANARY content"},
	}
}

func (b *bundle) send(n producer.Notification) {
	b.Helper()
	_, err := b.client.Send(b.Context(), n)
	for tries := 1; tries < 10 && errors.Is(err, producer.ErrUnavailable); tries++ { // within 2 s, as a busy machine may be
		_, err = b.client.Send(b.Context(), n)
	}
	if err != nil {
		b.Fatal(err)
	}
}

// await waits until the notification stands there.
func (b *bundle) await(id string, want tasks.Status) producer.State {
	b.Helper()
	return b.awaitFor(id, 60*time.Second, func(s producer.State) bool { return s.Status == want }, string(want))
}

func (b *bundle) awaitFor(id string, d time.Duration, ok func(producer.State) bool, want string) producer.State {
	b.Helper()
	var state producer.State
	taskstest.Eventually(b, d, func() string {
		var err error
		state, err = b.client.Status(b.Context(), app, id)
		if err != nil || !ok(state) {
			return fmt.Sprintf("%s is %s (%d, %s, %v), want %s\n%s", id, state.Status, state.Errcode, state.Reason, err, want, b.log.tail())
		}
		return ""
	})
	return state
}

func (b *bundle) accepted(id string) int64 {
	return b.wechat.Report(true).Apps[app].AcceptedByID[id]
}

func (b *bundle) faults(f sandbox.Faults) {
	b.Helper()
	if err := b.wechat.SetFaults(app, f); err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) next(script ...sandbox.Script) { b.faults(sandbox.Faults{Next: script}) }

func send(do sandbox.Fault, code, count int) sandbox.Script {
	return sandbox.Script{API: sandbox.APISubscribeSend, Do: do, Errcode: code, Count: count}
}

func TestAccepted(t *testing.T) {
	b := setup(t)
	b.start()
	for _, lane := range tasks.Priorities() {
		n := notification(string(lane))
		n.Priority, n.Page = lane, new("")
		b.send(n)
	}
	for _, lane := range tasks.Priorities() {
		s := b.await(string(lane), "accepted")
		if s.MsgID == "" || s.Attempts != 1 || s.Reason != "" || b.accepted(string(lane)) != 1 {
			t.Errorf("%+v, accepted %d times", s, b.accepted(string(lane)))
		}
	}
	taskstest.Eventually(t, 60*time.Second, func() string { // the last acknowledgement may be on its way
		if n := b.rdb.Exists(b.Context(), "asynq:{"+app+".default}:t:"+app+":default").Val(); n != 0 {
			return "the task is still there"
		}
		return ""
	})
}

// The main path on every form of Redis: all lanes, every kind of ending, and what a
// worker does by the clock.
func TestOnEveryRedis(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, func(t *testing.T, url string) {
		b := setupOn(t, url)
		b.start()
		b.next(send("", 43101, 1))
		b.send(notification("refused"))
		b.await("refused", "rejected")
		b.next(send("", 47003, 1))
		b.send(notification("invalid"))
		b.await("invalid", "dead")
		b.next(send(sandbox.FaultLostCut, 0, 1))
		b.send(notification("lost"))
		if s := b.await("lost", "accepted"); s.Attempts != 2 {
			t.Errorf("%+v, want a second attempt after a lost answer", s)
		}
		const n = 60 // over all masters of a cluster
		for i := range n {
			m := notification(fmt.Sprint("many", i))
			m.Priority = tasks.Priorities()[i%3]
			b.send(m)
		}
		for i := range n {
			b.await(fmt.Sprint("many", i), "accepted")
		}
		taskstest.Eventually(t, 60*time.Second, func() string {
			jobs := b.rdb.HGetAll(t.Context(), "wxn:jobs").Val()
			if jobs["purge:"] == "" || jobs["token-refresh:"+app] == "" {
				return fmt.Sprintf("jobs that ran: %v\n%s", jobs, b.log.tail())
			}
			return ""
		})
	})
}

func TestOutcomesOfErrcodes(t *testing.T) {
	b := setup(t)
	b.start()
	for _, c := range []struct {
		code int
		want tasks.Status
	}{{43101, "rejected"}, {47003, "dead"}, {40003, "dead"}, {45168, "dead"}, {-1, "accepted"}, {43108, "accepted"}} {
		id := fmt.Sprint("code", c.code)
		b.next(send("", c.code, 1))
		b.send(notification(id))
		s := b.await(id, c.want)
		if c.want != "accepted" && (s.Errcode != c.code || s.Remedy == "" || s.Attempts != 1) {
			t.Errorf("%d: %+v", c.code, s)
		}
	}
	taskstest.Eventually(t, 60*time.Second, func() string { // asynq archives one a moment after its outcome
		if archived := b.list(asynq.TaskStateArchived); len(archived) != 3 || !strings.Contains(archived[0].LastErr, "errcode") {
			return fmt.Sprintf("dead letters in asynq's archive: %v", archived)
		}
		return ""
	})
}

// An app that is not set up right waits, and says so; nothing is buried.
func TestMisconfiguredWaits(t *testing.T) {
	b := setup(t)
	b.next(send("", 48001, 1))
	b.start()
	b.send(notification("waits"))
	s := b.awaitFor("waits", 60*time.Second, func(s producer.State) bool { return s.Errcode == 48001 }, "48001")
	if s.Status.Final() || s.Attempts != 0 || s.Remedy != errcode.Lookup(48001).Remedy {
		t.Errorf("%+v", s)
	}
}

func TestNoTokenIsShownAndHeals(t *testing.T) {
	b := setup(t)
	b.faults(sandbox.Faults{Next: []sandbox.Script{{API: sandbox.APIStableToken, Errcode: 40164, Count: 2}}})
	b.start()
	b.send(notification("a"))
	s := b.awaitFor("a", 60*time.Second, func(s producer.State) bool { return s.Errcode == 40164 }, "40164")
	if s.Status.Final() || s.Attempts != 0 || !strings.Contains(s.Reason, "access_token") {
		t.Errorf("%+v", s)
	}
	b.awaitFor("a", 60*time.Second, func(s producer.State) bool { return s.Status == "accepted" }, "accepted")
}

// Expiry does not wait for a token that does not come.
func TestExpiresWithoutAToken(t *testing.T) {
	b := setup(t)
	b.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APIStableToken: {Errcodes: map[int]float64{40125: 1}}}})
	n := notification("a")
	n.NotAfter = time.Now().Add(time.Second)
	b.send(n)
	taskstest.Eventually(t, 60*time.Second, func() string {
		if time.Now().Before(n.NotAfter) {
			return "not yet"
		}
		return ""
	})
	b.start()
	b.await("a", "expired")
}

// A token that WeChat does not take any more is renewed once and the call repeated.
func TestTokenIsRenewedInline(t *testing.T) {
	b := setup(t)
	b.start()
	b.send(notification("before"))
	b.await("before", "accepted")
	if err := b.wechat.KillTokens(app, sandbox.Stable); err != nil {
		t.Fatal(err)
	}
	for i := range 50 {
		b.send(notification(fmt.Sprint("after", i)))
	}
	for i := range 50 {
		if s := b.await(fmt.Sprint("after", i), "accepted"); s.Attempts != 1 {
			t.Errorf("%+v", s)
		}
	}
	if n := b.wechat.Report(false).Calls[sandbox.APIStableToken]; n.Errcodes[0] > 3 {
		t.Errorf("token calls: %+v", n)
	}
}

// Accepted, but the answer is lost: sent once more; with drop, not again.
func TestLostAnswers(t *testing.T) {
	b := setup(t)
	b.timeout = time.Second
	b.next(send(sandbox.FaultLostCut, 0, 1))
	b.start()
	b.send(notification("resend"))
	if s := b.await("resend", "accepted"); s.Attempts != 2 || b.accepted("resend") != 2 {
		t.Errorf("%+v, accepted %d times", s, b.accepted("resend"))
	}
	b.next(send(sandbox.FaultLostHang, 0, 1))
	drop := notification("drop")
	drop.OnUnknown = tasks.Drop
	b.send(drop)
	if s := b.await("drop", "unknown"); s.Attempts != 1 || s.Remedy == "" || b.accepted("drop") != 1 {
		t.Errorf("%+v, accepted %d times", s, b.accepted("drop"))
	}
	b.next(send(sandbox.FaultLostBadGateway, 0, 2))
	b.send(notification("twice"))
	if s := b.await("twice", "unknown"); s.Attempts != 2 || b.accepted("twice") != 2 {
		t.Errorf("%+v, accepted %d times", s, b.accepted("twice"))
	}
}

// The lost first attempt used the user's consent; the refusal of the second says so.
func TestPresumedAccepted(t *testing.T) {
	b := setup(t)
	b.next(send(sandbox.FaultLostCut, 0, 1), send("", 43101, 1))
	b.start()
	b.send(notification("a"))
	if s := b.await("a", "accepted"); !strings.Contains(s.Reason, "consent") || b.accepted("a") != 1 {
		t.Errorf("%+v, accepted %d times", s, b.accepted("a"))
	}
}

func TestHorizonEndsInADeadLetterThatCanBeRunAgain(t *testing.T) {
	b := setup(t)
	b.horizon = time.Millisecond
	b.next(send("", -1, 1))
	b.start()
	b.send(notification("h"))
	if s := b.await("h", "dead"); !strings.Contains(s.Reason, "RETRY_HORIZON") || s.Errcode != -1 {
		t.Errorf("%+v", s)
	}
	var archived []*asynq.TaskInfo
	taskstest.Eventually(t, 60*time.Second, func() string {
		if archived = b.list(asynq.TaskStateArchived); len(archived) != 1 {
			return fmt.Sprint(len(archived), " archived")
		}
		return ""
	})
	if err := asynq.NewInspectorFromRedisClient(b.rdb).RunTask(app+".default", archived[0].ID); err != nil {
		t.Fatal(err)
	}
	b.await("h", "accepted")
}

func TestExpiredAndScheduled(t *testing.T) {
	b := setup(t)
	soon := notification("soon")
	soon.NotAfter = time.Now().Add(time.Second)
	b.send(soon)
	later := notification("later")
	later.SendAt = time.Now().Add(2500 * time.Millisecond)
	b.send(later)
	taskstest.Eventually(t, 60*time.Second, func() string {
		if time.Now().Before(soon.NotAfter) {
			return "not yet"
		}
		return ""
	})
	b.start()
	if s := b.await("soon", "expired"); s.Attempts != 0 || b.accepted("soon") != 0 {
		t.Errorf("%+v", s)
	}
	b.await("later", "accepted")
	at := time.Unix(0, b.wechat.Report(true).Apps[app].ArrivalUnixNS["later"])
	if at.Before(later.SendAt.Truncate(time.Millisecond)) {
		t.Errorf("sent %v too early", later.SendAt.Sub(at))
	}
}

func TestCanceledIsNotSent(t *testing.T) {
	b := setup(t)
	b.send(notification("c"))
	if _, err := b.client.Cancel(b.Context(), app, "c"); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.send(notification("next"))
	b.await("next", "accepted")
	b.await("c", "canceled")
	if b.accepted("c") != 0 {
		t.Error("a canceled notification was sent")
	}
}

// One recipient's messages go one after the other, over two workers.
func TestOneAtATimePerRecipient(t *testing.T) {
	b := setup(t)
	b.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APISubscribeSend: {Latency: sandbox.Duration(5 * time.Millisecond)}}})
	for i := range 60 {
		n := notification(fmt.Sprint("same", i))
		n.To.OpenID = openID
		n.Priority = tasks.Priorities()[i%3]
		b.send(n)
	}
	b.start()
	b.start()
	for i := range 60 {
		b.awaitFor(fmt.Sprint("same", i), 60*time.Second, func(s producer.State) bool { return s.Status == "accepted" }, "accepted")
	}
	report := b.wechat.Report(false).Apps[app]
	if report.MaxInFlightPerOpenID != 1 || len(report.Duplicates) != 0 || report.Arrivals != 60 {
		t.Errorf("%+v", report)
	}
}

// What is not ours to read must not disturb what is.
func TestStrangeTasks(t *testing.T) {
	b := setup(t)
	queue := asynq.NewClientFromRedisClient(b.rdb)
	for _, task := range []*asynq.Task{
		asynq.NewTask("wxnotify:subscribe", []byte("garbage CANARY")),
		asynq.NewTask("wxnotify:subscribe", []byte(`{"v":99}`)),
		asynq.NewTask("email:welcome", []byte(`{}`)),
		asynq.NewTask("wxnotify:subscribe", []byte(`{"v":1,"app":"wx1","id":"a","to":"o1","tpl":"t1","data":{"thing1":"x"},"enq":1,"hash":"h"}`)),
	} {
		if _, err := queue.Enqueue(task, asynq.Queue(app+".default"), asynq.MaxRetry(1)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := queue.Enqueue(asynq.NewTask("wxnotify-job:token-refresh", []byte("{")), asynq.Queue("wxnotify.system")); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.send(notification("good"))
	b.await("good", "accepted")
	taskstest.Eventually(t, 60*time.Second, func() string {
		archived, waiting := b.list(asynq.TaskStateArchived), b.list(asynq.TaskStateRetry)
		if len(archived) != 2 || len(waiting) != 2 {
			return fmt.Sprintf("%d archived, %d waiting; want 2 and 2", len(archived), len(waiting))
		}
		for _, task := range slices.Concat(archived, waiting) {
			if strings.Contains(task.LastErr, "CANARY") {
				return "the error shows content: " + task.LastErr
			}
		}
		return ""
	})
}

// What a newer version has recorded is left alone, and holds nobody up.
func TestRecordOfANewerVersion(t *testing.T) {
	b := setup(t)
	b.next(send("", -1, 100)) // as often as it is tried before the stop
	stop := b.start()
	b.send(notification("a"))
	b.awaitFor("a", 60*time.Second, func(s producer.State) bool { return s.Errcode == -1 }, "-1")
	stop()
	keys, err := b.rdb.Keys(b.Context(), "wxn:r:*").Result()
	if err != nil || len(keys) != 1 {
		t.Fatal(keys, err)
	}
	b.rdb.Set(b.Context(), keys[0], "Z;s;1", time.Hour)
	b.next()
	if _, err := b.client.Status(b.Context(), app, "a"); !errors.Is(err, producer.ErrUnreadable) {
		t.Error(err)
	}
	b.start()
	next := notification("b")
	next.To.OpenID = openID + "a" // the same recipient
	b.send(next)
	b.await("b", "accepted")
	taskstest.Eventually(t, 60*time.Second, func() string {
		waiting := b.list(asynq.TaskStateRetry)
		if len(waiting) != 1 || !strings.Contains(waiting[0].LastErr, "newer") {
			return fmt.Sprintf("%d tasks wait", len(waiting))
		}
		return ""
	})
}

// Redis goes away while answers are on their way: they are recorded once it is back.
func TestOutcomesSurviveARedisRestart(t *testing.T) {
	b := setup(t, "--appendonly", "yes", "--appendfsync", "always")
	b.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APISubscribeSend: {Latency: sandbox.Duration(400 * time.Millisecond)}}})
	b.start()
	for i := range 16 {
		b.send(notification(fmt.Sprint("r", i)))
	}
	taskstest.Eventually(t, 60*time.Second, func() string {
		if n := b.wechat.Report(false).Apps[app].Arrivals; n < 8 {
			return fmt.Sprint(n, " under way")
		}
		return ""
	})
	b.redis.Stop(t)
	b.redis.Start(t)
	for i := range 16 {
		b.awaitFor(fmt.Sprint("r", i), 90*time.Second, func(s producer.State) bool { return s.Status == "accepted" }, "accepted")
	}
	if d := b.wechat.Report(false).Apps[app].Duplicates; len(d) != 0 {
		t.Errorf("sent twice: %v", d)
	}
}

func TestStopWaitsForWhatIsInFlight(t *testing.T) {
	b := setup(t)
	b.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APISubscribeSend: {Latency: sandbox.Duration(500 * time.Millisecond)}}})
	stop := b.start()
	b.send(notification("a"))
	taskstest.Eventually(t, 60*time.Second, func() string {
		if b.wechat.Report(false).Apps[app].Arrivals == 0 {
			return "not under way"
		}
		return ""
	})
	stop()
	if s := b.await("a", "accepted"); s.Attempts != 1 {
		t.Errorf("%+v", s)
	}
}

// A private gateway that answers with a page, a redirect or nothing at all: never
// more than two sends, and no secret in any text.
func TestHostsThatMisbehave(t *testing.T) {
	b := setup(t)
	var mu sync.Mutex
	sends := 0
	strange := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "token") {
			_, _ = w.Write([]byte(`{"access_token":"CANARY-token","expires_in":7200}`))
			return
		}
		if strings.HasSuffix(r.URL.Path, "/subscribe/send") {
			mu.Lock()
			sends++
			mu.Unlock()
		}
		http.Redirect(w, r, "/elsewhere?"+r.URL.RawQuery, http.StatusFound)
	}))
	defer strange.Close()
	b.url = strange.URL
	b.start()
	b.send(notification("a"))
	b.await("a", "unknown")
	mu.Lock()
	defer mu.Unlock()
	if sends != 2 {
		t.Errorf("%d sends", sends)
	}
	if strings.Contains(b.log.tail(), "CANARY") {
		t.Errorf("the log holds a secret, a token or an openid:\n%s", b.log.tail())
	}
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	good := worker.Config{
		Apps: make([]worker.App, 1), Concurrency: 1, HTTPTimeout: 10 * time.Second, ShutdownTimeout: 30 * time.Second,
		RetryHorizon: time.Hour, TokenRefreshEvery: time.Hour,
		DeadRetention: time.Hour, Purge: cron.Every(time.Hour), Timezone: time.UTC,
	}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*worker.Config){
		"http timeout":     func(c *worker.Config) { c.HTTPTimeout = 20 * time.Second },
		"no http timeout":  func(c *worker.Config) { c.HTTPTimeout = 0 },
		"shutdown timeout": func(c *worker.Config) { c.ShutdownTimeout = 25 * time.Second },
		"concurrency":      func(c *worker.Config) { c.Concurrency = 0 },
		"no apps":          func(c *worker.Config) { c.Apps = nil },
	} {
		c := good
		change(&c)
		if _, err := worker.New(c); err == nil {
			t.Errorf("%s: passed", name)
		}
	}
}

func (b *bundle) list(state asynq.TaskState) []*asynq.TaskInfo {
	b.Helper()
	i := asynq.NewInspectorFromRedisClient(b.rdb)
	list := i.ListArchivedTasks
	if state == asynq.TaskStateRetry {
		list = i.ListRetryTasks
	}
	infos, err := list(app + ".default")
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		b.Fatal(err)
	}
	return infos
}

// quiet drops asynq's own lines.
type quiet struct{}

func (quiet) Debug(...any) {}
func (quiet) Info(...any)  {}
func (quiet) Warn(...any)  {}
func (quiet) Error(...any) {}
func (quiet) Fatal(...any) {}

// logBuffer keeps what a worker logs.
type logBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func (l *logBuffer) tail() string {
	s := l.String()
	return s[max(0, len(s)-4000):]
}

// What waits for a slot of the rate goes back to its queue when the worker stops, and
// does not hold it up.
func TestStopDoesNotWaitForSlots(t *testing.T) {
	b := setup(t)
	b.rate = 0.02 // one in 50 s
	inspector := asynq.NewInspectorFromRedisClient(b.rdb)
	stop := b.start()
	for i := range 3 {
		b.send(notification(fmt.Sprint(i)))
	}
	taskstest.Eventually(t, 60*time.Second, func() string {
		info, err := inspector.GetQueueInfo(app + ".default")
		if err != nil || info.Active != 2 {
			return fmt.Sprintf("%+v %v, want two that wait for their slots", info, err)
		}
		return ""
	})
	began := time.Now()
	stop()
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the stop took %v", took)
	}
	info, err := inspector.GetQueueInfo(app + ".default")
	if err != nil || info.Active != 0 || info.Pending+info.Retry+info.Scheduled < 2 {
		t.Errorf("%+v %v, want two that wait in the queue", info, err)
	}
}

// What became of notifications can be counted from the workers' own books, also what
// was counted last before a stop.
func TestStats(t *testing.T) {
	b := setup(t)
	stop := b.start()
	b.next(send("", 43101, 1))
	b.send(notification("refused"))
	b.await("refused", "rejected")
	for i := range 3 {
		b.send(notification(fmt.Sprint(i)))
		b.await(fmt.Sprint(i), "accepted")
	}
	stop()
	stats, err := b.client.Stats(t.Context(), producer.StatsQuery{App: app, Days: 2}) // it may be midnight
	counted := make(map[string]int64)
	for _, row := range stats.Days {
		if row.Kind != tasks.KindSubscribe || row.TemplateID != "tmpl" {
			t.Errorf("%+v", row)
		}
		for outcome, n := range row.Outcomes {
			counted[outcome] += n
		}
	}
	if err != nil || len(counted) != 2 || counted["accepted"] != 3 || counted["rejected"] != 1 {
		t.Errorf("%v %v", counted, err)
	}
	var wrong *producer.ValidationError
	if _, err := b.client.Stats(t.Context(), producer.StatsQuery{Days: 91}); !errors.As(err, &wrong) || len(wrong.Fields) != 2 {
		t.Error(err)
	}
}
