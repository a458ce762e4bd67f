package ledger_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// submits grants a form id that just came from a form.
func (p *person) submits(formID string, uses int) ledger.FormIDResult {
	p.t.Helper()
	return p.submitted(formID, uses, ledger.FormIDLife)
}

// submitted grants a form id that ends after left.
func (p *person) submitted(formID string, uses int, left time.Duration) ledger.FormIDResult {
	p.t.Helper()
	got, err := p.l.GrantFormID(p.ctx, ledger.FormID{
		App: app, OpenID: p.openID, FormID: formID, Uses: uses, ExpiresAt: time.Now().Add(left),
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

// template is the first attempt for a template message. given is the form id that
// came with it, if one did.
func (p *person) template(id, given string) ledger.Admission {
	a := p.message(id, ledger.NeedFormID)
	a.Kind, a.Type, a.FormID = tasks.KindTemplate, tasks.TypeUnknown, given
	return a
}

// has fails unless these form ids are stored, as "id" or "id*uses", the one that
// is used first at the front.
func (p *person) has(when string, want ...string) {
	p.t.Helper()
	got := []string{}
	for _, f := range p.allows().FormIDs {
		id := f.FormID
		if f.Uses > 1 {
			id += fmt.Sprint("*", f.Uses)
		}
		got = append(got, id)
	}
	if !slices.Equal(got, want) {
		p.t.Fatalf("%s: %s: form ids %v, want %v", p.openID, when, got, want)
	}
}

// holdsFormID admits an attempt and fails unless it got this form id.
func (p *person) holdsFormID(a ledger.Admission, want string) {
	p.t.Helper()
	if got := p.admit(a, ledger.Go); got.FormID != want {
		p.t.Fatalf("%s: the attempt has form id %q, want %q", p.openID, got.FormID, want)
	}
}

// badFormID is WeChat's 41028 or 41029.
func badFormID(a ledger.Admission) ledger.Settlement {
	s := retrying(a)
	s.Errcode, s.Discarded = 41029, true
	return s
}

func TestOldestFormIDFirst(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.submitted("late", 1, 3*time.Hour)
		p.submitted("early", 1, time.Hour)
		p.submitted("middle", 1, 2*time.Hour)
		p.has("stored", "early", "middle", "late")
		for i, want := range []string{"early", "middle", "late"} {
			a := p.template(want, "")
			for range 2 {
				p.holdsFormID(a, want)
			}
			p.settle(accepted(a, ""), "accepted")
			p.has("sent", []string{"early", "middle", "late"}[i+1:]...)
		}
		last := p.admit(p.template("one more", ""), ledger.Ended)
		if last.Status != "no_credit" || last.Reason != errcode.ReasonNoFormID {
			b.t.Fatalf("%+v", last)
		}
	})
}

// One of three has expired, one was used elsewhere: the right one is used, and
// nothing is left of the three.
func TestTheRightOneOfThreeFormIDs(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.submitted("expired", 1, 30*time.Millisecond)
		p.submitted("used", 1, time.Hour)
		p.submitted("good", 1, 2*time.Hour)
		taskstest.Eventually(b.t, 5*time.Second, func() string {
			if n := len(p.allows().FormIDs); n != 2 {
				return fmt.Sprint(n, " form ids can be used")
			}
			return ""
		})
		a := p.template("m", "")
		p.holdsFormID(a, "used")
		b.settleRepeated(badFormID(a), a)
		a = next(a)
		p.holdsFormID(a, "good")
		b.settleRepeated(accepted(a, "1"), a)
		if n := b.rdb.Exists(b.ctx, b.key("f", p.tag())).Val(); n != 0 {
			b.t.Fatal("some form id is left")
		}
		for _, id := range []string{"used", "good"} {
			if got := p.submits(id, 1); got != ledger.FormIDRepeated {
				b.t.Errorf("%s is taken once more: %s", id, got)
			}
		}
	})
}

func TestFormIDsThatRepeatOrAreTooOld(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		for _, want := range []ledger.FormIDResult{ledger.FormIDGranted, ledger.FormIDRepeated} {
			if got := p.submits("F", 1); got != want {
				b.t.Fatalf("submitted: %s, want %s", got, want)
			}
		}
		a := p.template("m", "")
		p.holdsFormID(a, "F")
		if got := p.submits("F", 1); got != ledger.FormIDRepeated {
			b.t.Fatalf("submitted once more while it is held: %s", got)
		}
		p.settle(accepted(a, ""), "accepted")
		if got := p.submits("F", 1); got != ledger.FormIDRepeated {
			b.t.Fatalf("submitted once more after its use: %s", got)
		}
		if got := p.submitted("old", 1, -time.Millisecond); got != ledger.FormIDExpired {
			b.t.Fatalf("eight days old: %s", got)
		}
		p.has("in the end")
		if got := b.person("bob").submits("F", 1); got != ledger.FormIDGranted {
			b.t.Errorf("another user's: %s", got) // WeChat will say 41028
		}
	})
}

func TestImpossibleFormIDs(t *testing.T) {
	each(t, func(b *bundle) {
		for _, f := range []ledger.FormID{
			{FormID: "", Uses: 1}, {FormID: "a;b", Uses: 1}, {FormID: "a,b", Uses: 1}, {FormID: "the formId is a mock one", Uses: 1},
			{FormID: strings.Repeat("x", 129), Uses: 1}, {FormID: "F", Uses: 0}, {FormID: "F", Uses: 4}, {FormID: "F", Uses: -1},
		} {
			f.App, f.OpenID, f.ExpiresAt = app, "o-ann", time.Now().Add(time.Hour)
			if got, err := b.l.GrantFormID(b.ctx, f); err == nil {
				b.t.Errorf("%+v: %s", f, got)
			}
		}
	})
}

// What can stand in a form id, and looks like the stored forms around it.
func TestOddFormIDs(t *testing.T) {
	each(t, func(b *bundle) {
		for i, id := range []string{"1", "123456", "%d", "^(.*)$", "!x", "x", "xF", "[1]*3", "a|b|c", "-", "1*2", `"\'`, strings.Repeat("9", 128)} {
			p := b.person(fmt.Sprint(i))
			p.submits(id, 2)
			a := p.template("stored", "")
			p.holdsFormID(a, id)
			p.settle(retrying(a), "retrying")
			p.has("returned", id+"*2")
			a = p.template("given", id)
			p.holdsFormID(a, id)
			p.settle(settlement(a, ledger.Doubt, ""), "retrying")
			p.holdsFormID(next(a), id)
			p.has("one use is held", id)
		}
	})
}

// A payment allows three messages.
func TestPrepayID(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.submits("P", 3)
		for _, rest := range []string{"P*2", "P"} {
			a := p.template(rest, "")
			p.holdsFormID(a, "P")
			p.has("held", rest)
			p.settle(retrying(a), "retrying")
			a = next(a)
			p.holdsFormID(a, "P")
			p.settle(accepted(a, ""), "accepted")
			p.has("sent", rest)
			if got := p.submits("P", 3); got != ledger.FormIDRepeated {
				b.t.Fatal(got)
			}
		}
		last := p.template("last", "")
		p.holdsFormID(last, "P")
		p.has("the last use is held")
		p.settle(retrying(last), "retrying")
		p.has("returned", "P")
		last = next(last)
		p.holdsFormID(last, "P")
		p.settle(accepted(last, ""), "accepted")
		p.admit(p.template("fourth", ""), ledger.Ended)
	})
}

// WeChat refuses a prepay_id: all of its uses are gone, also those that others hold.
func TestRefusedPrepayIDDoesNotComeBack(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.submits("P", 2)
		late := p.template("late", "")
		late.Lease = time.Millisecond
		p.holdsFormID(late, "P")
		a := p.template("m", "")
		taskstest.Eventually(b.t, 5*time.Second, func() string { // once the lease is over
			got, err := b.l.Admit(b.ctx, a)
			if err != nil || got.FormID != "P" {
				return fmt.Sprintf("%+v, %v", got, err)
			}
			return ""
		})
		p.settle(badFormID(a), "retrying")
		p.settle(retrying(late), "retrying")
		p.has("the late one returned its use")
		if got := p.submits("P", 2); got != ledger.FormIDRepeated {
			b.t.Errorf("submitted once more: %s", got)
		}
	})
}

func TestWhatBecomesOfAHeldFormID(t *testing.T) {
	each(t, func(b *bundle) {
		for name, end := range endings {
			p := b.person(name)
			p.submits("F", 1)
			a := p.template("m", "")
			for range 2 {
				p.holdsFormID(a, "F")
				p.has("held")
			}
			b.settleRepeated(end(a), a)
			if spends[name] {
				p.has("settled")
			} else {
				p.has("settled", "F")
			}
		}
	})
}

func TestResendHasTheSameFormID(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.submitted("F", 1, 2*time.Hour)
		a := p.template("m", "")
		p.holdsFormID(a, "F")
		p.submitted("earlier", 1, time.Hour)
		p.settle(settlement(a, ledger.Doubt, ""), "retrying")
		p.holdsFormID(next(a), "F")

		died := b.person("died")
		died.submits("F", 1)
		died.submits("other", 1)
		a = died.template("m", "")
		if got := b.dies(a); got.Verdict != ledger.Go || got.FormID != "F" {
			b.t.Fatalf("after its worker's death: %+v", got)
		}
		died.has("held by the next attempt", "other")
	})
}

// A form id that came with the notification is tried first, stored or not. If
// WeChat does not take it, those that are stored follow.
func TestGivenFormID(t *testing.T) {
	each(t, func(b *bundle) {
		stored := b.person("stored")
		stored.submitted("other", 1, time.Hour)
		stored.submitted("given", 1, 2*time.Hour)
		a := stored.template("m", "given")
		stored.holdsFormID(a, "given")
		stored.has("held", "other")
		stored.settle(retrying(a), "retrying")
		stored.has("returned", "other", "given")
		a = next(a)
		stored.holdsFormID(a, "given")
		stored.settle(badFormID(a), "retrying")
		a = next(a)
		stored.holdsFormID(a, "other")
		stored.settle(retrying(a), "retrying")
		stored.has("the refused one is gone, the other back", "other")
		stored.holdsFormID(next(a), "other")

		never := b.person("never stored")
		a = never.template("m", "given")
		never.holdsFormID(a, "given")
		never.settle(retrying(a), "retrying")
		never.has("nothing to return")
		a = next(a)
		never.holdsFormID(a, "given")
		never.settle(badFormID(a), "retrying")
		if got := never.admit(next(a), ledger.Ended); got.Reason != errcode.ReasonNoFormID {
			b.t.Fatalf("%+v", got)
		}
	})
}

// Nothing is left for the resend of a message that may have been delivered.
func TestNoFormIDAfterALostAnswer(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.submits("F", 1)
		a := p.template("m", "")
		p.holdsFormID(a, "F")
		p.settle(settlement(a, ledger.Doubt, ""), "retrying")
		a = next(a)
		p.holdsFormID(a, "F")
		p.settle(badFormID(a), "retrying")
		if got := p.admit(next(a), ledger.Ended); got.Status != "unknown" {
			b.t.Fatalf("%+v", got)
		}
	})
}

func TestFormIDsOfOneUserAreBounded(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		for i := range 130 {
			p.submitted(fmt.Sprint("F", i), 1, time.Duration(i+1)*time.Minute)
		}
		got := p.allows().FormIDs
		if len(got) != 128 || got[0].FormID != "F2" {
			b.t.Fatalf("%d are kept, from %s on", len(got), got[0].FormID)
		}
	})
}
