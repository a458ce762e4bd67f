package ledger_test

import (
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

func (p *person) erase() {
	p.t.Helper()
	if err := p.l.Erase(p.ctx, app, p.openID); err != nil {
		p.t.Fatal(err)
	}
}

// later is a message made after now, whatever the clocks' last millisecond says.
func later(a ledger.Admission) ledger.Admission {
	a.CreatedAt = time.Now().Add(time.Second)
	return a
}

// now answers at the time of Redis, so that it is after an erasure.
func (p *person) now(source string) {
	p.t.Helper()
	got, err := p.l.Grant(p.ctx, ledger.Answers{
		App: app, OpenID: p.openID, Source: source, Answers: []ledger.Answer{{TemplateID: template, Accepted: true}},
	})
	if err != nil || got.Accepted != 1 {
		p.t.Fatal(got, err)
	}
}

func TestErasureStopsWhatIsEnqueued(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1", "a2", "a3")
		p.submits("F", 2)
		before, sent := p.message("before", ledger.NeedNothing), p.message("sent", ledger.NeedSubscription)
		scheduled := p.message("scheduled", ledger.NeedSubscription)
		scheduled.SendAt = time.Now().Add(time.Hour)
		p.admit(scheduled, ledger.Wait)
		p.admit(sent, ledger.Go)
		p.settle(settlement(sent, ledger.Doubt, ""), "retrying")
		p.erase()
		if got := p.allows(); len(got.Subscriptions)+len(got.FormIDs) != 0 {
			b.t.Errorf("still known: %+v", got)
		}
		for _, c := range []struct {
			a    ledger.Admission
			want tasks.Status
		}{{before, "canceled"}, {scheduled, "canceled"}, {next(sent), "unknown"}} {
			if got := p.admit(c.a, ledger.Ended); got.Status != c.want || got.Reason != "forgotten" {
				b.t.Errorf("%s: %+v", c.a.ID, got)
			}
		}
		p.now("again")
		p.send(later(p.message("after", ledger.NeedSubscription)))
		p.left(0, "sent")
	})
}

// An erasure while a message is being sent: nothing of what it held comes back, and
// what the user allows since stays.
func TestErasedWhileHeld(t *testing.T) {
	each(t, func(b *bundle) {
		ends := maps.Clone(endings)
		ends["43101"], ends["41029"] = refused, badFormID
		for name, end := range ends {
			p, q := b.person(name), b.person(name+" form")
			p.says("a1", "a2", "a3")
			q.submits("F", 2)
			a, f := p.message("m", ledger.NeedSubscription), q.template("m", "")
			p.admit(a, ledger.Go)
			q.admit(f, ledger.Go)
			p.erase()
			q.erase()
			for i := range 4 { // more than were there before
				p.now(fmt.Sprint("since", i))
			}
			q.submits("new", 1)
			b.settleRepeated(end(a), a)
			b.settleRepeated(end(f), f)
			p.left(4, "granted since")
			q.has("granted since", "new")
		}
	})
}

func TestErasedWhileHeldLeavesNothing(t *testing.T) {
	each(t, func(b *bundle) {
		ends := maps.Clone(endings)
		ends["43101"], ends["41029"] = refused, badFormID
		for name, end := range ends {
			p := b.person(name)
			p.submits("F", 1)
			p.says("a1")
			a := p.template("m", "")
			p.admit(a, ledger.Go)
			p.erase()
			b.settleRepeated(end(a), a)
			if got := b.rdb.HKeys(b.ctx, b.key("c", p.tag())).Val(); len(got) != 1 || got[0] != "x" {
				b.t.Errorf("%s: %v", name, got)
			}
			if n := b.rdb.Exists(b.ctx, b.key("f", p.tag())).Val(); n != 0 {
				b.t.Errorf("%s: a form id came back", name)
			}
		}
	})
}

// A push from before the erasure that comes after it.
func TestLatePushesOfAnErasedUser(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.erase()
		for _, yes := range []bool{true, false} {
			got, err := b.l.Grant(b.ctx, ledger.Answers{
				App: app, OpenID: p.openID, Source: fmt.Sprint("late", yes), At: time.Now().Add(-time.Minute),
				Answers: []ledger.Answer{{TemplateID: template, Accepted: yes}},
			})
			if err != nil || got != (ledger.Granted{}) {
				b.t.Errorf("%+v, %v", got, err)
			}
		}
		if got := b.rdb.HKeys(b.ctx, b.key("c", p.tag())).Val(); len(got) != 1 {
			b.t.Errorf("an erased user is known again: %v", got)
		}
	})
}

// snapshot is every key and value but those of an erased user's tag.
func (b *bundle) snapshot(without *person) map[string]string {
	b.t.Helper()
	all := map[string]string{}
	for _, key := range b.keys() {
		if !strings.Contains(key, without.tag()) {
			all[key] = b.rdb.Dump(b.ctx, key).Val()
		}
	}
	return all
}

// lives gives a user one of everything, made before a minute ago.
func (p *person) lives() {
	p.t.Helper()
	p.says("a1")
	p.submits("F", 2)
	for name, end := range endings {
		a := p.message(name, ledger.NeedNothing)
		a.CreatedAt = time.Now().Add(-2 * time.Minute)
		p.claim(a.Ref)
		p.admit(a, ledger.Go)
		s := end(a)
		if name == "accepted" {
			s.MsgID = "1"
		}
		if _, err := p.l.Settle(p.ctx, s); err != nil {
			p.t.Fatal(err)
		}
	}
	p.receives("1", true, ledger.ReceiptJoined)
	p.receives("2", true, ledger.ReceiptEarly)
}

func TestEraseRecords(t *testing.T) {
	each(t, func(b *bundle) {
		ann, bob := b.person("ann"), b.person("bob")
		bob.lives()
		others := b.snapshot(ann)
		ann.lives()
		mine := len(endings)
		ann.erase()
		if due := b.erasures(); len(due) != 0 {
			b.t.Fatalf("due at once, while attempts may be in flight: %v", due)
		}
		ann.erasedLongAgo()
		due := b.erasures()
		if len(due) != 1 || due[ann.tag()] == "" {
			b.t.Fatalf("due: %v", due)
		}
		n, err := b.l.EraseRecords(b.ctx, due)
		if err != nil || n != int64(mine) {
			b.t.Fatalf("%d records erased, want %d: %v", n, mine, err)
		}
		if err := b.l.Erased(b.ctx, due); err != nil || len(b.erasures()) != 0 {
			b.t.Fatal(b.erasures(), err)
		}
		if got := b.snapshot(ann); !maps.Equal(got, others) {
			b.t.Errorf("of others there were %d keys, and are %d", len(others), len(got))
		}
		left := 0
		for _, key := range b.keys() {
			if strings.Contains(key, ann.tag()) {
				left++
			}
		}
		if got := b.rdb.HKeys(b.ctx, b.key("c", ann.tag())).Val(); left != 1 || len(got) != 1 || got[0] != "x" {
			b.t.Errorf("%d keys are left of the user, among them %v", left, got)
		}
	})
}

func (b *bundle) erasures() map[string]string {
	b.t.Helper()
	due, err := b.l.Erasures(b.ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	return due
}

// erasedLongAgo moves the note of an erasure back, so that it is due.
func (p *person) erasedLongAgo() {
	p.t.Helper()
	ms, err := strconv.ParseInt(p.rdb.HGet(p.ctx, p.ns.Key("erase"), p.tag()).Val(), 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	p.rdb.HSet(p.ctx, p.ns.Key("erase"), p.tag(), ms-time.Minute.Milliseconds())
}

// The user came back before their old records were erased.
func TestEraseRecordsSparesWhatIsNewer(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.erase()
		p.erasedLongAgo()
		due := b.erasures()
		a := later(p.message("after", ledger.NeedNothing))
		p.claim(a.Ref)
		p.send(a)
		received := later(p.message("received", ledger.NeedNothing))
		p.claim(received.Ref)
		p.admit(received, ledger.Go)
		p.settle(accepted(received, "1"), "accepted")
		p.erase() // once more
		if n, err := b.l.EraseRecords(b.ctx, due); n != 0 || err != nil {
			b.t.Fatal(n, err)
		}
		if rec := b.record(a.Ref); rec.Status != "accepted" {
			b.t.Errorf("%+v", rec)
		}
		p.receives("1", true, ledger.ReceiptJoined)
		if err := b.l.Erased(b.ctx, due); err != nil {
			b.t.Fatal(err)
		}
		p.erasedLongAgo() // the second erasure is noted still
		if len(b.erasures()) != 1 {
			b.t.Error("a second erasure was forgotten")
		}
	})
}

func TestErasureOfALoginCodesUser(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		b.claimCode("m", "")
		b.exchanged("m", p.openID)
		a := exchange("m")
		a.OpenID, a.Harmless = p.openID, false
		b.admit(a, ledger.Go)
		b.settle(retrying(a), "retrying")
		p.erase()
		due := map[string]string{p.tag(): strconv.FormatInt(time.Now().UnixMilli(), 10)}
		if n, err := b.l.EraseRecords(b.ctx, due); n != 1 || err != nil {
			b.t.Fatal(n, err)
		}
		b.claimCode("m", "") // the openid is gone
	})
}

// A message to several dies after one of them was erased, whose records are long gone: its
// letter holds all openids, and is not kept.
func TestLettersWrittenAfterAnErasure(t *testing.T) {
	each(t, func(b *bundle) {
		e := deviceEnvelope(b, "oA", "oB")
		ref := ledger.Ref{App: app, ID: e.ID, OpenID: e.To.Key()}
		b.erasedAndDone("oB")
		a := admission(ref)
		a.Kind, a.CreatedAt = e.Kind, e.EnqueuedAt
		b.claim(ref)
		b.admit(a, ledger.Go)
		b.settle(settlement(a, ledger.End, tasks.Dead), "dead")
		letter, err := ledger.NewDeadLetter(ref, e)
		if err != nil {
			b.t.Fatal(err)
		}
		if err := b.l.KeepDead(b.ctx, letter); err != nil {
			b.t.Fatal(err)
		}
		b.eraseDue("oB")
		if _, err := b.l.DeadLetter(b.ctx, app, e.ID); !errors.Is(err, ledger.ErrNotFound) {
			b.t.Errorf("the letter is left: %v", err)
		}
	})
}

// What waited in a paused queue while its user was erased is met later, and ends: then the
// openid goes that its login code was exchanged for.
func TestLoginCodeMetAfterAnErasure(t *testing.T) {
	each(t, func(b *bundle) {
		b.claimCode("m", "")
		b.exchanged("m", "oA")
		a := exchange("m")
		a.OpenID, a.Harmless, a.CreatedAt = "oA", false, time.Now().Add(-time.Second)
		b.erasedAndDone("oA")
		b.admit(a, ledger.Ended)
		b.eraseDue("oA")
		b.claimCode("m", "") // the openid is gone
	})
}

func deviceEnvelope(b *bundle, openIDs ...string) tasks.Envelope {
	b.t.Helper()
	e, err := tasks.NewClient(b.rdb, b.ns).Seal(tasks.Notification{
		App: app, ID: "several", Kind: tasks.KindDevice, To: tasks.Recipient{OpenIDs: openIDs},
		TemplateID: "tmpl", SN: "sn", ModelID: "model", Data: map[string]string{"thing1": "v"},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	e.EnqueuedAt = e.EnqueuedAt.Add(-time.Second)
	return e
}

// erasedAndDone erases a user, and notes that nothing is left of them.
func (b *bundle) erasedAndDone(openID string) {
	b.t.Helper()
	p := &person{bundle: b, openID: openID}
	p.erase()
	p.erasedLongAgo()
	if err := b.l.Erased(b.ctx, b.erasures()); err != nil {
		b.t.Fatal(err)
	}
}

// eraseDue erases the records of a user who is noted.
func (b *bundle) eraseDue(openID string) {
	b.t.Helper()
	note := b.rdb.HGet(b.ctx, b.ns.Key("erase"), ledger.Tag(app, openID)).Val()
	if note == "" {
		b.t.Fatal("the erasure is not noted any more")
	}
	if _, err := b.l.EraseRecords(b.ctx, ledger.Erasures{ledger.Tag(app, openID): note}); err != nil {
		b.t.Fatal(err)
	}
}
