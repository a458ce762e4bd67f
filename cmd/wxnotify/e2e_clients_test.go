package main_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// direct asks no proxy and bounds every request.
var direct = &http.Client{
	Timeout:   20 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 16, IdleConnTimeout: 5 * time.Second},
}

// request returns status and body, and status 0 when nothing answered.
func request(t testing.TB, method, url, key string, body any) (int, string) {
	t.Helper()
	var content io.Reader
	if body != nil {
		encoded, err := json.Marshal(body)
		if err != nil {
			t.Fatalf("encode request: %v", err)
		}
		content = bytes.NewReader(encoded)
	}
	req, err := http.NewRequest(method, url, content)
	if err != nil {
		t.Fatalf("make request: %v", err)
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := direct.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

func get(t testing.TB, url, key string) (int, string) {
	t.Helper()
	return request(t, http.MethodGet, url, key, nil)
}

// sandboxProcess is a running sandbox with its control API.
type sandboxProcess struct {
	*process
	env env
	url string
}

func startSandbox(t testing.TB, e env) *sandboxProcess {
	t.Helper()
	s := &sandboxProcess{env: e}
	s.start(t)
	return s
}

func (s *sandboxProcess) start(t testing.TB) {
	t.Helper()
	s.startWith(t)
}

// startWith starts it with more flags.
func (s *sandboxProcess) startWith(t testing.TB, flags ...string) {
	t.Helper()
	s.process = start(t, "sandbox", s.env, append([]string{"sandbox", "--id-key", idKey}, flags...)...)
	s.url = s.line(`sandbox WeChat at (http://\S+)`)
}

// restart starts a new sandbox, which knows nothing of the one before, on the
// same port.
func (s *sandboxProcess) restart() {
	s.t.Helper()
	s.env = s.env.with(env{"SANDBOX_ADDR": strings.TrimPrefix(s.url, "http://")})
	s.start(s.t)
}

func (s *sandboxProcess) control(method, path string, body any) string {
	s.t.Helper()
	code, text := request(s.t, method, s.url+"/_sandbox/"+path, "", body)
	if code != http.StatusOK {
		s.t.Fatalf("sandbox %s %s: %d %s, want 200", method, path, code, text)
	}
	return text
}

func (s *sandboxProcess) faults(f sandbox.Faults) {
	s.t.Helper()
	s.control(http.MethodPut, "faults", f)
}

// slow makes every send take d, so that some are in flight at any time.
func (s *sandboxProcess) slow(d time.Duration) {
	s.t.Helper()
	s.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{
		sandbox.APISubscribeSend: {Latency: sandbox.Duration(d), Jitter: sandbox.Duration(d / 2)},
	}})
}

func (s *sandboxProcess) killTokens() {
	s.t.Helper()
	s.control(http.MethodPost, "tokens:kill", map[string]string{})
}

// report is what an app received, message by message if ids.
func (s *sandboxProcess) report(app string, ids bool) sandbox.AppReport {
	s.t.Helper()
	path := "report"
	if ids {
		path += "?ids=1"
	}
	var r sandbox.Report
	if err := json.Unmarshal([]byte(s.control(http.MethodGet, path, nil)), &r); err != nil {
		s.t.Fatalf("sandbox report: %v", err)
	}
	return r.Apps[app]
}

// awaitAccepted returns once the sandbox has accepted n messages.
func (s *sandboxProcess) awaitAccepted(n int64) {
	s.t.Helper()
	taskstest.Eventually(s.t, 60*time.Second, func() string {
		if got := s.report(testApp, false).AcceptedMessages; got < n {
			return fmt.Sprintf("the sandbox accepted %d messages, want %d", got, n)
		}
		return ""
	})
}

// series reads one number out of /metrics: the sum over all series of that name
// that have the labels.
func series(t testing.TB, admin, name string, labels map[string]string) float64 {
	t.Helper()
	code, text := get(t, admin+"/metrics", "")
	if code != http.StatusOK {
		t.Fatalf("/metrics answers %d %s, want 200", code, text)
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatalf("/metrics: %v", err)
	}
	sum := 0.0
	for _, m := range families[name].GetMetric() {
		matched := 0
		for _, l := range m.GetLabel() {
			if want, ok := labels[l.GetName()]; ok && want == l.GetValue() {
				matched++
			}
		}
		if matched == len(labels) {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// notification is the body of a POST.
type notification map[string]any

// message is the n-th notification of a test, to its own user unless it shares.
func message(id string, user int) notification {
	return notification{
		"app": testApp, "kind": "subscribe", "id": id, "template_id": "e2e-template",
		"to":   map[string]string{"openid": openID(user)},
		"data": map[string]string{idKey: id, "thing2": contentCanary},
	}
}

func (n notification) with(name string, value any) notification {
	n[name] = value
	return n
}

// openID has the length and shape of WeChat's.
func openID(user int) string { return fmt.Sprintf("%s%015d", openIDPrefix, user) }

// state is the gateway's answer about one notification.
type state struct {
	ID        string `json:"id"`
	App       string `json:"app"`
	Status    string `json:"status"`
	MsgID     string `json:"msgid"`
	Errcode   int    `json:"errcode"`
	Reason    string `json:"reason"`
	Remedy    string `json:"remedy"`
	Attempts  int    `json:"attempts"`
	Duplicate bool   `json:"duplicate"`
}

func (s state) final() bool {
	switch s.Status {
	case "queued", "scheduled", "sending", "retrying", "":
		return false
	}
	return true
}

// gatewayProcess is a running gateway with its HTTP API.
type gatewayProcess struct {
	*process
	admin, url string
}

func (w *world) gateway() *gatewayProcess {
	w.t.Helper()
	p := start(w.t, "gateway", w.env, "gateway")
	return &gatewayProcess{p, p.adminURL(), "http://" + p.line(`msg="gateway listens" addr=(\S+)`)}
}

// send posts one notification; the state is empty where a problem was answered.
func (g *gatewayProcess) send(n notification) (int, state) {
	g.t.Helper()
	code, body := request(g.t, http.MethodPost, g.url+"/v1/notifications", gatewayKey, n)
	var s state
	if code == http.StatusOK || code == http.StatusAccepted {
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			g.t.Errorf("POST /v1/notifications: %d %s, want a receipt: %v", code, body, err)
		}
	}
	return code, s
}

func (g *gatewayProcess) status(app, id string) (int, state) {
	g.t.Helper()
	code, body := get(g.t, g.url+"/v1/notifications/"+id+"?app="+app, gatewayKey)
	var s state
	if code == http.StatusOK {
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			g.t.Fatalf("status of %s: %v", id, err)
		}
	}
	return code, s
}

const batchSize = 50

// enqueue sends the notifications in batches, and whatever was refused because
// Redis is away again, as a caller would.
func (g *gatewayProcess) enqueue(all []notification) {
	g.t.Helper()
	for len(all) > 0 {
		n := min(batchSize, len(all))
		g.enqueueBatch(all[:n])
		all = all[n:]
	}
}

func (g *gatewayProcess) enqueueBatch(batch []notification) {
	g.t.Helper()
	taskstest.Eventually(g.t, 60*time.Second, func() string {
		var problem string
		batch, problem = g.post(batch)
		return problem
	})
}

// post sends one batch and returns what has to be sent again, and why.
func (g *gatewayProcess) post(batch []notification) ([]notification, string) {
	g.t.Helper()
	code, body := request(g.t, http.MethodPost, g.url+"/v1/notifications:batch", gatewayKey, map[string]any{"notifications": batch})
	if code == http.StatusServiceUnavailable {
		return batch, fmt.Sprintf("batch: %d %s, want 200", code, body)
	}
	var answer struct {
		Results []struct {
			Error *struct {
				Status int    `json:"status"`
				Detail string `json:"detail"`
			} `json:"error"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK || len(answer.Results) != len(batch) {
		g.t.Errorf("batch of %d: %d with %d results, want 200 and one for each: %s", len(batch), code, len(answer.Results), body)
		return nil, ""
	}
	var again []notification
	problem := ""
	for i, r := range answer.Results {
		if r.Error == nil {
			continue
		}
		problem = fmt.Sprintf("batch item: %d %s, want it stored", r.Error.Status, r.Error.Detail)
		if r.Error.Status != http.StatusServiceUnavailable {
			g.t.Error(problem)
			return nil, ""
		}
		again = append(again, batch[i])
	}
	return again, problem
}

// askers is how many requests of outcomes are under way at once.
const askers = 8

// outcomes waits until every notification has one.
func (g *gatewayProcess) outcomes(app string, ids []string, within time.Duration) map[string]state {
	g.t.Helper()
	deadline := time.Now().Add(within)
	var mu sync.Mutex
	var wg sync.WaitGroup
	all := make(map[string]state, len(ids))
	for first := range askers {
		wg.Go(func() {
			for i := first; i < len(ids); i += askers {
				s := g.awaitOutcome(app, ids[i], deadline)
				mu.Lock()
				all[ids[i]] = s
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return all
}

// awaitOutcome polls until the deadline and returns what it saw last.
func (g *gatewayProcess) awaitOutcome(app, id string, deadline time.Time) state {
	for {
		_, s := g.status(app, id)
		if s.final() || time.Now().After(deadline) {
			return s
		}
		<-time.After(300 * time.Millisecond)
	}
}

// wantAll fails unless every state is the wanted one.
func wantAll(t testing.TB, all map[string]state, want string) {
	t.Helper()
	other := map[string]int{}
	example := ""
	for id, s := range all {
		if s.Status != want {
			other[s.Status]++
			example = fmt.Sprintf("%s: %+v", id, s)
		}
	}
	if len(other) > 0 {
		t.Errorf("of %d notifications these are not %s: %v, for example %s", len(all), want, other, example)
	}
}

// messages makes n notifications to as many users, and their ids.
func messages(prefix string, n, users int) ([]notification, []string) {
	all, ids := make([]notification, n), make([]string, n)
	for i := range n {
		ids[i] = fmt.Sprintf("%s-%04d", prefix, i)
		all[i] = message(ids[i], i%users)
	}
	return all, ids
}
