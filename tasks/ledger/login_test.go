package ledger_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

const (
	code = "0e3wYb000abcde1Xyz"
	hash = "0123456789abcdef"
)

// exchange is the attempt to exchange a login code.
func exchange(id string) ledger.Admission {
	a := admission(ledger.Ref{App: app, ID: id, OpenID: ledger.CodeRecipient(code), Exchanged: true})
	a.Harmless = true
	return a
}

func (b *bundle) claimCode(id, want string) {
	b.t.Helper()
	if got, err := b.l.ClaimCode(b.ctx, app, id, code, hash); err != nil || got != want {
		b.t.Fatalf("claim: openid %q, %v, want %q", got, err, want)
	}
}

func (b *bundle) exchanged(id, openID string) {
	b.t.Helper()
	if err := b.l.Exchanged(b.ctx, app, id, code, hash, openID); err != nil {
		b.t.Fatal(err)
	}
}

func TestLoginCode(t *testing.T) {
	each(t, func(b *bundle) {
		p := b.person("ann")
		p.says("a1")
		for range 2 {
			b.claimCode("m", "")
		}
		a := exchange("m")
		b.admit(a, ledger.Go)
		b.admit(exchange("m"), ledger.Busy)
		if rec := b.record(a.Ref); rec.Status != tasks.StatusSending {
			b.t.Fatalf("%+v", rec)
		}
		for range 2 { // repeated
			b.exchanged("m", p.openID)
		}
		for range 2 { // also by the next attempt, when the worker died right here
			b.claimCode("m", p.openID)
		}
		if keys := b.keys(); len(keys) != 2 { // the pointer and the user's credit
			b.t.Errorf("the exchange left %v", keys)
		}
		known := p.message("m", ledger.NeedSubscription)
		known.ID, known.Exchanged = "m", true
		if got := b.admit(known, ledger.Go); got.Attempts != 1 || got.Unknowns != 0 {
			b.t.Fatalf("%+v", got)
		}
		p.left(0, "held")
		b.settle(accepted(known, msgID), "accepted")
		if rec := b.record(known.Ref); rec.Status != "accepted" || rec.MsgID != msgID {
			b.t.Fatalf("%+v", rec)
		}
	})
}

// The openid stands in the pointer's value: it must go with the outcome, also when
// the task comes back after it.
func TestLoginCodesOpenIDIsForgotten(t *testing.T) {
	each(t, func(b *bundle) {
		a := exchange("m")
		a.OpenID, a.Harmless = "o-ann", false
		b.claimCode("m", "")
		b.exchanged("m", a.OpenID)
		b.admit(a, ledger.Go)
		b.settle(accepted(a, ""), "accepted")
		b.forgottenWithin("m", 24*time.Hour)
		b.claimCode("m", a.OpenID)
		b.admit(next(a), ledger.Ended)
		b.forgottenWithin("m", 24*time.Hour)
		for _, key := range b.keys() {
			if strings.Contains(key, a.OpenID) || strings.Contains(key, code) {
				b.t.Errorf("key %s", key)
			}
		}
	})
}

func (b *bundle) forgottenWithin(id string, most time.Duration) {
	b.t.Helper()
	if ttl := b.rdb.PTTL(b.ctx, b.key("p", ledger.Tag(app, id))).Val(); ttl <= 0 || ttl > most {
		b.t.Errorf("the pointer lasts %v, want %v", ttl, most)
	}
}

func TestLoginCodeOfOtherContent(t *testing.T) {
	each(t, func(b *bundle) {
		other := func() error {
			_, err := b.l.ClaimCode(b.ctx, app, "m", code, "fedcba9876543210")
			return err
		}
		b.claimCode("m", "")
		if err := other(); !errors.Is(err, ledger.ErrConflict) {
			b.t.Error(err)
		}
		b.exchanged("m", "o-ann")
		if err := other(); !errors.Is(err, ledger.ErrConflict) {
			b.t.Error(err)
		}
		b.claimCode("m", "o-ann")
	})
}

func TestCanceledBeforeTheExchange(t *testing.T) {
	each(t, func(b *bundle) {
		b.claimCode("m", "")
		a := exchange("m")
		b.admit(a, ledger.Go)
		b.settle(retrying(a), "retrying")
		if ok, status, err := b.l.CancelKnown(b.ctx, app, "m", a.Kind, a.CreatedAt); !ok || err != nil {
			b.t.Fatal(ok, status, err)
		}
		b.claimCode("m", "")
		if got := b.admit(next(a), ledger.Ended); got.Status != "canceled" || !got.Changed {
			b.t.Fatalf("%+v", got)
		}
		b.forgottenWithin("m", 24*time.Hour)
	})
}

func TestCanceledAfterTheExchange(t *testing.T) {
	each(t, func(b *bundle) {
		b.claimCode("m", "")
		b.exchanged("m", "o-ann")
		a := exchange("m")
		if ok, status, err := b.l.CancelKnown(b.ctx, app, "m", a.Kind, a.CreatedAt); !ok || err != nil {
			b.t.Fatal(ok, status, err)
		}
		b.claimCode("m", "o-ann")
		a.OpenID, a.Harmless = "o-ann", false
		if got := b.admit(a, ledger.Ended); got.Status != "canceled" {
			b.t.Fatalf("%+v", got)
		}
	})
}

// A worker dies while it exchanges a code: nothing was sent, so no doubt is noted,
// however often.
func TestDeathDuringTheExchange(t *testing.T) {
	each(t, func(b *bundle) {
		for name, drop := range map[string]bool{"resend": false, "drop": true} {
			for n := 1; n <= 2; n++ {
				a := exchange(fmt.Sprint(name, n))
				a.OpenID += name + fmt.Sprint(n)
				a.DropAfterUnknown = drop
				got := b.dies(a)
				if got.Verdict != ledger.Go || got.Unknowns != 0 || got.Attempts != 2 || !got.Died {
					b.t.Fatalf("%s: %+v", a.ID, got)
				}
			}
		}
	})
}

// Retried as long as the exchange fails, and no claim runs out meanwhile.
func TestClaimOfACodeLastsUntilTheOutcome(t *testing.T) {
	each(t, func(b *bundle) {
		b.claimCode("m", "")
		key := b.key("p", ledger.Tag(app, "m"))
		b.rdb.PExpire(b.ctx, key, time.Minute)
		b.claimCode("m", "")
		if ttl := b.rdb.PTTL(b.ctx, key).Val(); ttl < 40*24*time.Hour {
			b.t.Errorf("claimed for %v", ttl)
		}
		b.rdb.PExpire(b.ctx, key, time.Millisecond)
		taskstest.Eventually(b.t, 5*time.Second, func() string {
			return strings.Repeat("still there", int(b.rdb.Exists(b.ctx, key).Val()))
		})
		b.claimCode("m", "")
	})
}
