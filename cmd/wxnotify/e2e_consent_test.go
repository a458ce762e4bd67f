package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

const (
	callbackToken = "canarycallbacktoken"
	callbackKey   = "canaryCallbackAesKeyCanaryCallbackAesKey01A"
	oneTime       = "e2e-template"
)

// newConsentWorld is an installation whose sandbox refuses what nobody accepted,
// and pushes events, sealed, to its gateway.
func newConsentWorld(t testing.TB, format string, more env) (*world, *gatewayProcess) {
	t.Helper()
	w := newWorld(t)
	return w, w.askConsent(format, more)
}

// askConsent makes such an installation of w, and starts its gateway.
func (w *world) askConsent(format string, more env) *gatewayProcess {
	w.t.Helper()
	w.env = w.env.with(env{
		appVariable(testApp, "CALLBACK_TOKEN"):   callbackToken,
		appVariable(testApp, "CALLBACK_AES_KEY"): callbackKey,
	}).with(more)
	w.sandbox.kill()
	w.sandbox.env = w.env.with(env{"SANDBOX_ADDR": strings.TrimPrefix(w.sandbox.url, "http://")})
	w.sandbox.startWith(w.t, "--consent-needed")
	g := w.gateway()
	w.sandbox.control(http.MethodPut, "callback", map[string]string{
		"app": testApp, "url": g.url + "/wechat/" + testApp, "token": callbackToken, "aes_key": callbackKey,
		"mode": sandbox.ModeSafe, "format": format,
	})
	w.sandbox.control(http.MethodPut, "templates", map[string]any{
		"app": testApp, "template_id": oneTime, "keys": []string{idKey, "thing2"},
	})
	return g
}

// answer lets a user answer about the one-time template.
func (s *sandboxProcess) answer(user int, results ...string) {
	s.t.Helper()
	answers := make([]map[string]any, len(results))
	for i, result := range results {
		answers[i] = map[string]any{"openid": openID(user), "results": map[string]string{oneTime: result}}
	}
	s.control(http.MethodPost, "users:answer", map[string]any{"app": testApp, "answers": answers})
}

// credits is what GET /v1/credits says of a user.
type credits struct {
	Subscriptions []struct {
		TemplateID string `json:"template_id"`
		Type       string `json:"type"`
		Credits    int    `json:"credits"`
	} `json:"subscriptions"`
	FormIDs []struct {
		Uses int `json:"uses"`
	} `json:"form_ids"`
}

func (g *gatewayProcess) credits(user int) credits {
	g.t.Helper()
	code, body := get(g.t, g.url+"/v1/credits?app="+testApp+"&openid="+openID(user), gatewayKey)
	var c credits
	if err := json.Unmarshal([]byte(body), &c); err != nil || code != http.StatusOK {
		g.t.Fatalf("credits: %d %s, want 200: %v", code, body, err)
	}
	return c
}

// left is how many messages of the one-time template a user still allows.
func (g *gatewayProcess) left(user int) int {
	g.t.Helper()
	for _, s := range g.credits(user).Subscriptions {
		if s.TemplateID == oneTime {
			return s.Credits
		}
	}
	return -1
}

func (g *gatewayProcess) awaitLeft(user, want int) {
	g.t.Helper()
	taskstest.Eventually(g.t, 20*time.Second, func() string {
		if got := g.left(user); got != want {
			return fmt.Sprintf("the user has %d credits, want %d", got, want)
		}
		return ""
	})
}

func (g *gatewayProcess) awaitStatus(id, want string, within time.Duration) state {
	g.t.Helper()
	var s state
	taskstest.Eventually(g.t, within, func() string {
		if _, s = g.status(testApp, id); s.Status != want {
			return fmt.Sprintf("%s: %+v, want %s", id, s, want)
		}
		return ""
	})
	return s
}

func (g *gatewayProcess) mustSend(n notification) {
	g.t.Helper()
	if code, _ := g.send(n); code != http.StatusAccepted {
		g.t.Fatalf("POST %v answers %d, want 202", n["id"], code)
	}
}

// grants reads how many credits the workers counted.
func grants(t testing.TB, result string, workers ...*workerProcess) float64 {
	t.Helper()
	sum := 0.0
	for _, w := range workers {
		sum += series(t, w.admin, "wxnotify_grants_total", map[string]string{"app": testApp, "source": "event", "result": result})
	}
	return sum
}

// Accepted three times by event, sent four times.
func TestThreeAcceptancesAllowThreeMessages(t *testing.T) {
	t.Parallel()
	for mode, want := range map[string]struct {
		fourth   string
		arrivals int64
	}{"enforce": {"no_credit", 3}, "observe": {"rejected", 4}} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w, g := newConsentWorld(t, sandbox.FormatJSON, env{appVariable(testApp, "CREDITS"): mode})
			worker := w.worker("a", nil)
			w.sandbox.answer(1, sandbox.Accept, sandbox.Accept, sandbox.Accept)
			g.awaitLeft(1, 3)
			all, ids := messages(mode, 4, 1)
			for i := range all {
				g.mustSend(all[i].with("to", map[string]string{"openid": openID(1)}))
			}
			counts := map[string]int{}
			for _, s := range g.outcomes(testApp, ids, 60*time.Second) {
				if s.Status == "accepted" {
					s = g.awaitStatus(s.ID, "delivered", 20*time.Second)
				}
				counts[s.Status]++
			}
			if counts["delivered"] != 3 || counts[want.fourth] != 1 {
				t.Errorf("of four messages with three acceptances became %v, want 3 delivered and 1 %s", counts, want.fourth)
			}
			report := w.sandbox.report(testApp, false)
			if report.Arrivals != want.arrivals || report.Accepted != 3 {
				t.Errorf("the sandbox got %d sends and accepted %d, want %d and 3", report.Arrivals, report.Accepted, want.arrivals)
			}
			g.awaitLeft(1, 0)
			if n := grants(t, "granted", worker); n != 3 {
				t.Errorf("%v grants were counted, want 3", n)
			}
		})
	}
}

// Fifty messages at once over two workers for one user with ten credits.
func TestTenCreditsAllowTenOfFiftyMessages(t *testing.T) {
	t.Parallel()
	w, g := newConsentWorld(t, sandbox.FormatJSON, env{appVariable(testApp, "CREDITS"): "enforce"})
	a, b := w.worker("a", nil), w.worker("b", nil)
	results := make([]string, 10)
	for i := range results {
		results[i] = sandbox.Accept
	}
	w.sandbox.answer(1, results...)
	g.awaitLeft(1, 10)
	w.sandbox.slow(20 * time.Millisecond)
	all, ids := messages("fifty", 50, 1)
	for i := range all {
		all[i].with("to", map[string]string{"openid": openID(1)})
	}
	began := time.Now()
	g.enqueue(all)
	w.sandbox.awaitAccepted(10)
	t.Logf("ten were accepted within %v", time.Since(began).Round(time.Millisecond))
	counts := map[string]int{}
	for _, s := range g.outcomes(testApp, ids, 90*time.Second) {
		counts[strings.Replace(s.Status, "delivered", "accepted", 1)]++
	}
	if counts["accepted"] != 10 || counts["no_credit"] != 40 {
		t.Errorf("of fifty messages with ten credits became %v, want 10 accepted and 40 no_credit", counts)
	}
	report := w.sandbox.report(testApp, true)
	wantOnce(t, report, 10)
	if report.Arrivals != 10 {
		t.Errorf("the sandbox got %d sends, want 10", report.Arrivals)
	}
	wantCleanExit(t, a.process, b.process)
}

// The user accepts again while a message to them is being refused.
func TestAGrantDuringARefusalSurvives(t *testing.T) {
	t.Parallel()
	w, g := newConsentWorld(t, sandbox.FormatXML, nil)
	w.worker("a", nil)
	// One credit in our books that WeChat does not have: what 43101 corrects.
	w.sandbox.control(http.MethodPost, "users:answer", map[string]any{
		"app": testApp, "openid": openID(1), "results": map[string]string{oneTime: sandbox.Accept},
	})
	g.awaitLeft(1, 1)
	zero := int64(0)
	w.sandbox.control(http.MethodPut, "users", map[string]any{"app": testApp, "openid": openID(1), "template_id": oneTime, "credits": zero})
	w.sandbox.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{
		sandbox.APISubscribeSend: {Latency: sandbox.Duration(6 * time.Second)}, // HTTP_TIMEOUT is ten
	}})
	g.mustSend(message("first", 1))
	taskstest.Eventually(t, 20*time.Second, func() string {
		if n := w.sandbox.report(testApp, false).Arrivals; n != 1 {
			return fmt.Sprintf("%d sends arrived, want 1", n)
		}
		return ""
	})
	w.sandbox.answer(1, sandbox.Accept) // while the answer 43101 is on its way
	g.awaitLeft(1, 1)
	if _, s := g.status(testApp, "first"); s.Status != "sending" {
		t.Fatalf("the first message is %s, want it still sending when the user accepts again", s.Status)
	}
	if s := g.awaitStatus("first", "rejected", 20*time.Second); s.Errcode != 43101 {
		t.Errorf("%+v, want errcode 43101", s)
	}
	if n := g.left(1); n != 1 {
		t.Fatalf("after the refusal the user has %d credits, want the new one", n)
	}
	w.sandbox.faults(sandbox.Faults{})
	g.mustSend(message("second", 1))
	g.awaitStatus("second", "delivered", 20*time.Second)
	g.awaitLeft(1, 0)
}

// Three form ids: one expires, one was used at WeChat behind our back.
func TestTheRightFormIDIsUsed(t *testing.T) {
	t.Parallel()
	w, g := newConsentWorld(t, sandbox.FormatJSON, nil)
	w.worker("a", nil)
	const life = 7 * 24 * time.Hour
	expires := time.Now().Add(8 * time.Second)
	forms := []struct {
		id      string
		expires time.Time
		used    bool
	}{
		{"form-that-expires", expires, false},
		{"form-used-before", time.Now().Add(time.Hour), true},
		{"form-that-is-right", time.Now().Add(2 * time.Hour), false},
	}
	for _, f := range forms {
		w.sandbox.control(http.MethodPut, "form-ids", map[string]any{
			"app": testApp, "openid": openID(1), "form_id": f.id, "used": f.used, "expires_in": time.Until(f.expires).String(),
		})
		code, body := request(t, http.MethodPost, g.url+"/v1/form-ids", gatewayKey, map[string]any{
			"app": testApp, "openid": openID(1), "form_id": f.id, "submitted_at": f.expires.Add(-life).Format(time.RFC3339Nano),
		})
		if code != http.StatusCreated {
			t.Fatalf("POST /v1/form-ids: %d %s, want 201", code, body)
		}
	}
	taskstest.Eventually(t, 60*time.Second, func() string {
		if n := len(g.credits(1).FormIDs); n != 2 {
			return fmt.Sprintf("the user has %d form ids that can be used, want 2", n)
		}
		return ""
	})
	g.mustSend(message("form", 1).with("kind", "template"))
	s := g.awaitStatus("form", "accepted", 30*time.Second)
	if s.Attempts != 2 {
		t.Errorf("%+v, want two attempts: the used form id and the right one", s)
	}
	report := w.sandbox.report(testApp, false)
	if codes := report.Calls[sandbox.APITemplateSend].Errcodes; codes[41029] != 1 || codes[0] != 1 || codes[41028] != 0 {
		t.Errorf("the sandbox answered %v, want 41029 once, 0 once, 41028 never", codes)
	}
	if n := len(g.credits(1).FormIDs); n != 0 {
		t.Errorf("the user has %d form ids left, want none", n)
	}
	command(t, w.env, "credits", "purge").want(t, 0, "deleted")
	if keys := w.rdb.Keys(t.Context(), "wxn:f:*").Val(); len(keys) != 0 {
		t.Errorf("%d keys of form ids are left, want none", len(keys))
	}
	g.mustSend(message("another", 1).with("kind", "template"))
	g.awaitStatus("another", "no_credit", 40*time.Second)
}

// WeChat's word about the delivery comes before and after the answer of the send,
// three times each, sealed, as XML: it counts once.
func TestReceiptsCountOnce(t *testing.T) {
	t.Parallel()
	w, g := newConsentWorld(t, sandbox.FormatXML, nil)
	worker := w.worker("a", nil)
	w.sandbox.answer(1, sandbox.Accept, sandbox.Accept, sandbox.Accept)
	g.awaitLeft(1, 3)
	receipts := func(result string) float64 {
		return series(t, worker.admin, "wxnotify_receipts_total", map[string]string{"app": testApp, "result": result})
	}
	for i, before := range []bool{true, false} {
		w.sandbox.control(http.MethodPut, "receipts", map[string]any{"app": testApp, "before_answer": before, "repeat": 3})
		id := fmt.Sprintf("receipt-before-%v", before)
		g.mustSend(message(id, 1))
		if s := g.awaitStatus(id, "delivered", 20*time.Second); s.MsgID == "" || s.Attempts != 1 {
			t.Errorf("%+v, want an msgid and one attempt", s)
		}
		taskstest.Eventually(t, 20*time.Second, func() string {
			pushed := w.sandbox.report(testApp, false).Pushes["subscribe_msg_sent_event"]
			if pushed.Answered != int64(3*(i+1)) || receipts("delivered") != float64(i+1) {
				return fmt.Sprintf("%+v pushes, %v receipts, want %d answered and %d", pushed, receipts("delivered"), 3*(i+1), i+1)
			}
			return ""
		})
	}
	w.sandbox.control(http.MethodPut, "receipts", map[string]any{"app": testApp, "mode": "fail", "error_code": 10001, "error_status": "failed: system failed"})
	g.mustSend(message("lost", 1))
	if s := g.awaitStatus("lost", "undelivered", 20*time.Second); !strings.Contains(s.Reason, "failed: system failed") {
		t.Errorf("%+v, want WeChat's own word in the reason", s)
	}
	// The record comes first, the count after it.
	taskstest.Eventually(t, 20*time.Second, func() string {
		if n := receipts("undelivered"); n != 1 {
			return fmt.Sprintf("%v undelivered receipts, want 1", n)
		}
		return ""
	})
}

// The worker dies right after it exchanged the login code.
func TestALoginCodeIsExchangedOnce(t *testing.T) {
	t.Parallel()
	w, g := newConsentWorld(t, sandbox.FormatJSON, nil)
	w.sandbox.answer(1, sandbox.Accept)
	w.sandbox.control(http.MethodPut, "codes", map[string]any{"app": testApp, "openid": openID(1), "code": "canary-login-code"})
	// Without a token the first worker gets no further than the exchange.
	w.sandbox.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{
		sandbox.APIStableToken: {Latency: sandbox.Duration(8 * time.Second)},
	}})
	a := w.worker("a", nil)
	g.mustSend(message("login", 0).with("to", map[string]string{"code": "canary-login-code"}))
	exchanges := func() sandbox.CallReport { return w.sandbox.report(testApp, false).Calls[sandbox.APICodeToSession] }
	taskstest.Eventually(t, 20*time.Second, func() string {
		if n := exchanges().Received; n != 1 {
			return fmt.Sprintf("%d exchanges, want 1", n)
		}
		if w.pointers(openID(1)) != 1 {
			return "the openid is not remembered"
		}
		return ""
	})
	a.kill()
	w.sandbox.faults(sandbox.Faults{})
	b := w.worker("b", nil)
	g.awaitStatus("login", "delivered", 150*time.Second) // asynq brings a dead worker's task back after up to two minutes
	if e := exchanges(); e.Received != 1 || e.Errcodes[0] != 1 {
		t.Errorf("exchanges: %+v, want one", e)
	}
	wantOnce(t, w.sandbox.report(testApp, true), 1)

	g.mustSend(message("used", 0).with("to", map[string]string{"code": "canary-login-code"}))
	if s := g.awaitStatus("used", "dead", 20*time.Second); s.Errcode != 40163 || s.Remedy == "" {
		t.Errorf("%+v, want errcode 40163 with a remedy", s)
	}
	g.mustSend(message("wrong", 0).with("to", map[string]string{"code": "canary-no-such-code"}))
	if s := g.awaitStatus("wrong", "dead", 20*time.Second); s.Errcode != 40029 || s.Remedy == "" {
		t.Errorf("%+v, want errcode 40029 with a remedy", s)
	}
	for _, p := range []*process{a.process, b.process, g.process} {
		noLeak(t, "the log of "+p.name, p.out.String(), "canary-login-code", "session_key")
	}
	w.wantCleanRedis(nil, []string{w.token(testApp)})
}

// pointers counts the ids whose pointer holds an openid.
func (w *world) pointers(openID string) int {
	w.t.Helper()
	n := 0
	for _, key := range w.keys("wxn:p:*") {
		if strings.HasSuffix(w.rdb.Get(w.t.Context(), key).Val(), openID) {
			n++
		}
	}
	return n
}

// keys lists the keys that match.
func (w *world) keys(pattern string) []string {
	w.t.Helper()
	keys, err := taskstest.Keys(w.t.Context(), w.rdb, pattern)
	if err != nil {
		w.t.Fatal(err)
	}
	return keys
}
