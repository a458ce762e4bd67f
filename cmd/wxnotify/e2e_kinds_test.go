package main_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// deviceMessage is a message about a device to some users.
func deviceMessage(id, sn string, users ...int) notification {
	openIDs := make([]string, len(users))
	for i, user := range users {
		openIDs[i] = openID(user)
	}
	return message(id, 0).with("kind", "device").with("to", map[string]any{"openids": openIDs}).
		with("sn", sn).with("model_id", "model-1")
}

// cardMessage sets a card of a user to a state; the sandbox names it by its content.
func cardMessage(id string, user int, notifyType any, code string, state int) notification {
	return notification{
		"app": testApp, "kind": "card", "id": id, "to": map[string]string{"openid": openID(user)},
		"notify_type": notifyType, "notify_code": code,
		"content": map[string]any{"cur_status": state, idKey: id, "text": contentCanary},
	}
}

// paid makes it the activation of a payment's card.
func (n notification) paid(at time.Time) notification {
	return n.with("check", map[string]any{"pay_amount": 12800, "pay_time": at.Unix(), "pay_channel": 0})
}

// accept posts one and fails unless it is stored.
func (g *gatewayProcess) accept(all ...notification) {
	g.t.Helper()
	for _, n := range all {
		if code, _ := g.send(n); code != http.StatusAccepted {
			g.t.Fatalf("%v: %d, want it stored", n["id"], code)
		}
	}
}

// wantEnd waits for an outcome and fails unless it is the wanted one.
func (g *gatewayProcess) wantEnd(id, status string, errcode int) state {
	g.t.Helper()
	s := g.awaitOutcome(testApp, id, time.Now().Add(40*time.Second))
	if s.Status != status || s.Errcode != errcode {
		g.t.Errorf("%s: %+v, want %s with errcode %d", id, s, status, errcode)
	}
	return s
}

func TestDeviceMessages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("a", nil)
	g := w.gateway()
	w.sandbox.control(http.MethodPut, "devices", map[string]string{"app": testApp, "sn": "SN-other", "model_id": "model-2"})
	w.sandbox.control(http.MethodPut, "users", map[string]any{"app": testApp, "openid": openID(9), "refused": true})

	g.accept(deviceMessage("one", "SN-1", 1), deviceMessage("several", "SN-1", 1, 2, 3),
		deviceMessage("refused", "SN-1", 1, 9), deviceMessage("other", "SN-other", 1))
	g.wantEnd("one", "accepted", 0)
	g.wantEnd("several", "accepted", 0)
	g.wantEnd("refused", "rejected", 43101)
	g.wantEnd("other", "dead", 9800006)
	if code, s := g.send(deviceMessage("several", "SN-1", 3, 2, 1)); code != http.StatusOK || !s.Duplicate {
		t.Errorf("the same users in another order: %d %+v, want a duplicate", code, s)
	}
	for field, n := range map[string]notification{
		"to.openids": deviceMessage("bad", "SN-1"), "sn": deviceMessage("bad", "SN 1", 1), "to": deviceMessage("bad", "SN-1", 1).with("to", "x"),
	} {
		if code, body := request(t, http.MethodPost, g.url+"/v1/notifications", gatewayKey, n); code != 422 || !strings.Contains(body, `"field":"`+field+`"`) {
			t.Errorf("%s: %d %s, want 422 with the field", field, code, body)
		}
	}
	command(t, w.env.redisOnly(), "send", "--kind", "device", "--openid", openID(4), "--openid", openID(5), "--sn", "SN-1", "--model-id", "model-1",
		"--template", "e2e-template", "--data", idKey+"=cli", "--id", "cli").want(t, 0, "cli: queued")
	g.wantEnd("cli", "accepted", 0)
	command(t, w.env.redisOnly(), "status", "cli").want(t, 0, "device", "accepted")

	w.forgetOneOfSeveral(g)
	if r := w.sandbox.report(testApp, true); r.AcceptedByID["several"] != 1 || r.AcceptedByID["cli"] != 1 || len(r.Duplicates) != 0 {
		t.Errorf("%+v", r)
	}
}

// forgetOneOfSeveral erases a user, whom WeChat would refuse, before the message goes out.
func (w *world) forgetOneOfSeveral(g *gatewayProcess) {
	w.t.Helper()
	later := time.Now().Add(10 * time.Second).Format(time.RFC3339Nano)
	g.accept(deviceMessage("less", "SN-1", 1, 9).with("send_at", later), deviceMessage("none", "SN-1", 9).with("send_at", later))
	command(w.t, w.env.redisOnly(), "user", "forget", testApp, openID(9)).want(w.t, 0, "erased")
	g.wantEnd("less", "accepted", 0)
	if s := g.wantEnd("none", "canceled", 0); !strings.Contains(s.Reason, "erased") {
		w.t.Errorf("%+v", s)
	}
}

// setCard makes the code of a card known, or changes it.
func (s *sandboxProcess) setCard(user, notifyType int, code string, more map[string]any) {
	s.t.Helper()
	card := map[string]any{"app": testApp, "openid": openID(user), "notify_type": notifyType, "notify_code": code}
	for name, value := range more {
		card[name] = value
	}
	s.control(http.MethodPut, "cards", card)
}

// A card from its activation through its updates to its last state, and what WeChat pushes
// about one that could not be shown.
func TestTheLifeOfACard(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.askConsent("json", nil) // starts the sandbox anew, which pushes there
	w.worker("a", nil)
	const code = "4200000000202611210000000001"
	w.sandbox.setCard(1, 2010, code, nil)
	w.wantCard(code, "not activated")

	g.accept(cardMessage("activate", 1, 2010, code, 1).paid(time.Now()))
	g.wantEnd("activate", "accepted", 0)
	command(t, w.env.redisOnly(), "send", "--kind", "card", "--to", openID(1), "--notify-type", "train", "--notify-code", code, "--id", "update",
		"--content", `{"cur_status":2,"`+idKey+`":"update","text":"`+contentCanary+`"}`).want(t, 0, "update: queued")
	g.wantEnd("update", "accepted", 0)
	details := cardMessage("details", 1, 2010, code, 0)
	delete(details, "content")
	g.accept(details.with("ext", map[string]any{idKey: "details", "store_info": map[string]string{"a": contentCanary}}))
	g.wantEnd("details", "accepted", 0)
	g.accept(cardMessage("last", 1, 2010, code, 3))
	g.wantEnd("last", "accepted", 0)
	w.wantCard(code, "3", "normal", "expires")
	g.accept(cardMessage("back", 1, 2010, code, 1))
	g.wantEnd("back", "dead", 85439)
	g.accept(cardMessage("again", 1, 2010, code, 3))
	g.wantEnd("again", "rejected", 85448)
	command(t, w.env.redisOnly(), "status", "last").want(t, 0, "card", "accepted")

	w.sandbox.control(http.MethodPost, "events", map[string]any{
		"app": testApp, "event": "notify_service_msg_send_result", "openid": openID(1), "body": map[string]any{
			"openid": openID(1), "notify_type": 2010, "notify_code": code, "card_status": 3, "fail_ret": -1004, "fail_msg": "user refuse",
		},
	})
	taskstest.Eventually(t, 30*time.Second, func() string {
		if _, s := g.status(testApp, "last"); s.Status != "undelivered" || s.Errcode != -1004 || !strings.Contains(s.Reason, "user refuse") {
			return fmt.Sprintf("%+v, want it undelivered", s)
		}
		return ""
	})
	r := w.sandbox.report(testApp, true)
	for _, id := range []string{"activate", "update", "details", "last"} {
		if r.AcceptedByID[id] != 1 {
			t.Errorf("%s was accepted %d times, want once", id, r.AcceptedByID[id])
		}
	}
}

// wantCard fails unless the command shows the card so.
func (w *world) wantCard(code string, texts ...string) {
	w.t.Helper()
	command(w.t, w.env, "card", "show", testApp, openID(1), "train", code).want(w.t, 0, append(texts, "train")...)
}

func TestErrorsOfCards(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.worker("a", nil)
	g := w.gateway()
	const taxi, hotel = 1001, 2008
	w.sandbox.setCard(1, taxi, "banned", map[string]any{"banned": true})
	w.sandbox.setCard(2, taxi, "over", map[string]any{"expires_in": "-1s"})
	w.sandbox.setCard(3, taxi, "locked", map[string]any{"locked": true})
	w.sandbox.setCard(4, taxi, "lost", nil)
	w.sandbox.setCard(5, hotel, "fresh", map[string]any{"known_in": "1h"})
	w.sandbox.setCard(6, 1003, "denied", map[string]any{"denied": true})

	w.sandbox.faults(sandbox.Faults{Next: []sandbox.Script{{API: sandbox.APISetUserNotify, Do: sandbox.FaultLostCut, Count: 1}}})
	g.accept(cardMessage("lost", 4, "taxi", "lost", 1))
	taskstest.Eventually(t, 20*time.Second, func() string {
		if _, s := g.status(testApp, "lost"); s.Status != "retrying" {
			return "its answer is not lost yet: " + s.Status
		}
		return ""
	})
	g.accept(cardMessage("banned", 1, taxi, "banned", 1), cardMessage("over", 2, taxi, "over", 1), cardMessage("locked", 3, taxi, "locked", 1),
		cardMessage("fresh", 5, hotel, "fresh", 1).paid(time.Now()),
		cardMessage("late", 5, hotel, "late", 1).paid(time.Now().Add(-25*time.Hour)),
		cardMessage("denied", 6, 1003, "denied", 1))
	g.wantEnd("banned", "rejected", 85436)
	g.wantEnd("over", "rejected", 85438)
	if s := g.wantEnd("late", "expired", 0); !strings.Contains(s.Reason, "service card was over") {
		t.Errorf("%+v", s)
	}
	if s := g.wantEnd("lost", "accepted", 85448); !strings.Contains(s.Reason, "accepted the first") {
		t.Errorf("%+v", s)
	}
	w.sandbox.setCard(3, taxi, "locked", nil)
	g.wantEnd("locked", "accepted", 0)
	for id, errcode := range map[string]int{"fresh": 85437, "denied": 85461} {
		if _, s := g.status(testApp, id); s.final() || s.Errcode != errcode {
			t.Errorf("%s: %+v, want it to wait with errcode %d", id, s, errcode)
		}
	}
	w.app("status", testApp).want(t, 0, "card-1003")
	if n := w.sandbox.report(testApp, false).Calls[sandbox.APISetUserNotify].Errcodes[85437]; n != 1 {
		t.Errorf("%d calls answered 85437, want one: a fresh code waits a minute, one that is too old is not sent", n)
	}
	command(t, w.env, "card", "show", testApp, openID(1), "bus", "x").want(t, 2, "notify-type")
	command(t, w.env, "card", "show", "wxnobody", openID(1), "train", "x").want(t, 2, "appid")
}
