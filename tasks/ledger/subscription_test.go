package ledger_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestAcceptancesAddUp(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		for i, source := range []string{"x", "y", "y", "z"} {
			got := p.answer(source, i, true, tasks.OneTime)
			if repeated := i == 2; got.Repeated != repeated || (got.Accepted == 1) == repeated {
				b.t.Fatalf("answer %d: %+v", i, got)
			}
		}
		p.left(3, "accepted three times")
		for n := range 3 {
			a := p.message(fmt.Sprint(n), ledger.NeedSubscription)
			p.admit(a, ledger.Go)
			p.left(2-n, "one is held")
			p.settle(accepted(a, ""), "accepted")
			p.left(2-n, "one is spent")
		}
		fourth := p.message("4", ledger.NeedSubscription)
		p.claim(fourth.Ref)
		got := p.admit(fourth, ledger.Ended)
		if got.Status != "no_credit" || !got.Changed || got.Reason != errcode.ReasonNoCredit {
			b.t.Fatalf("the fourth: %+v", got)
		}
		if again := p.admit(next(fourth), ledger.Ended); again.Changed {
			b.t.Fatal("one end was counted twice")
		}
	})
}

// In observe mode WeChat judges, and the books follow.
func TestObserveSendsAnyway(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1", "a2")
		for n := range 2 {
			p.send(p.message(fmt.Sprint(n), ledger.NeedObserved))
		}
		p.left(0, "both are spent")
		third := p.message("3", ledger.NeedObserved)
		p.admit(third, ledger.Go)
		p.settle(refused(third), "rejected")
		p.left(0, "after 43101")
	})
}

func TestWhoMaySend(t *testing.T) {
	each(t, func(b *bundle) {
		for _, c := range []struct {
			name string
			said string
			need ledger.Need
			sort tasks.TemplateType
			want ledger.Verdict
			left int
		}{
			{"off keeps no books", "a1", ledger.NeedNothing, tasks.OneTime, ledger.Go, 1},
			{"off, nothing there", "", ledger.NeedNothing, tasks.OneTime, ledger.Go, 0},
			{"observe", "a1", ledger.NeedObserved, tasks.OneTime, ledger.Go, 0},
			{"observe, nothing there", "", ledger.NeedObserved, tasks.OneTime, ledger.Go, 0},
			{"observe, refused", "a1 r1", ledger.NeedObserved, tasks.OneTime, ledger.Go, 0},
			{"enforce", "a1", ledger.NeedSubscription, tasks.OneTime, ledger.Go, 0},
			{"enforce, nothing there", "", ledger.NeedSubscription, tasks.OneTime, ledger.Ended, 0},
			{"enforce, refused", "a1 r1", ledger.NeedSubscription, tasks.OneTime, ledger.Ended, 0},
			{"standing", "a1", ledger.NeedSubscription, tasks.LongTerm, ledger.Go, 1},
			{"standing until refused", "a1 r1", ledger.NeedSubscription, tasks.LongTerm, ledger.Ended, 0},
			{"standing, never accepted", "", ledger.NeedSubscription, tasks.LongTerm, ledger.Ended, 0},
			{"type unknown, granted", "a1", ledger.NeedSubscription, tasks.TypeUnknown, ledger.Go, 0},
			{"type unknown, granted once", "a1 r1", ledger.NeedSubscription, tasks.TypeUnknown, ledger.Ended, 0},
			{"type unknown, only refused", "r1", ledger.NeedSubscription, tasks.TypeUnknown, ledger.Ended, 0},
			{"type unknown, never granted: WeChat judges", "", ledger.NeedSubscription, tasks.TypeUnknown, ledger.Go, 0},
		} {
			p := b.person(c.name)
			p.says(strings.Fields(c.said)...)
			a := p.message("m", c.need)
			a.Type = c.sort
			if got, err := b.l.Admit(b.ctx, a); err != nil || got.Verdict != c.want {
				b.t.Errorf("%s: %+v, %v, want %s", c.name, got, err, c.want)
			}
			p.left(c.left, "admitted")
		}
	})
}

func TestStandingSubscription(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		message := func(id string) ledger.Admission {
			a := p.message(id, ledger.NeedSubscription)
			a.Type = tasks.LongTerm
			return a
		}
		for i := range 3 { // it stands or not, however often it was accepted
			p.answer(fmt.Sprint(i), i, true, tasks.LongTerm)
		}
		p.left(1, "standing")
		for i := range 3 {
			p.send(message(fmt.Sprint(i)))
		}
		p.left(1, "after three sends")
		over := message("43101")
		p.admit(over, ledger.Go)
		p.settle(refused(over), "rejected")
		p.admit(message("after 43101"), ledger.Ended)

		p.answer("again", 60, true, tasks.LongTerm)
		raced := message("raced")
		p.admit(raced, ledger.Go)
		p.answer("meanwhile", 61, true, tasks.LongTerm)
		p.settle(refused(raced), "rejected")
		p.left(1, "accepted while a send was answered 43101")
		p.answer("no more", 62, false, tasks.LongTerm)
		p.admit(message("after the refusal"), ledger.Ended)
	})
}

// A push can come late. A refusal ends what was accepted before it, and an
// acceptance from before a refusal grants nothing, whichever comes first.
func TestAnswersInAnyOrder(t *testing.T) {
	each(t, func(b *bundle) {
		for said, want := range map[string]int{
			"a1 a2 r3":          0,
			"a1 r2 a3":          1,
			"r2 a1":             0,
			"r2 a3":             1,
			"a3 r2":             1,
			"a1 a3 r2":          1,
			"a3 a1 r2":          1,
			"r2 r5 a3 a6":       1,
			"r5 r2 a3 a6":       1,
			"a2 r2":             0, // in one second: the order of arrival
			"r2 a2":             1,
			"a1 a1 a1":          3,
			"a1 a1 a2 a3 r1 a9": 3,
		} {
			p := b.person(said)
			p.says(strings.Fields(said)...)
			p.left(want, "all said")
		}
	})
}

// Old grants are told apart no longer, but none of them is lost.
func TestManyCredits(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		const many = 40
		for i := range many {
			p.says(fmt.Sprint("a", i))
		}
		p.left(many, "granted")
		if text := b.rdb.HGet(b.ctx, b.key("c", p.tag()), "s"+template).Val(); len(text) > 220 {
			b.t.Errorf("the stored form of %d credits takes %d bytes", many, len(text))
		}
		for i := range many {
			p.send(p.message(fmt.Sprint(i), ledger.NeedSubscription))
		}
		p.left(0, "sent")
		p.admit(p.message("one more", ledger.NeedSubscription), ledger.Ended)
	})
}

// Spent when the message was sent or may have been, returned otherwise, and once.
func TestWhatBecomesOfAHeldCredit(t *testing.T) {
	each(t, func(b *bundle) {
		for name, end := range endings {
			p := b.person(name)
			p.says("a1")
			a := p.message("m", ledger.NeedSubscription)
			for range 2 {
				p.admit(a, ledger.Go)
				p.left(0, "held")
			}
			b.settleRepeated(end(a), a)
			want := 1
			if spends[name] {
				want = 0
			}
			p.left(want, "settled")
			if hold := b.hold(a.Ref); (hold != "") != (name == "doubt") {
				b.t.Errorf("%s: the record holds %q", name, hold)
			}
		}
	})
}

// After a lost answer the credit stays with the notification: its resend has the
// same one, and nobody else gets it.
func TestResendHasTheSameCredit(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1")
		a := p.message("m", ledger.NeedSubscription)
		p.admit(a, ledger.Go)
		p.settle(settlement(a, ledger.Doubt, ""), "retrying")
		p.admit(p.message("other", ledger.NeedSubscription), ledger.Ended)
		for range 3 {
			a = next(a)
			p.admit(a, ledger.Go)
			p.settle(retrying(a), "retrying")
			p.left(0, "between two tries of the resend")
		}
		p.send(next(a))
		p.left(0, "sent")
		if hold := b.hold(a.Ref); hold != "" {
			b.t.Errorf("an ended notification holds %q", hold)
		}
	})
}

// What a second attempt ends with says nothing about the first, which may have
// been delivered.
func TestCreditAfterALostAnswerIsSpent(t *testing.T) {
	each(t, func(b *bundle) {
		for name, end := range endings {
			p := b.person(name)
			p.says("a1")
			a := p.message("m", ledger.NeedSubscription)
			p.admit(a, ledger.Go)
			p.settle(settlement(a, ledger.Doubt, ""), "retrying")
			a = next(a)
			p.admit(a, ledger.Go)
			b.settleRepeated(end(a), a)
			p.left(0, "after two attempts")
		}
	})
}

func TestCreditOfADeadWorker(t *testing.T) {
	each(t, func(b *bundle) {
		resent := b.person("resent")
		resent.says("a1")
		a := resent.message("m", ledger.NeedSubscription)
		if got := b.dies(a); got.Verdict != ledger.Go || got.Unknowns != 1 {
			b.t.Fatalf("the next attempt: %+v", got)
		}
		resent.left(0, "the next attempt has it")

		dropped := b.person("dropped")
		dropped.says("a1")
		a = dropped.message("m", ledger.NeedSubscription)
		a.DropAfterUnknown = true
		if got := b.dies(a); got.Status != "unknown" {
			b.t.Fatalf("with drop: %+v", got)
		}
		dropped.left(0, "it may have been sent")
	})
}

// A notification whose worker died is canceled: it may have been sent.
func TestCreditOfADeadWorkersCanceledMessage(t *testing.T) {
	each(t, func(b *bundle) {
		for _, met := range []string{"admitted", "without a token"} {
			p := b.person(met)
			p.says("a1")
			a := p.message("m", ledger.NeedSubscription)
			p.claim(a.Ref)
			a.Lease = time.Millisecond
			p.admit(a, ledger.Go)
			taskstest.Eventually(b.t, 5*time.Second, func() string {
				_, status, err := b.l.CancelKnown(b.ctx, a.App, a.ID, a.Kind, a.CreatedAt)
				if err != nil || status != "unknown" {
					return fmt.Sprint(status, err)
				}
				return ""
			})
			again := next(a)
			if met == "admitted" {
				p.admit(again, ledger.Ended)
			} else {
				s := retrying(again)
				s.Admitted = false
				p.settle(s, "unknown")
			}
			p.left(0, "it may have been sent")
			if hold := b.hold(a.Ref); hold != "" {
				b.t.Errorf("%s: the record still holds %q", met, hold)
			}
		}
	})
}

// 43101 says that nothing is left of what WeChat had when it was asked. What the
// user accepts while it answers is newer.
func TestAcceptedWhileWeChatAnswers43101(t *testing.T) {
	each(t, func(b *bundle) {
		for _, need := range []ledger.Need{ledger.NeedObserved, ledger.NeedSubscription} {
			p := b.person(string(need))
			p.says("a1", "a2", "a3")
			a := p.message("m", need)
			p.admit(a, ledger.Go)
			p.says("a4")
			b.settleRepeated(refused(a), a)
			p.left(1, "43101")
		}
		p := b.person("had nothing")
		a := p.message("m", ledger.NeedObserved)
		p.admit(a, ledger.Go)
		p.says("a1", "a2")
		p.settle(refused(a), "rejected")
		p.left(2, "43101")
	})
}

// A resend is judged by what was granted up to its own admission.
func TestResendAnswered43101(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1")
		a := p.message("m", ledger.NeedSubscription)
		p.admit(a, ledger.Go)
		p.says("a2")
		p.settle(settlement(a, ledger.Doubt, ""), "retrying")
		p.says("a3")
		a = next(a)
		p.admit(a, ledger.Go)
		p.says("a4")
		presumed := accepted(a, "")
		presumed.Revoked = true
		b.settleRepeated(presumed, a)
		p.left(1, "only the last is newer")
	})
}

// A first attempt found nothing; the resend takes what has come since.
func TestResendTakesWhatCameMeanwhile(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		a := p.message("m", ledger.NeedObserved)
		p.admit(a, ledger.Go)
		p.settle(settlement(a, ledger.Doubt, ""), "retrying")
		p.says("a1")
		a = next(a)
		p.admit(a, ledger.Go)
		p.left(0, "held by the resend")
	})
}

// The user refuses after an attempt whose answer got lost: what it held is no consent to a
// second one any more, unless the user accepted again.
func TestResendAfterARefusal(t *testing.T) {
	each(t, func(b *bundle) {
		for _, c := range []struct {
			name, said string
			need       ledger.Need
			sort       tasks.TemplateType
			want       ledger.Verdict
			left       int
		}{
			{"refused", "r5", ledger.NeedSubscription, tasks.OneTime, ledger.Ended, 0},
			{"another refusal before", "r0", ledger.NeedSubscription, tasks.OneTime, ledger.Go, 0},
			{"accepted again", "r5 a6", ledger.NeedSubscription, tasks.OneTime, ledger.Go, 0},
			{"observed", "r5", ledger.NeedObserved, tasks.OneTime, ledger.Go, 0},
			{"standing", "r5", ledger.NeedSubscription, tasks.LongTerm, ledger.Ended, 0},
		} {
			p := b.person(c.name)
			p.answer("first", 1, true, c.sort)
			a := p.message("m", c.need)
			a.Type = c.sort
			p.admit(a, ledger.Go)
			p.settle(settlement(a, ledger.Doubt, ""), "retrying")
			p.says(strings.Fields(c.said)...)
			again := next(a)
			if got := p.admit(again, c.want); c.want == ledger.Ended && got.Status != "unknown" {
				b.t.Errorf("%s: %+v", c.name, got)
			}
			p.left(c.left, "after the second admission")
		}
	})
}

// The user refuses while a send is in flight: what comes back is refused, too.
func TestRefusedWhileHeld(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1", "a2")
		a := p.message("m", ledger.NeedSubscription)
		p.admit(a, ledger.Go)
		p.says("r3", "a4")
		p.settle(retrying(a), "retrying")
		p.left(1, "returned")
		a = next(a)
		p.admit(a, ledger.Go) // with the new one
		p.settle(retrying(a), "retrying")
		p.left(1, "returned again")
	})
}

// A send may overtake its own grant.
func TestGrace(t *testing.T) {
	each(t, func(b *bundle) {
		for name, c := range map[string]struct {
			need  ledger.Need
			grant func(p *person)
		}{
			"subscription": {ledger.NeedSubscription, func(p *person) { p.says("a1") }},
			"form id":      {ledger.NeedFormID, func(p *person) { p.submits("F", 1) }},
		} {
			p := b.person(name)
			a := p.message("m", c.need)
			a.GraceFrom = time.Now()
			for range 2 {
				if got := p.admit(a, ledger.Credit); got.Wait <= 0 || got.Wait > 10*time.Second {
					b.t.Fatalf("%s: %+v", name, got)
				}
			}
			c.grant(p)
			p.admit(a, ledger.Go)
		}
	})
}

// crowd counts what becomes of many sends to one user.
type crowd struct {
	mu                    sync.Mutex
	sent, ended, inFlight int
}

func (c *crowd) count(change func(c *crowd)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	change(c)
}

// Fifty goroutines, two ledgers, ten credits, and some of the calls fail first.
func TestFiftySendsForTenCredits(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		for i := range 10 {
			p.says(fmt.Sprint("a", i))
		}
		ledgers := []*ledger.Ledger{b.l, ledger.New(b.rdb, b.ns, ledger.Options{})}
		var c crowd
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				a := p.message(fmt.Sprint(i), ledger.NeedSubscription)
				if err := c.send(b, ledgers[i%2], a, i%3 == 0); err != nil {
					b.t.Error(err)
				}
			})
		}
		wg.Wait()
		if c.sent != 10 || c.ended != 40 {
			b.t.Fatalf("%d sent and %d without credit, want 10 and 40", c.sent, c.ended)
		}
		p.left(0, "all is spent")
	})
}

// send tries until the notification has its end. The first call may fail.
func (c *crowd) send(b *bundle, l *ledger.Ledger, a ledger.Admission, fails bool) error {
	for {
		a = next(a)
		got, err := l.Admit(b.ctx, a)
		switch {
		case err != nil:
			return err
		case got.Verdict == ledger.Ended:
			c.count(func(c *crowd) { c.ended++ })
			return nil
		case got.Verdict != ledger.Go:
			<-time.After(2 * time.Millisecond)
			continue
		}
		c.count(func(c *crowd) {
			if c.inFlight++; c.inFlight > 1 {
				b.t.Error("two sends to one user at once")
			}
		})
		s := accepted(a, "")
		if fails {
			s = retrying(a)
		}
		c.count(func(c *crowd) { c.inFlight-- })
		if _, err := l.Settle(b.ctx, s); err != nil || !fails {
			c.count(func(c *crowd) { c.sent++ })
			return err
		}
		fails = false
	}
}

// An accepted record is what a busy app has most of.
func TestAcceptedRecordIsSmall(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1")
		a := p.message("m", ledger.NeedSubscription)
		p.admit(a, ledger.Go)
		p.settle(accepted(a, "1988810812324364291"), "accepted")
		if text := b.recordOf(a.Ref); len(text) > 44 {
			b.t.Errorf("%d bytes: %s", len(text), text)
		}
	})
}
