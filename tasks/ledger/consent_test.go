package ledger_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

const template = "T4MmjbKJBk7BuD7HcS1VQZ8_NlUyFq3sVYlsVoWpDJk"

// noon is when the users of these tests begin to answer.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// person is a bundle with one user of the app.
type person struct {
	*bundle
	openID string
}

func (b *bundle) person(name string) *person { return &person{b, "o-" + name} }

func (p *person) tag() string { return ledger.Tag(app, p.openID) }

// message is the first attempt for a one-time subscription message whose grace is over.
func (p *person) message(id string, need ledger.Need) ledger.Admission {
	a := admission(ledger.Ref{App: app, ID: p.openID + "." + id, OpenID: p.openID})
	a.Need, a.TemplateID, a.Type, a.GraceFrom = need, template, tasks.OneTime, a.CreatedAt.Add(-time.Hour)
	return a
}

// next is another attempt for the same notification.
func next(a ledger.Admission) ledger.Admission {
	a.Attempt = ledger.NewAttempt()
	return a
}

// says records what the user answered, each answer under a source of its own: "a5"
// accepts and "r5" refuses five seconds after noon.
func (p *person) says(answers ...string) {
	p.t.Helper()
	for i, one := range answers {
		seconds := 0
		if _, err := fmt.Sscan(one[1:], &seconds); err != nil {
			p.t.Fatal(err)
		}
		p.answer(fmt.Sprint(one, "#", i), seconds, one[0] == 'a', tasks.OneTime)
	}
}

func (p *person) answer(source string, seconds int, accepted bool, sort tasks.TemplateType) ledger.Granted {
	p.t.Helper()
	got, err := p.l.Grant(p.ctx, ledger.Answers{
		App: app, OpenID: p.openID, Source: source, At: noon.Add(time.Duration(seconds) * time.Second),
		Answers: []ledger.Answer{{TemplateID: template, Accepted: accepted, Type: sort}},
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return got
}

func (p *person) allows() ledger.Credits {
	p.t.Helper()
	c, err := p.l.Credits(p.ctx, app, p.openID)
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *person) credits() int {
	p.t.Helper()
	n := 0
	for _, s := range p.allows().Subscriptions {
		n += s.Credits
	}
	return n
}

// left fails unless the user has so many credits.
func (p *person) left(want int, when string) {
	p.t.Helper()
	if got := p.credits(); got != want {
		p.t.Fatalf("%s: %s: %d credits left, want %d", p.openID, when, got, want)
	}
}

// recordOf is the stored form of a notification's record.
func (b *bundle) recordOf(r ledger.Ref) string {
	b.t.Helper()
	return b.rdb.Get(b.ctx, b.recordKey(r)).Val()
}

func (b *bundle) recordKey(r ledger.Ref) string {
	return b.key("r", ledger.Tag(r.App, r.OpenID)) + ":" + ledger.Tag(r.App, r.ID)
}

// hold is what the record of a notification says that it holds.
func (b *bundle) hold(r ledger.Ref) string {
	b.t.Helper()
	if fields := strings.Split(b.recordOf(r), ";"); len(fields) == 16 {
		return fields[15]
	}
	return ""
}

// send lets one message through to its acceptance.
func (p *person) send(a ledger.Admission) {
	p.t.Helper()
	p.admit(a, ledger.Go)
	p.settle(accepted(a, ""), "accepted")
}

func retrying(a ledger.Admission) ledger.Settlement { return settlement(a, ledger.Retry, "") }

func accepted(a ledger.Admission, msgID string) ledger.Settlement {
	s := settlement(a, ledger.End, tasks.Accepted)
	s.MsgID = msgID
	return s
}

// refused is WeChat's 43101.
func refused(a ledger.Admission) ledger.Settlement {
	s := settlement(a, ledger.End, tasks.Rejected)
	s.Errcode, s.Revoked = 43101, true
	return s
}

// endings are the ways an attempt can end.
var endings = map[string]func(ledger.Admission) ledger.Settlement{
	"accepted": func(a ledger.Admission) ledger.Settlement { return accepted(a, "") },
	"rejected": func(a ledger.Admission) ledger.Settlement { return settlement(a, ledger.End, tasks.Rejected) },
	"dead":     func(a ledger.Admission) ledger.Settlement { return settlement(a, ledger.End, tasks.Dead) },
	"retry":    retrying,
	"release":  func(a ledger.Admission) ledger.Settlement { return settlement(a, ledger.Release, "") },
	"doubt":    func(a ledger.Admission) ledger.Settlement { return settlement(a, ledger.Doubt, "") },
	"drop": func(a ledger.Admission) ledger.Settlement {
		s := settlement(a, ledger.Doubt, "")
		s.DropAfterUnknown = true
		return s
	},
	"horizon": func(a ledger.Admission) ledger.Settlement {
		s := retrying(a)
		s.HorizonBase = time.Now().Add(-2 * time.Hour)
		return s
	},
	"unlisted": func(a ledger.Admission) ledger.Settlement {
		s := retrying(a)
		s.UnlistedLimit = 1
		return s
	},
}

// spends says which endings use up what is held: the message was sent or may have
// been, or (doubt) its resend needs it.
var spends = map[string]bool{"accepted": true, "drop": true, "doubt": true}

// settleRepeated records an ending as go-redis does that lost the answers, and lets
// the admission arrive once more after it.
func (b *bundle) settleRepeated(s ledger.Settlement, a ledger.Admission) {
	b.t.Helper()
	for range 3 {
		if got, err := b.l.Settle(b.ctx, s); err != nil || !got.Applied {
			b.t.Fatal(got, err)
		}
	}
	if got, err := b.l.Admit(b.ctx, a); err != nil || got.Verdict == ledger.Go {
		b.t.Fatalf("an admission after its own settlement: %+v, %v", got, err)
	}
}
