package worker_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

func deviceMessage(id string, openIDs ...string) producer.Notification {
	n := notification(id)
	n.Kind, n.SN, n.ModelID = tasks.KindDevice, "CANARY-sn", "model"
	n.To = producer.Recipient{OpenIDs: openIDs}
	return n
}

// card sets a card of user to a state. Its content names it in the sandbox's report.
func card(id string, t tasks.NotifyType, code string, state int) producer.Notification {
	return producer.Notification{
		App: app, ID: id, Kind: tasks.KindCard, To: producer.Recipient{OpenID: user}, NotifyType: t, NotifyCode: code,
		Content: json.RawMessage(fmt.Sprintf(`{"cur_status":%d,"character_string1":%q,"text":"CANARY content"}`, state, id)),
	}
}

// paidAt makes it the activation of a payment's card.
func paidAt(n producer.Notification, at time.Time) producer.Notification {
	n.Check = json.RawMessage(fmt.Sprintf(`{"pay_amount":1,"pay_time":%d,"pay_channel":0}`, at.Unix()))
	return n
}

func (b *bundle) code(t tasks.NotifyType, code string, change func(*sandbox.Card)) {
	b.Helper()
	c := sandbox.Card{OpenID: user, NotifyType: int(t), NotifyCode: code}
	if change != nil {
		change(&c)
	}
	if err := b.wechat.SetCard(app, c); err != nil {
		b.Fatal(err)
	}
}

func TestDeviceMessages(t *testing.T) {
	b := setup(t)
	if err := b.wechat.SetDevice(app, sandbox.Device{SN: "other", ModelID: "another"}); err != nil {
		t.Fatal(err)
	}
	if err := b.wechat.SetUser(app, sandbox.User{OpenID: "oRefuses", Refused: true}); err != nil {
		t.Fatal(err)
	}
	b.start()
	wrong := deviceMessage("wrong", "oA")
	wrong.SN = "other"
	b.send(deviceMessage("two", "oA", "oB"))
	b.send(deviceMessage("one", "oA"))
	b.send(deviceMessage("refused", "oA", "oRefuses"))
	b.send(wrong)
	b.await("two", "accepted")
	b.await("one", "accepted")
	b.await("refused", "rejected")
	if s := b.await("wrong", "dead"); s.Errcode != 9800006 || s.Kind != tasks.KindDevice {
		t.Errorf("%+v", s)
	}
	again := deviceMessage("two", "oB", "oA")
	if r, err := b.client.Send(b.Context(), again); err != nil || !r.Duplicate {
		t.Errorf("the same users in another order: %+v, %v", r, err)
	}
	if calls := b.calls(sandbox.APIDeviceSend); calls.Received != 4 {
		t.Errorf("%d calls, want one for each message", calls.Received)
	}
}

// Who was erased is left out of a message to several; the others get it.
func TestErasedUsersOfADeviceMessage(t *testing.T) {
	b := setup(t)
	for _, id := range []string{"oErased1", "oErased2"} {
		if err := b.wechat.SetUser(app, sandbox.User{OpenID: id, Refused: true}); err != nil { // WeChat would refuse the message
			t.Fatal(err)
		}
	}
	b.send(deviceMessage("some", "oErased1", "oA"))
	b.send(deviceMessage("all", "oErased1", "oErased2"))
	for _, id := range []string{"oErased1", "oErased2"} {
		if err := b.client.EraseUser(b.Context(), app, id); err != nil {
			t.Fatal(err)
		}
	}
	b.start()
	b.await("some", "accepted")
	if s := b.await("all", "canceled"); !strings.Contains(s.Reason, "erased") {
		t.Errorf("%+v", s)
	}
	if n := b.calls(sandbox.APIDeviceSend).Received; n != 1 {
		t.Errorf("%d calls, want one", n)
	}
}

// The dead letter of a message to several goes with the first of them who is erased.
func TestErasureFindsDeadLettersOfSeveral(t *testing.T) {
	b := setup(t)
	b.next(sandbox.Script{API: sandbox.APIDeviceSend, Errcode: 40037, Count: 1})
	b.start()
	b.send(deviceMessage("dead", "oErased1", "oA"))
	b.awaitLetters(1)
	at := time.Now().Add(time.Minute)
	due := ledger.Erasures{ledger.Tag(app, "oErased1"): fmt.Sprint(at.UnixMilli())}
	if _, err := ledger.New(b.rdb, "", ledger.Options{}).EraseRecords(b.Context(), due); err != nil {
		t.Fatal(err)
	}
	b.awaitLetters(0)
}

func TestLifeOfACard(t *testing.T) {
	b := setup(t)
	b.start()
	b.code(tasks.CardTrain, "n1", nil)
	b.send(paidAt(card("activate", tasks.CardTrain, "n1", 1), time.Now()))
	b.await("activate", "accepted")
	b.send(card("update", tasks.CardTrain, "n1", 2))
	b.await("update", "accepted")
	details := card("details", tasks.CardTrain, "n1", 0)
	details.Content, details.Ext = nil, json.RawMessage(`{"character_string1":"details"}`)
	b.send(details)
	b.await("details", "accepted")
	b.send(card("last", tasks.CardTrain, "n1", 3))
	b.await("last", "accepted")
	b.send(card("back", tasks.CardTrain, "n1", 2))
	if s := b.await("back", "dead"); s.Errcode != 85439 {
		t.Errorf("%+v", s)
	}
	b.send(card("again", tasks.CardTrain, "n1", 3))
	if s := b.await("again", "rejected"); s.Errcode != 85448 {
		t.Errorf("%+v", s)
	}
	for _, id := range []string{"activate", "update", "details", "last"} {
		if n := b.accepted(id); n != 1 {
			t.Errorf("%s was accepted %d times", id, n)
		}
	}
}

func TestErrorsOfCards(t *testing.T) {
	b := setup(t)
	b.start()
	b.code(tasks.CardTaxi, "banned", func(c *sandbox.Card) { c.Banned = true })
	b.code(tasks.CardTaxi, "over", func(c *sandbox.Card) { c.ExpiresIn = sandbox.Duration(-time.Second) })
	b.code(tasks.CardTaxi, "locked", func(c *sandbox.Card) { c.Locked = true })
	b.code(tasks.CardTaxi, "denied", nil)
	b.code(tasks.CardHotel, "fresh", func(c *sandbox.Card) { c.KnownIn = sandbox.Duration(time.Hour) })
	b.send(card("banned", tasks.CardTaxi, "banned", 1))
	b.send(card("over", tasks.CardTaxi, "over", 1))
	b.send(card("locked", tasks.CardTaxi, "locked", 1))
	b.send(paidAt(card("fresh", tasks.CardHotel, "fresh", 1), time.Now()))
	b.send(paidAt(card("late", tasks.CardHotel, "late", 1), time.Now().Add(-25*time.Hour)))
	if s := b.await("banned", "rejected"); s.Errcode != 85436 {
		t.Errorf("%+v", s)
	}
	if s := b.await("over", "rejected"); s.Errcode != 85438 {
		t.Errorf("%+v", s)
	}
	if s := b.await("late", "expired"); !strings.Contains(s.Reason, "service card was over") {
		t.Errorf("%+v", s)
	}
	if s := b.await("fresh", "retrying"); s.Errcode != 85437 {
		t.Errorf("%+v", s)
	}
	b.code(tasks.CardTaxi, "locked", nil)
	b.await("locked", "accepted")
	if n := b.calls(sandbox.APISetUserNotify).Errcodes[85437]; n != 1 {
		t.Errorf("%d calls answered 85437, want one: a payment that is too old is not sent, a fresh one waits a minute", n)
	}
}

// WeChat denies one type of card: that one waits, others go on.
func TestADeniedTypeOfCard(t *testing.T) {
	b := setup(t)
	b.code(tasks.CardTaxi, "denied", func(c *sandbox.Card) { c.Denied = true })
	b.code(tasks.CardMealWaiting, "granted", nil)
	b.start()
	b.send(card("denied", tasks.CardTaxi, "denied", 1))
	if p := b.awaitPause(ledger.ScopeTemplate); p.Name != "card-1001" || p.Errcode != 85461 {
		t.Errorf("%+v", p)
	}
	b.send(card("granted", tasks.CardMealWaiting, "granted", 1))
	b.await("granted", "accepted")
	taskstest.Eventually(b, 60*time.Second, func() string {
		s, err := b.client.Status(b.Context(), app, "denied")
		if err != nil || s.Status.Final() || !strings.Contains(s.Reason, "notify_type") {
			return fmt.Sprintf("%+v, %v", s, err)
		}
		return ""
	})
}

// A lost answer: the card's state says that WeChat had taken it.
func TestALostAnswerAboutACard(t *testing.T) {
	b := setup(t)
	b.code(tasks.CardTaxi, "n1", nil)
	b.next(sandbox.Script{API: sandbox.APISetUserNotify, Do: sandbox.FaultLostCut, Count: 1})
	b.start()
	b.send(card("lost", tasks.CardTaxi, "n1", 1))
	if s := b.await("lost", "accepted"); s.Attempts != 2 || !strings.Contains(s.Reason, "accepted the first") {
		t.Errorf("%+v", s)
	}
}

func TestACardThatCouldNotBeSent(t *testing.T) {
	b := setup(t)
	b.code(tasks.CardTaxi, "n1", nil)
	b.start()
	failed := func(state int64) tasks.EventItem {
		return tasks.EventItem{NotifyType: tasks.CardTaxi, NotifyCode: "n1", CardState: state, ErrorCode: -1004, ErrorStatus: "user refuse"}
	}
	b.push(tasks.EventCard, "early", time.Now(), failed(1)) // before it is known to be accepted
	b.credits()
	b.send(card("first", tasks.CardTaxi, "n1", 1))
	if s := b.await("first", "undelivered"); s.Errcode != -1004 || !strings.Contains(s.Reason, "user refuse") {
		t.Errorf("%+v", s)
	}
	b.send(card("second", tasks.CardTaxi, "n1", 2))
	b.await("second", "accepted")
	b.push(tasks.EventCard, "late", time.Now(), failed(2))
	b.await("second", "undelivered")
}
