package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

const standing = "e2e-long-term"

// One user's whole way through the system: asked, accepting, written to, refusing,
// erased. Two workers, a gateway with its callback, a WeChat that pushes sealed XML;
// on every form of Redis, as a user with the least rights.
func TestTheWholeJourney(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, func(t *testing.T, redisURL string) {
		w := newWorldOn(t, redisURL)
		w.useLeastRights()
		w.wholeJourney(t)
		w.wantNothingRefused()
	})
}

func (w *world) wholeJourney(t *testing.T) {
	g := w.askConsent(sandbox.FormatXML, env{appVariable(testApp, "CREDITS"): "enforce"})
	w.sandbox.control(http.MethodPut, "templates", map[string]any{
		"app": testApp, "template_id": standing, "keys": []string{idKey, "thing2"}, "type": sandbox.LongTerm,
	})
	a, b := w.worker("a", nil), w.worker("b", nil)

	t.Log("accepted, sent once, delivered")
	w.sandbox.answer(1, sandbox.Accept)
	g.awaitLeft(1, 1)
	g.mustSend(message("hello", 1))
	g.awaitStatus("hello", "delivered", 20*time.Second)
	if code, s := g.send(message("hello", 1)); code != http.StatusOK || !s.Duplicate || s.Status != "delivered" {
		t.Errorf("the repeated request answers %d %+v, want 200, a duplicate, delivered", code, s)
	}
	if code, _ := g.send(message("hello", 2)); code != http.StatusConflict {
		t.Errorf("the same id to another user answers %d, want 409", code)
	}
	g.awaitLeft(1, 0)

	t.Log("the send overtakes its own grant")
	g.mustSend(message("overtakes", 1))
	w.sandbox.answer(1, sandbox.Accept)
	g.awaitStatus("overtakes", "delivered", 30*time.Second)

	t.Log("nothing accepted, nothing sent")
	arrivals := w.sandbox.report(testApp, false).Arrivals
	g.mustSend(message("without", 1))
	if s := g.awaitStatus("without", "no_credit", 40*time.Second); s.Reason == "" || s.Remedy == "" || s.Attempts != 0 {
		t.Errorf("%+v, want a reason, a remedy and no attempt", s)
	}
	if n := w.sandbox.report(testApp, false).Arrivals; n != arrivals {
		t.Errorf("%d calls were made for it, want none", n-arrivals)
	}

	t.Log("a standing consent lasts until it is refused")
	stand := func(event, result string) {
		w.sandbox.control(http.MethodPost, "users:answer", map[string]any{
			"app": testApp, "openid": openID(1), "event": event, "results": map[string]string{standing: result},
		})
	}
	stand(sandbox.AnswerPopup, sandbox.Accept)
	taskstest.Eventually(t, 60*time.Second, func() string { return g.wantType(1, standing, "long_term") })
	for i := range 3 {
		id := fmt.Sprintf("standing-%d", i)
		g.mustSend(message(id, 1).with("template_id", standing))
		g.awaitStatus(id, "delivered", 20*time.Second)
	}
	stand(sandbox.AnswerChange, sandbox.Reject)
	taskstest.Eventually(t, 20*time.Second, func() string {
		if n := grants(t, "refused", a, b); n != 1 {
			return fmt.Sprintf("%v refusals counted, want 1", n)
		}
		return ""
	})
	g.mustSend(message("after-refusal", 1).with("template_id", standing))
	g.awaitStatus("after-refusal", "no_credit", 40*time.Second)

	t.Log("a new token in the middle, a form id, a login code")
	w.sandbox.killTokens()
	w.sandbox.answer(1, sandbox.Accept)
	g.awaitLeft(1, 1)
	w.sandbox.control(http.MethodPut, "codes", map[string]any{"app": testApp, "openid": openID(1), "code": "journey-code"})
	g.mustSend(message("by-code", 1).with("to", map[string]string{"code": "journey-code"}))
	g.awaitStatus("by-code", "delivered", 20*time.Second)
	w.sandbox.control(http.MethodPut, "form-ids", map[string]any{"app": testApp, "openid": openID(1), "form_id": "journey-form"})
	g.mustSend(message("by-form", 1).with("kind", "template").with("form_id", "journey-form"))
	g.awaitStatus("by-form", "accepted", 20*time.Second) // WeChat pushes nothing about these

	t.Log("what an operator sees")
	w.wantOperable()
	if n := series(t, a.admin, "asynq_tasks_processed_total", map[string]string{"queue": testApp + ".default"}); n == 0 {
		t.Error("the queue's series say that nothing was processed")
	}
	if n := series(t, a.admin, "wxnotify_queue_collector_errors_total", nil); n != 0 {
		t.Errorf("the queues could not be read %v times", n)
	}

	t.Log("erased: nothing is kept, and nothing queued is sent")
	g.mustSend(message("queued", 1).with("send_at", time.Now().Add(time.Hour).Format(time.RFC3339)))
	w.sandbox.answer(1, sandbox.Accept)
	g.awaitLeft(1, 1)
	w.erase(g, 1)
	ids := []string{"hello", "overtakes", "without", "after-refusal", "by-code", "by-form", "queued"}
	taskstest.Eventually(t, 100*time.Second, func() string {
		for _, id := range ids {
			if code, s := g.status(testApp, id); code != http.StatusNotFound {
				return fmt.Sprintf("%s: %d %+v, want 404", id, code, s)
			}
		}
		return ""
	})
	w.wantForgotten(1)
	wantCleanExit(t, a.process, b.process, g.process)
}

// wantType says what is wrong if GET /v1/credits shows another type.
func (g *gatewayProcess) wantType(user int, template, want string) string {
	for _, s := range g.credits(user).Subscriptions {
		if s.TemplateID == template && s.Type == want {
			return ""
		}
	}
	return fmt.Sprintf("%+v, want %s of type %s", g.credits(user), template, want)
}

// erase erases a user.
func (w *world) erase(g *gatewayProcess, user int) {
	w.t.Helper()
	code, body := request(w.t, http.MethodDelete, g.url+"/v1/users/"+openID(user)+"?app="+testApp, gatewayKey, nil)
	var answer struct {
		Status string `json:"status"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusAccepted || answer.Status != "erasing" {
		w.t.Fatalf("DELETE /v1/users: %d %s, want 202 erasing", code, body)
	}
	if c := g.credits(user); len(c.Subscriptions)+len(c.FormIDs) > 0 {
		w.t.Errorf("at once after the erasure: %+v, want nothing", c)
	}
}

// wantForgotten looks through all of Redis for what belongs to a user.
func (w *world) wantForgotten(user int) {
	w.t.Helper()
	tag := ledger.Tag(testApp, openID(user))
	for _, key := range w.keys("*" + tag + "*") {
		if fields := w.rdb.HKeys(w.t.Context(), key).Val(); len(fields) != 1 || fields[0] != "x" { // the mark of the erasure
			w.t.Errorf("%s is left", key)
		}
	}
	if n := w.pointers(openID(user)); n != 0 {
		w.t.Errorf("%d ids still hold the openid", n)
	}
}
