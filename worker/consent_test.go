package worker_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

const user = "oCANARYuser"

func (b *bundle) calls(api string) sandbox.CallReport {
	return b.wechat.Report(false).Apps[app].Calls[api]
}

func templateMessage(id, formID string) producer.Notification {
	n := notification(id)
	n.Kind, n.FormID = tasks.KindTemplate, formID
	return n
}

// push enqueues an event as the callback does.
func (b *bundle) push(name tasks.EventName, source string, at time.Time, items ...tasks.EventItem) {
	b.Helper()
	e := tasks.Event{App: app, OpenID: user, Name: name, At: at, Source: source, Items: items}
	if err := tasks.NewClient(b.rdb, "").EnqueueEvent(b.Context(), e); err != nil {
		b.Fatal(err)
	}
}

func said(status string) tasks.EventItem { return tasks.EventItem{TemplateID: "tmpl", Status: status} }

// credits waits until all events were taken up, and counts.
func (b *bundle) credits() int {
	b.Helper()
	taskstest.Eventually(b, 60*time.Second, func() string {
		n := b.rdb.LLen(b.Context(), "asynq:{"+app+".events}:pending").Val() + b.rdb.LLen(b.Context(), "asynq:{"+app+".events}:active").Val()
		if n > 0 {
			return fmt.Sprintf("%d events wait", n)
		}
		return ""
	})
	c, err := b.client.Credits(b.Context(), app, user)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range c.Subscriptions {
		if s.TemplateID == "tmpl" {
			return s.Credits
		}
	}
	return 0
}

// What a push adds or takes, by how the app keeps consent.
func TestPushesAndPolicies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		policy           tasks.ConsentPolicy
		granted, refused int
	}{
		"event":  {tasks.ConsentPolicy{Mode: tasks.CreditsObserve, Source: tasks.ConsentEvent}, 2, 0},
		"report": {tasks.ConsentPolicy{Mode: tasks.CreditsEnforce, Source: tasks.ConsentReport}, 1, 0},
		"off":    {tasks.ConsentPolicy{Mode: tasks.CreditsOff, Source: tasks.ConsentEvent}, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			b := setup(t)
			b.consent = c.policy
			b.start()
			taskstest.Eventually(b, 60*time.Second, func() string {
				if _, err := b.client.GrantByHand(b.Context(), app, user, []string{"tmpl"}); err != nil && name != "off" {
					return err.Error() // the worker has not announced itself yet
				}
				return ""
			})
			if name == "off" { // nothing is stored in this mode; look at what another left
				c.granted, c.refused = 0, 0
			}
			at := time.Now().Add(time.Second)
			b.push(tasks.EventPopup, "first", at, said("accept"))
			b.push(tasks.EventPopup, "first", at, said("accept"))
			b.push(tasks.EventChange, "odd", at, said("accept"))
			if got := b.credits(); got != c.granted {
				t.Errorf("after an acceptance, twice pushed: %d credits, want %d", got, c.granted)
			}
			b.push(tasks.EventChange, "second", at.Add(time.Second), said("reject"))
			b.push(tasks.EventPopup, "late", at, said("accept")) // older than the refusal
			if got := b.credits(); got != c.refused {
				t.Errorf("after a refusal: %d credits, want %d", got, c.refused)
			}
		})
	}
}

// WeChat takes no template messages any more: they wait with a clear word and
// without a call each, and nothing else of the app does.
func TestRetiredTemplateMessagesWait(t *testing.T) {
	b := setup(t)
	if err := b.wechat.SetRetired(app, true); err != nil {
		t.Fatal(err)
	}
	b.start()
	b.send(templateMessage("probe", "form-0"))
	held := func(s producer.State) bool { return !s.Status.Final() && s.Errcode == 45103 }
	b.awaitFor("probe", 20*time.Second, held, "45103")
	calls := b.calls(sandbox.APITemplateSend).Received
	for i := range 20 {
		b.send(templateMessage(fmt.Sprint("held-", i), fmt.Sprint("form-", i+1)))
	}
	for i := range 20 {
		s := b.awaitFor(fmt.Sprint("held-", i), 20*time.Second, held, "45103")
		retired, _ := errcode.LookupReason(errcode.ReasonRetired)
		if !strings.Contains(s.Reason, retired.Meaning) || s.Remedy == "" {
			t.Errorf("%+v, want the reason %s", s, retired.Meaning)
		}
	}
	if n := b.calls(sandbox.APITemplateSend).Received; n != calls {
		t.Errorf("%d more calls were made for messages that wait, want none", n-calls)
	}
	b.send(notification("other"))
	b.await("other", "accepted")
	if archived := b.list(asynq.TaskStateArchived); len(archived) != 0 {
		t.Errorf("%d messages were buried, want none", len(archived))
	}
}

// A message canceled, or expired, before its login code was exchanged leaves the code alone.
func TestCodesOfWhatIsNotSent(t *testing.T) {
	b := setup(t)
	n := notification("canceled")
	n.To = producer.Recipient{Code: "CANARYcode1"}
	b.send(n)
	if _, err := b.client.Cancel(b.Context(), app, "canceled"); err != nil {
		t.Fatal(err)
	}
	n = notification("late")
	n.To, n.NotAfter = producer.Recipient{Code: "CANARYcode2"}, time.Now().Add(time.Second)
	b.send(n)
	<-time.After(1010 * time.Millisecond) // real time: Redis's clock judges
	b.start()
	b.await("canceled", "canceled")
	b.await("late", "expired")
	if n := b.calls(sandbox.APICodeToSession).Received; n != 0 {
		t.Errorf("%d codes were exchanged, want none", n)
	}
}

// The answer of an exchange gets lost: the code is tried again, WeChat says that it
// was used, and the message ends with that reason, unsent.
func TestALostExchange(t *testing.T) {
	b := setup(t)
	if _, err := b.wechat.SetCode(app, sandbox.Code{OpenID: user, Code: "CANARYcode"}); err != nil {
		t.Fatal(err)
	}
	b.next(sandbox.Script{API: sandbox.APICodeToSession, Do: sandbox.FaultLostCut, Count: 1})
	b.start()
	n := notification("lost")
	n.To, n.OnUnknown = producer.Recipient{Code: "CANARYcode"}, tasks.Drop // drop is about sends, and nothing is sent
	b.send(n)
	s := b.await("lost", "dead")
	// One attempt if net/http itself repeated the GET, as it does on a connection that was used before.
	if s.Errcode != 40163 || s.Attempts > 2 || b.accepted("lost") != 0 {
		t.Errorf("%+v, accepted %d times", s, b.accepted("lost"))
	}
	if strings.Contains(b.log.tail(), "CANARY") {
		t.Errorf("the log holds a code, an openid or content:\n%s", b.log.tail())
	}
}

// The list of templates cannot be had: sends go on, and it is not asked for again
// and again.
func TestTemplatesThatCannotBeRead(t *testing.T) {
	b := setup(t)
	b.consent = tasks.ConsentPolicy{Mode: tasks.CreditsEnforce, Source: tasks.ConsentEvent}
	b.next(sandbox.Script{API: sandbox.APIGetTemplates, Errcode: 45009, Count: 100})
	b.start()
	taskstest.Eventually(b, 60*time.Second, func() string {
		if n := b.calls(sandbox.APIGetTemplates).Received; n == 0 {
			return "the templates were not asked for"
		}
		return ""
	})
	for i := range 5 {
		b.send(notification(fmt.Sprint(i)))
		b.await(fmt.Sprint(i), "accepted") // nobody knows the template: WeChat decides
	}
	if n := b.calls(sandbox.APIGetTemplates).Received; n > 2 {
		t.Errorf("asked %d times, want at most twice: for the day, and for a template that is missing", n)
	}
}

// What is kept of a user is erased also where only a login code named them, and what
// they are sent afterwards is theirs again.
func TestErasureFindsLoginCodes(t *testing.T) {
	b := setup(t)
	if _, err := b.wechat.SetCode(app, sandbox.Code{OpenID: user, Code: "CANARYcode"}); err != nil {
		t.Fatal(err)
	}
	b.next(send("", 47003, 1))
	b.start()
	n := notification("by-code")
	n.To = producer.Recipient{Code: "CANARYcode"}
	b.send(n)
	b.await("by-code", "dead")
	if err := b.client.EraseUser(b.Context(), app, user); err != nil {
		t.Fatal(err)
	}
	<-time.After(2 * time.Millisecond) // real time: an erasure covers its own millisecond
	later := notification("later")
	later.To, later.SendAt = producer.Recipient{OpenID: user}, time.Now().Add(time.Hour)
	b.send(later)
	taskstest.Eventually(b, 90*time.Second, func() string {
		if s, err := b.client.Status(b.Context(), app, "by-code"); !errors.Is(err, producer.ErrNotFound) {
			return fmt.Sprintf("%+v, %v, want nothing known", s, err)
		}
		return ""
	})
	if archived := b.list(asynq.TaskStateArchived); len(archived) != 0 {
		t.Errorf("%d dead letters are left, want none", len(archived))
	}
	b.await("later", tasks.StatusScheduled)
}
