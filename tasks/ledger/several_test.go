package ledger_test

import (
	"context"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// A message to several ends when all of them were erased since it was made.
func TestForgottenRecipients(t *testing.T) {
	each(t, func(b *bundle) {
		made := time.Now().Add(-time.Minute)
		for _, openID := range []string{"oA", "oB"} {
			if err := b.l.Erase(b.ctx, app, openID); err != nil {
				b.t.Fatal(err)
			}
		}
		gone, err := b.l.Forgotten(b.ctx, app, []string{"oA", "oC", "oB"}, made)
		if err != nil || fmt.Sprint(gone) != "[oA oB]" {
			b.t.Errorf("%v, %v", gone, err)
		}
		if gone, err := b.l.Forgotten(b.ctx, app, []string{"oA"}, time.Now().Add(time.Hour)); err != nil || len(gone) != 0 {
			b.t.Errorf("made after the erasure: %v, %v", gone, err)
		}
		a := admission(ref("several"))
		a.Forgotten = true
		if got := b.admit(a, ledger.Ended); got.Status != tasks.Status(tasks.Canceled) || got.Reason != errcode.ReasonForgotten {
			b.t.Errorf("%+v", got)
		}
	})
}

// cutOff is a hook that loses the answers of a pipeline after the first.
type cutOff struct{ redis.Hook }

func (cutOff) DialHook(next redis.DialHook) redis.DialHook          { return next }
func (cutOff) ProcessHook(next redis.ProcessHook) redis.ProcessHook { return next }

func (cutOff) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		for _, cmd := range cmds[1:] {
			cmd.SetErr(io.ErrUnexpectedEOF)
		}
		return err
	}
}

// Of one whom nobody could ask about it is not known that he was not erased, even if an
// answer about another came: a node of a Cluster may be away alone.
func TestForgottenRecipientsThatCannotBeRead(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	l := ledger.New(rdb, "", ledger.Options{})
	if err := l.Erase(t.Context(), app, "oB"); err != nil {
		t.Fatal(err)
	}
	rdb.AddHook(cutOff{})
	if gone, err := l.Forgotten(t.Context(), app, []string{"oA", "oB"}, time.Now().Add(-time.Minute)); err == nil {
		t.Errorf("gone are %v, and no error", gone)
	}
}

func TestErasuresOfSeveral(t *testing.T) {
	t.Parallel()
	at := time.Now()
	due := ledger.Erasures{ledger.Tag(app, "oA"): fmt.Sprint(at.UnixMilli()), ledger.Tag(app, "oB"): fmt.Sprint(at.UnixMilli())}
	for _, c := range []struct {
		openIDs  []string
		made     time.Time
		any, all bool
	}{
		{nil, at.Add(-time.Hour), false, false},
		{[]string{"oA"}, at.Add(-time.Hour), true, true},
		{[]string{"oA", "oC"}, at.Add(-time.Hour), true, false},
		{[]string{"oA", "oB"}, at.Add(-time.Hour), true, true},
		{[]string{"oA", "oB"}, at.Add(time.Hour), false, false},
	} {
		if got, all := due.CoverAny(app, c.openIDs, c.made), due.CoverAll(app, c.openIDs, c.made); got != c.any || all != c.all {
			t.Errorf("%v: any %v, all %v", c.openIDs, got, all)
		}
	}
}

// The end of a card's time has a reason of its own.
func TestWhyItExpires(t *testing.T) {
	each(t, func(b *bundle) {
		for id, want := range map[string]errcode.Reason{"own": errcode.ReasonNotAfter, "card": errcode.ReasonCardWindow} {
			a := admission(ref(id))
			a.NotAfter = time.Now().Add(-time.Hour)
			if id == "card" {
				a.LateReason = errcode.ReasonCardWindow
			}
			if got := b.admit(a, ledger.Ended); got.Status != tasks.Status(tasks.Expired) || got.Reason != want {
				b.t.Errorf("%s: %+v", id, got)
			}
		}
	})
}

// A card has no msgid; the push about it names the card and its state.
func TestReceiptsOfCards(t *testing.T) {
	each(t, func(b *bundle) {
		first, second := ledger.CardReceipt(tasks.CardTaxi, "n", 1), ledger.CardReceipt(tasks.CardTaxi, "n", 2)
		if first == second {
			b.t.Fatal("two states have one name")
		}
		for id, name := range map[string]string{"first": first, "second": second} {
			a := admission(ref(id))
			b.claim(a.Ref)
			b.admit(a, ledger.Go)
			s := settlement(a, ledger.End, tasks.Accepted)
			s.Receipt = name
			b.settle(s, "accepted")
		}
		joined, err := b.l.Receive(b.ctx, ledger.Receipt{App: app, OpenID: ref("second").OpenID, MsgID: second, ErrorCode: -1004, ErrorStatus: "refused"})
		if err != nil || joined != ledger.ReceiptJoined {
			b.t.Fatal(joined, err)
		}
		if r := b.record(ref("second")); r.Status != tasks.StatusUndelivered || r.MsgID != "" || r.Errcode != -1004 {
			b.t.Errorf("%+v", r)
		}
		if r := b.record(ref("first")); r.Status != "accepted" {
			b.t.Errorf("%+v", r)
		}
	})
}
