package ledger_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// stored is the record of a recipient's only notification as it stands in Redis.
func (b *bundle) stored(r ledger.Ref) (key, text string) {
	b.t.Helper()
	for _, key := range b.keys() {
		if !strings.HasPrefix(key, b.key("r", ledger.Tag(r.App, r.OpenID))) {
			continue
		}
		text, err := b.rdb.Get(b.ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			b.t.Fatal(err)
		}
		return key, text
	}
	b.t.Fatalf("no record of %s", r.ID)
	return "", ""
}

// forgets puts a record back as it was, as a new master does that never saw the rest.
func (b *bundle) forgets(key, text string) {
	b.t.Helper()
	if err := b.rdb.Set(b.ctx, key, text, 0).Err(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) resettle(s ledger.Settlement, attempt int, at time.Time, want bool) {
	b.t.Helper()
	if changed, err := b.l.Resettle(b.ctx, s, attempt, at); err != nil || changed != want {
		b.t.Fatalf("resettle: changed %v, %v, want %v", changed, err, want)
	}
}

func TestLostSettlementIsRecordedOnceMore(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("a"))
		b.claim(a.Ref)
		b.admit(a, ledger.Go)
		key, sending := b.stored(a.Ref)
		s := settlement(a, ledger.End, tasks.Accepted)
		s.MsgID = "123"
		at := b.settle(s, "accepted").At
		b.resettle(s, 1, at, false)
		b.forgets(key, sending)
		b.resettle(s, 1, at, true)
		b.resettle(s, 1, at, false)
		if r := b.record(a.Ref); r.Status != "accepted" || r.MsgID != "123" || r.Attempts != 1 {
			b.t.Errorf("%+v", r)
		}
	})
}

// The admission was lost as well, and an earlier attempt is what the new master knows.
func TestLostAttemptIsRecordedOnceMore(t *testing.T) {
	each(t, func(b *bundle) {
		first := admission(ref("a"))
		b.claim(first.Ref)
		b.admit(first, ledger.Go)
		failed := settlement(first, ledger.Retry, "")
		failedAt := b.settle(failed, tasks.StatusRetrying).At
		key, retrying := b.stored(first.Ref)
		second := admission(ref("a"))
		b.admit(second, ledger.Go)
		b.resettle(failed, 1, failedAt, false) // overtaken
		s := settlement(second, ledger.End, tasks.Rejected)
		s.Errcode = 43101
		at := b.settle(s, "rejected").At
		b.resettle(failed, 1, failedAt, false)
		b.forgets(key, retrying)
		b.resettle(failed, 1, failedAt, false)
		b.resettle(s, 2, at, true)
		if r := b.record(first.Ref); r.Status != "rejected" || r.Errcode != 43101 || r.Attempts != 2 {
			b.t.Errorf("%+v", r)
		}
	})
}

func TestLostRecordIsRecordedOnceMore(t *testing.T) {
	each(t, func(b *bundle) {
		for id, next := range map[string]ledger.Next{"ended": ledger.End, "failed": ledger.Retry, "held": ledger.Hold} {
			a := admission(ref(id))
			b.claim(a.Ref)
			b.admit(a, ledger.Go)
			s := settlement(a, next, tasks.Accepted)
			settled, err := b.l.Settle(b.ctx, s)
			if err != nil {
				b.t.Fatal(err)
			}
			before := b.record(a.Ref)
			key, _ := b.stored(a.Ref)
			if err := b.rdb.Del(b.ctx, key).Err(); err != nil {
				b.t.Fatal(err)
			}
			b.resettle(s, 1, settled.At, true)
			b.resettle(s, 1, settled.At, false)
			if r := b.record(a.Ref); r.Status != before.Status || r.Attempts != before.Attempts {
				b.t.Errorf("%s: %+v, want %+v", id, r, before)
			}
		}
	})
}

// Two attempts of one notification were settled within the seconds that the new master does
// not know, perhaps by two workers: the first one must not look as if it came after the second.
func TestLostRecordOfTwoAttemptsIsRecordedOnceMore(t *testing.T) {
	each(t, func(b *bundle) {
		for id, earlier := range map[string]ledger.Next{"failed": ledger.Retry, "held": ledger.Hold, "doubted": ledger.Doubt, "released": ledger.Release} {
			first := admission(ref(id))
			b.claim(first.Ref)
			b.admit(first, ledger.Go)
			one := settlement(first, earlier, "")
			oneSettled, err := b.l.Settle(b.ctx, one)
			if err != nil {
				b.t.Fatal(err)
			}
			second := next(first)
			number := b.admit(second, ledger.Go).Attempts
			two := settlement(second, ledger.End, tasks.Rejected)
			two.Errcode = 43101
			at := b.settle(two, "rejected").At
			before := b.record(first.Ref)
			key, _ := b.stored(first.Ref)
			if err := b.rdb.Del(b.ctx, key).Err(); err != nil {
				b.t.Fatal(err)
			}
			b.resettle(one, 1, oneSettled.At, true)
			b.resettle(two, number, at, true)
			b.resettle(one, 1, oneSettled.At, false)
			if r := b.record(first.Ref); r.Status != "rejected" || r.Errcode != 43101 || r.Attempts != before.Attempts || r.Unknowns != before.Unknowns {
				b.t.Errorf("%s: %+v, want %+v", id, r, before)
			}
		}
	})
}

// A record that was erased for good does not come back.
func TestErasedRecordIsNotRecordedOnceMore(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("a"))
		b.claim(a.Ref)
		b.admit(a, ledger.Go)
		s := settlement(a, ledger.End, tasks.Accepted)
		at := b.settle(s, "accepted").At
		if err := b.l.Erase(b.ctx, a.App, a.OpenID); err != nil {
			b.t.Fatal(err)
		}
		key, _ := b.stored(a.Ref)
		if err := b.rdb.Del(b.ctx, key).Err(); err != nil {
			b.t.Fatal(err)
		}
		b.resettle(s, 1, at, false)
	})
}

// Of a message that must not go twice, nobody knows whether an attempt reached the user,
// and the new master knows neither the attempt nor that.
func TestLostDoubtIsRecordedOnceMore(t *testing.T) {
	each(t, func(b *bundle) {
		first := admission(ref("a"))
		first.DropAfterUnknown = true
		b.claim(first.Ref)
		b.admit(first, ledger.Go)
		b.settle(settlement(first, ledger.Retry, ""), tasks.StatusRetrying)
		key, retrying := b.stored(first.Ref)
		second := next(first)
		b.admit(second, ledger.Go)
		s := settlement(second, ledger.Doubt, "")
		at := b.settle(s, "unknown").At
		b.forgets(key, retrying)
		b.resettle(s, 2, at, true)
		b.resettle(s, 2, at, false)
		b.admit(next(first), ledger.Ended)
		if r := b.record(first.Ref); r.Status != "unknown" || r.Attempts != 2 || r.Unknowns != 1 {
			b.t.Errorf("%+v", r)
		}
	})
}

// A dead letter that was replayed waits for its next attempt, whose number is lower.
func TestReplayIsNotUndone(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("a"))
		b.claim(a.Ref)
		b.admit(a, ledger.Go)
		s := settlement(a, ledger.End, tasks.Dead)
		at := b.settle(s, "dead").At
		for !b.record(a.Ref).UpdatedAt.After(at) { // both may be within a millisecond
			replay := next(a)
			b.admit(replay, ledger.Go)
			b.settle(settlement(replay, ledger.Hold, ""), tasks.StatusRetrying)
		}
		b.resettle(s, 1, at, false)
		if r := b.record(a.Ref); r.Status == "dead" {
			b.t.Errorf("%+v", r)
		}
	})
}
