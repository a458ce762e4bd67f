package ledger_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

const msgID = "1988810812324364291"

func (p *person) receives(msgID string, delivered bool, want ledger.Joined) {
	p.t.Helper()
	r := ledger.Receipt{App: app, OpenID: p.openID, MsgID: msgID, Delivered: delivered}
	if !delivered {
		r.ErrorCode, r.ErrorStatus = 1, "user refused; 用户 or so"
	}
	if got, err := p.l.Receive(p.ctx, r); err != nil || got != want {
		p.t.Fatalf("%s: receipt %s, %v, want %s", p.openID, got, err, want)
	}
}

// admitted is a message that is being sent.
func (p *person) admitted(id string) ledger.Admission {
	p.t.Helper()
	a := p.message(id, ledger.NeedNothing)
	p.claim(a.Ref)
	p.admit(a, ledger.Go)
	return a
}

func TestReceiptAfterTheAnswer(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		a := p.admitted("m")
		p.settle(accepted(a, msgID), "accepted")
		p.receives(msgID, true, ledger.ReceiptJoined)
		p.receives(msgID, true, ledger.ReceiptRepeated)
		p.receives(msgID, false, ledger.ReceiptRepeated)
		if got := b.settle(accepted(a, msgID), tasks.StatusDelivered); !got.Applied { // its repeated command
			b.t.Fatalf("%+v", got)
		}
		rec := b.record(a.Ref)
		if rec.Status != tasks.StatusDelivered || rec.MsgID != msgID || rec.Attempts != 1 || rec.Errcode != 0 {
			b.t.Fatalf("%+v", rec)
		}
		if got := p.admit(next(a), ledger.Ended); got.Status != tasks.StatusDelivered || got.Changed {
			b.t.Fatalf("%+v", got)
		}
		if text := b.recordOf(a.Ref); len(text) > 44 {
			b.t.Errorf("%d bytes: %s", len(text), text)
		}
	})
}

func TestReceiptBeforeTheAnswer(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		a := p.admitted("m")
		p.receives(msgID, true, ledger.ReceiptEarly)
		p.receives(msgID, true, ledger.ReceiptRepeated)
		if rec := b.record(a.Ref); rec.Status != tasks.StatusSending {
			b.t.Fatalf("%+v", rec)
		}
		for range 2 {
			b.settle(accepted(a, msgID), tasks.StatusDelivered)
		}
		p.receives(msgID, true, ledger.ReceiptRepeated)
		if rec := b.record(a.Ref); rec.Status != tasks.StatusDelivered || rec.MsgID != msgID {
			b.t.Fatalf("%+v", rec)
		}
	})
}

func TestUndelivered(t *testing.T) {
	each(t, func(b *bundle) {
		for _, early := range []bool{false, true} {
			p := b.person(map[bool]string{true: "early", false: "after"}[early])
			a := p.admitted("m")
			if early {
				p.receives(msgID, false, ledger.ReceiptEarly)
				p.settle(accepted(a, msgID), tasks.StatusUndelivered)
			} else {
				p.settle(accepted(a, msgID), "accepted")
				p.receives(msgID, false, ledger.ReceiptJoined)
			}
			rec := b.record(a.Ref)
			if rec.Status != tasks.StatusUndelivered || rec.MsgID != msgID || rec.Errcode != 1 ||
				rec.Reason != errcode.ReasonUndelivered || rec.Detail != "user refused  or so" {
				b.t.Errorf("%s: %+v", p.openID, rec)
			}
		}
	})
}

// The answer of an attempt that was given up comes after its receipt.
func TestReceiptOfALateAcceptance(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		a := p.message("m", ledger.NeedNothing)
		a.DropAfterUnknown = true
		p.claim(a.Ref)
		p.admit(a, ledger.Go)
		drop := settlement(a, ledger.Doubt, "")
		drop.DropAfterUnknown = true
		p.settle(drop, "unknown")
		p.receives(msgID, true, ledger.ReceiptEarly)
		late := a
		late.Attempt = ledger.NewAttempt() // another process's, which lost its lease
		if got := b.settle(accepted(late, msgID), tasks.StatusDelivered); !got.Late {
			b.t.Fatalf("%+v", got)
		}
	})
}

func TestReceiptOfAnother(t *testing.T) {
	each(t, func(b *bundle) {
		ann, bob := b.person("ann"), b.person("bob")
		a := ann.admitted("m")
		ann.settle(accepted(a, msgID), "accepted")
		bob.receives(msgID, true, ledger.ReceiptEarly)
		ann.receives("7", true, ledger.ReceiptEarly) // another program's message
		if rec := b.record(a.Ref); rec.Status != "accepted" {
			b.t.Fatalf("%+v", rec)
		}
		ann.receives(msgID, true, ledger.ReceiptJoined)
	})
}

func TestReceiptOfAForgottenMessage(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		a := p.admitted("m")
		p.settle(accepted(a, msgID), "accepted")
		b.rdb.Del(b.ctx, b.recordKey(a.Ref))
		p.receives(msgID, true, ledger.ReceiptGone)
		if n := b.rdb.Exists(b.ctx, b.recordKey(a.Ref)).Val(); n != 0 {
			b.t.Error("a receipt brought a record back")
		}
	})
}

// A receipt neither prolongs nor shortens the life of what it joins, and one that
// waits does not wait for ever.
func TestReceiptsKeepLives(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		a := p.admitted("m")
		p.settle(accepted(a, msgID), "accepted")
		const left = 1234 * time.Second
		for _, key := range b.keys() {
			b.rdb.PExpire(b.ctx, key, left)
		}
		p.receives(msgID, true, ledger.ReceiptJoined)
		p.receives("7", true, ledger.ReceiptEarly)
		early := p.admitted("early")
		p.receives("8", false, ledger.ReceiptEarly)
		p.settle(accepted(early, "8"), tasks.StatusUndelivered)
		for key, most := range map[string]time.Duration{
			b.recordKey(a.Ref): left, b.key("m", p.tag()) + ":" + msgID: left,
			b.recordKey(early.Ref): 24 * time.Hour, b.key("m", p.tag()) + ":8": 6 * time.Hour,
			b.key("m", p.tag()) + ":7": time.Hour,
		} {
			if ttl := b.rdb.PTTL(b.ctx, key).Val(); ttl > most || ttl < most-time.Minute {
				b.t.Errorf("%s is kept for %v, want %v", key, ttl, most)
			}
		}
	})
}

// All keys of one recipient share a slot of Redis Cluster, and none names them.
func TestKeysOfARecipient(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("CANARY")
		p.says("a1")
		p.submits("F", 2)
		a := p.message("m", ledger.NeedSubscription)
		p.admit(a, ledger.Go)
		p.receives(msgID, true, ledger.ReceiptEarly)
		p.settle(accepted(a, msgID), tasks.StatusDelivered)
		p.admit(p.template("t", ""), ledger.Go)
		for _, key := range b.keys() {
			if !strings.Contains(key, "{"+p.tag()+"}") || strings.Contains(key, "CANARY") {
				b.t.Errorf("key %s", key)
			}
		}
	})
}
