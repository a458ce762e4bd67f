package ledger_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

const app = "wxba5fad812f8e6fb9"

// bundle is one test's ledger and what it needs to make attempts.
type bundle struct {
	t   *testing.T
	ctx context.Context
	l   *ledger.Ledger
	rdb redis.UniversalClient
	// ns sets tests apart that share a Redis.
	ns tasks.Namespace
	// embedded is set on the Redis that `dev` uses, where a script takes milliseconds.
	embedded bool
}

// cluster is shared by the tests of this package.
var cluster taskstest.SharedCluster

func TestMain(m *testing.M) { os.Exit(cluster.RunTests(m)) }

// each runs a test on a real Redis, on a cluster of three masters, and on the
// embedded Redis that `dev` uses. Behind Sentinel the ledger sees a single server.
func each(t *testing.T, test func(b *bundle)) {
	t.Helper()
	t.Parallel()
	t.Run("redis-server", func(t *testing.T) {
		t.Parallel()
		test(newBundle(t, taskstest.StartRedis(t).Client(t), ""))
	})
	t.Run("batched", func(t *testing.T) {
		t.Parallel()
		rdb := taskstest.StartRedis(t).Client(t)
		b := newBundle(t, rdb, "")
		b.l = ledger.New(rdb, "", ledger.Options{Batch: true})
		test(b)
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		rdb, err := tasks.ConnectRedis(cluster.Get(t).URL, tasks.RedisOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		test(newBundle(t, rdb, newNamespace()))
	})
	t.Run("embedded", func(t *testing.T) {
		t.Parallel()
		server := miniredis.RunT(t)
		go runClock(t.Context(), server)
		rdb, err := tasks.ConnectRedis("redis://"+server.Addr(), tasks.RedisOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		b := newBundle(t, rdb, "")
		b.embedded = true
		test(b)
	})
}

// runClock lets keys of the embedded Redis expire: it has no clock of its own.
func runClock(ctx context.Context, server *miniredis.Miniredis) {
	const step = 5 * time.Millisecond
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			server.FastForward(step)
		case <-ctx.Done():
			return
		}
	}
}

func newBundle(t *testing.T, rdb redis.UniversalClient, ns tasks.Namespace) *bundle {
	return &bundle{t: t, ctx: t.Context(), rdb: rdb, ns: ns, l: ledger.New(rdb, ns, ledger.Options{})}
}

// newNamespace is one that no other test has, nor the same one when it is run again.
func newNamespace() tasks.Namespace { return tasks.Namespace(rand.Text()) }

// key names a key of a recipient.
func (b *bundle) key(kind, tag string) string { return b.ns.Key(kind + ":{" + tag + "}") }

func ref(id string) ledger.Ref { return ledger.Ref{App: app, ID: id, OpenID: "o-" + id} }

func admission(r ledger.Ref) ledger.Admission {
	return ledger.Admission{
		Ref: r, Kind: tasks.KindSubscribe, Attempt: ledger.NewAttempt(),
		Lease: time.Minute, CreatedAt: time.Now(),
	}
}

func settlement(a ledger.Admission, next ledger.Next, o tasks.Outcome) ledger.Settlement {
	return ledger.Settlement{
		Ref: a.Ref, Kind: a.Kind, CreatedAt: a.CreatedAt, Attempt: a.Attempt, Admitted: true,
		Next: next, Outcome: o, HorizonBase: a.CreatedAt, Horizon: time.Hour, DropAfterUnknown: a.DropAfterUnknown,
		TemplateID: a.TemplateID, FormID: a.FormID,
	}
}

func (b *bundle) admit(a ledger.Admission, want ledger.Verdict) ledger.Admitted {
	b.t.Helper()
	got, err := b.l.Admit(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	if got.Verdict != want {
		b.t.Fatalf("admit: verdict %s (%s), want %s", got.Verdict, got.Status, want)
	}
	return got
}

func (b *bundle) settle(s ledger.Settlement, want tasks.Status) ledger.Settled {
	b.t.Helper()
	got, err := b.l.Settle(b.ctx, s)
	if err != nil {
		b.t.Fatal(err)
	}
	if got.Status != want {
		b.t.Fatalf("settle: status %s, want %s", got.Status, want)
	}
	return got
}

func (b *bundle) claim(r ledger.Ref) {
	b.t.Helper()
	if err := b.l.Claim(b.ctx, r, "0123456789abcdef"); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) record(r ledger.Ref) ledger.Record {
	b.t.Helper()
	known, err := b.l.Lookup(b.ctx, r.App, r.ID)
	if err != nil || known.Record == nil {
		b.t.Fatalf("lookup: %+v, %v", known, err)
	}
	return *known.Record
}

// dies admits an attempt whose lease ends at once, as if its worker had died,
// and returns what the next admission is told.
func (b *bundle) dies(a ledger.Admission) ledger.Admitted {
	b.t.Helper()
	a.Attempt, a.Lease = ledger.NewAttempt(), time.Millisecond
	b.admit(a, ledger.Go)
	var next ledger.Admitted
	died := false
	taskstest.Eventually(b.t, 5*time.Second, func() string {
		again := a
		again.Attempt, again.Lease = ledger.NewAttempt(), time.Minute
		got, err := b.l.Admit(b.ctx, again)
		died = died || got.Died
		if err != nil || got.Verdict == ledger.Busy || got.Verdict == ledger.Turn {
			return fmt.Sprint(got.Verdict, err)
		}
		next = got
		next.Died = died // told once, even if the turn was not free yet
		return ""
	})
	return next
}

func TestAcceptedOnce(t *testing.T) {
	each(t, func(b *bundle) {
		r := ref("a")
		b.claim(r)
		a := admission(r)
		got := b.admit(a, ledger.Go)
		if got.Attempts != 1 || got.Unknowns != 0 {
			b.t.Fatalf("admitted %+v", got)
		}
		b.admit(a, ledger.Go) // the same attempt, repeated
		if n := b.record(r).Attempts; n != 1 {
			b.t.Fatalf("a repeated admission counted as attempt %d", n)
		}
		b.admit(admission(r), ledger.Busy)
		s := settlement(a, ledger.End, tasks.Accepted)
		s.MsgID = "1988810812324364291"
		for range 2 { // a repeated settlement says the same
			if got := b.settle(s, "accepted"); !got.Applied || got.Late {
				b.t.Fatalf("settled %+v", got)
			}
		}
		rec := b.record(r)
		if rec.MsgID != s.MsgID || rec.Status != "accepted" || rec.Kind != tasks.KindSubscribe || rec.Attempts != 1 {
			b.t.Fatalf("record %+v", rec)
		}
		if d := rec.CreatedAt.Sub(a.CreatedAt.Truncate(time.Millisecond)); d != 0 {
			b.t.Fatalf("created moved by %v", d)
		}
		if ended := b.admit(admission(r), ledger.Ended); ended.Status != "accepted" || ended.Changed {
			b.t.Fatalf("after the end %+v", ended)
		}
	})
}

func TestOnlyOneOfManyIsAdmitted(t *testing.T) {
	each(t, func(b *bundle) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		let := 0
		for range 50 {
			wg.Go(func() {
				got, err := b.l.Admit(b.ctx, admission(ref("x")))
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					b.t.Error(err)
				}
				if got.Verdict == ledger.Go {
					let++
				}
			})
		}
		wg.Wait()
		if let != 1 {
			b.t.Fatalf("%d attempts admitted at once", let)
		}
	})
}

func TestTimesAreJudgedByRedis(t *testing.T) {
	each(t, func(b *bundle) {
		early := admission(ref("early"))
		early.SendAt = time.Now().Add(time.Hour)
		if got := b.admit(early, ledger.Wait); got.Wait < 59*time.Minute || got.Wait > time.Hour {
			b.t.Fatalf("wait %v", got.Wait)
		}
		late := admission(ref("late"))
		late.NotAfter = time.Now().Add(-time.Second)
		b.claim(late.Ref)
		got := b.admit(late, ledger.Ended)
		if got.Status != "expired" || !got.Changed || got.Reason != errcode.ReasonNotAfter {
			b.t.Fatalf("expired %+v", got)
		}
		late.Attempt = ledger.NewAttempt()
		if again := b.admit(late, ledger.Ended); again.Changed {
			b.t.Fatal("one expiry was counted twice")
		}
	})
}

func TestTurnOfARecipient(t *testing.T) {
	each(t, func(b *bundle) {
		first, second := admission(ref("1")), admission(ref("2"))
		second.OpenID = first.OpenID
		b.admit(first, ledger.Go)
		b.admit(second, ledger.Turn)
		b.settle(settlement(first, ledger.Retry, ""), "retrying")
		b.admit(second, ledger.Go)
		first.Attempt = ledger.NewAttempt()
		b.admit(first, ledger.Turn)
		b.settle(settlement(second, ledger.End, tasks.Accepted), "accepted")
		first.Attempt = ledger.NewAttempt()
		b.admit(first, ledger.Go)
	})
}

func TestDeadWorkerIsAnUnknownAnswer(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("resend"))
		b.claim(a.Ref)
		again := b.dies(a)
		if again.Verdict != ledger.Go || again.Unknowns != 1 || again.Attempts != 2 || !again.Died {
			b.t.Fatalf("after one death %+v", again)
		}
		drop := admission(ref("drop"))
		drop.DropAfterUnknown = true
		b.claim(drop.Ref)
		got := b.dies(drop)
		if got.Verdict != ledger.Ended || got.Status != "unknown" || !got.Changed || !got.Died || got.Reason != errcode.ReasonWorkerDied {
			b.t.Fatalf("after one death with drop %+v", got)
		}
	})
}

func TestSecondDeathEnds(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("twice"))
		b.admit(a, ledger.Go)
		b.settle(settlement(a, ledger.Doubt, ""), "retrying")
		if got := b.dies(a); got.Verdict != ledger.Ended || got.Status != "unknown" {
			b.t.Fatalf("after a second unknown %+v", got)
		}
	})
}

func TestUnknownThenExpiredStaysUnknown(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("u"))
		b.admit(a, ledger.Go)
		b.settle(settlement(a, ledger.Doubt, ""), "retrying")
		a.Attempt, a.NotAfter = ledger.NewAttempt(), time.Now().Add(-time.Second)
		if got := b.admit(a, ledger.Ended); got.Status != "unknown" {
			b.t.Fatalf("it may have been delivered, yet it is %s", got.Status)
		}
	})
}

func TestDoubt(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("u"))
		b.admit(a, ledger.Go)
		for range 2 { // repeated: counts once
			if got := b.settle(settlement(a, ledger.Doubt, ""), "retrying"); got.Unknowns != 1 {
				b.t.Fatalf("%+v", got)
			}
		}
		second := admission(a.Ref)
		if got := b.admit(second, ledger.Go); got.Unknowns != 1 {
			b.t.Fatalf("%+v", got)
		}
		b.settle(settlement(second, ledger.Doubt, ""), "unknown")
	})
}

func TestLateAcceptanceIsAFact(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("late"))
		a.DropAfterUnknown = true
		b.claim(a.Ref)
		first := a
		first.Attempt, first.Lease = ledger.NewAttempt(), time.Millisecond
		b.admit(first, ledger.Go)
		taskstest.Eventually(b.t, 5*time.Second, func() string {
			got, err := b.l.Admit(b.ctx, a)
			if err != nil || got.Status != "unknown" {
				return fmt.Sprint(got.Status, err)
			}
			return ""
		})
		refused := settlement(first, ledger.End, tasks.Rejected)
		if got := b.settle(refused, "unknown"); got.Applied || !got.Late {
			b.t.Fatalf("a late refusal changed the record: %+v", got)
		}
		accepted := settlement(first, ledger.End, tasks.Accepted)
		accepted.MsgID = "7"
		if got := b.settle(accepted, "accepted"); !got.Applied || !got.Late {
			b.t.Fatalf("%+v", got)
		}
		if rec := b.record(a.Ref); rec.MsgID != "7" {
			b.t.Fatalf("%+v", rec)
		}
	})
}

// A first attempt whose answer comes while the second is in flight: its
// acceptance stands, whatever the second one is told.
func TestLateAcceptanceDuringTheResend(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("both"))
		b.claim(a.Ref)
		first := a
		first.Attempt, first.Lease = ledger.NewAttempt(), time.Millisecond
		b.admit(first, ledger.Go)
		second := a
		taskstest.Eventually(b.t, 5*time.Second, func() string {
			second.Attempt = ledger.NewAttempt()
			got, err := b.l.Admit(b.ctx, second)
			if err != nil || got.Verdict != ledger.Go {
				return fmt.Sprint(got.Verdict, err)
			}
			return ""
		})
		b.settle(settlement(first, ledger.End, tasks.Accepted), "accepted")
		b.settle(settlement(second, ledger.End, tasks.Rejected), "accepted")
		b.settle(settlement(second, ledger.Retry, ""), "accepted")
	})
}

func TestRetryAndHorizon(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("h"))
		b.admit(a, ledger.Go)
		s := settlement(a, ledger.Retry, "")
		s.Errcode, s.Detail = 43108, "a;b\n中"
		b.settle(s, "retrying")
		if got := b.settle(s, "retrying"); !got.Applied || got.Attempts != 1 {
			b.t.Fatalf("repeated: %+v", got)
		}
		a.Attempt = ledger.NewAttempt()
		b.admit(a, ledger.Go)
		over := settlement(a, ledger.Retry, "")
		over.HorizonBase, over.Horizon = time.Now().Add(-time.Hour), time.Minute
		if got := b.settle(over, "dead"); got.Reason != errcode.ReasonHorizon {
			b.t.Fatalf("%+v", got)
		}
		endless := admission(ref("endless"))
		b.admit(endless, ledger.Go)
		waits := settlement(endless, ledger.Retry, "")
		waits.HorizonBase, waits.Horizon = time.Now().Add(-time.Hour), 0
		b.settle(waits, "retrying")
	})
}

func TestUnlistedLimit(t *testing.T) {
	each(t, func(b *bundle) {
		for _, reason := range []errcode.Reason{errcode.ReasonUnlisted, ""} {
			r := ref("unlisted" + string(reason))
			b.claim(r)
			for n := 1; n <= 5; n++ {
				a := admission(r)
				b.admit(a, ledger.Go)
				s := settlement(a, ledger.Retry, "")
				s.UnlistedLimit, s.LimitReason, s.Errcode = 5, reason, 85437
				want := tasks.StatusRetrying
				if n == 5 {
					want = "dead"
				}
				b.settle(s, want)
			}
			if got := b.record(r); got.Reason != reason || got.Errcode != 85437 {
				b.t.Errorf("%+v, want reason %q", got, reason)
			}
		}
	})
}

func TestDeadIsReopenedByItsTask(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("dead"))
		a.CreatedAt = time.Now().Add(-48 * time.Hour)
		b.admit(a, ledger.Go)
		b.settle(settlement(a, ledger.End, tasks.Dead), "dead")
		again := admission(a.Ref)
		if got := b.admit(again, ledger.Go); got.Attempts != 1 {
			b.t.Fatalf("%+v", got)
		}
		s := settlement(again, ledger.Retry, "")
		s.HorizonBase = a.CreatedAt
		b.settle(s, "dead") // so soon it may be a lost acknowledgement: no new horizon
		b.ages(10 * time.Minute)
		replay := admission(a.Ref)
		b.admit(replay, ledger.Go)
		s = settlement(replay, ledger.Retry, "") // the horizon counts from the replay
		s.HorizonBase = a.CreatedAt
		b.settle(s, "retrying")
	})
}

func TestRelease(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("r"))
		b.admit(a, ledger.Go)
		for range 2 {
			b.settle(settlement(a, ledger.Release, ""), "retrying")
		}
		b.claim(a.Ref)
		if rec := b.record(a.Ref); rec.Status != tasks.StatusQueued {
			b.t.Fatalf("released: %+v", rec)
		}
		if got := b.admit(admission(a.Ref), ledger.Go); got.Attempts != 1 || got.Unknowns != 0 {
			b.t.Fatalf("a released attempt left traces: %+v", got)
		}
	})
}

func TestFailureWithoutAdmission(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("no-token"))
		b.claim(a.Ref)
		s := settlement(a, ledger.Retry, "")
		s.Admitted, s.Errcode, s.Reason = false, 40164, errcode.ReasonNoToken
		for range 2 {
			if got := b.settle(s, "retrying"); got.Attempts != 1 || !got.Applied {
				b.t.Fatalf("%+v", got)
			}
		}
		if rec := b.record(a.Ref); rec.Errcode != 40164 || rec.Reason != errcode.ReasonNoToken {
			b.t.Fatalf("%+v", rec)
		}
		alive := admission(ref("alive"))
		b.admit(alive, ledger.Go)
		other := settlement(admission(alive.Ref), ledger.Retry, "")
		other.Admitted = false
		if got := b.settle(other, "sending"); got.Applied {
			b.t.Fatal("a failure without admission touched a living attempt")
		}
	})
}

func TestRedisLostTheRecord(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("lost"))
		b.claim(a.Ref)
		b.admit(a, ledger.Go)
		b.wipe()
		b.claim(a.Ref)
		if got := b.settle(settlement(a, ledger.End, tasks.Accepted), "accepted"); !got.Applied {
			b.t.Fatalf("%+v", got)
		}
	})
}

func TestCancel(t *testing.T) {
	each(t, func(b *bundle) {
		cancel := func(r ledger.Ref) (bool, tasks.Status) {
			b.t.Helper()
			ok, status, err := b.l.Cancel(b.ctx, r, "0123456789abcdef", tasks.KindSubscribe, time.Now())
			if err != nil {
				b.t.Fatal(err)
			}
			return ok, status
		}
		queued := ref("queued")
		for range 2 {
			if ok, status := cancel(queued); !ok || status != "canceled" {
				b.t.Fatal(ok, status)
			}
		}
		if got := b.admit(admission(queued), ledger.Ended); got.Status != "canceled" || !got.Changed {
			b.t.Fatalf("%+v", got)
		}
		if got := b.admit(admission(queued), ledger.Ended); got.Changed {
			b.t.Fatal("one cancellation was counted twice")
		}
		if ok, status := cancel(queued); !ok || status != "canceled" {
			b.t.Fatal(ok, status)
		}
		sending := admission(ref("sending"))
		b.claim(sending.Ref)
		b.admit(sending, ledger.Go)
		if ok, status := cancel(sending.Ref); ok || status != "sending" {
			b.t.Fatal(ok, status)
		}
		b.settle(settlement(sending, ledger.Doubt, ""), "retrying")
		if ok, status := cancel(sending.Ref); ok || status != "unknown" {
			b.t.Fatal("what may have been delivered was called canceled:", ok, status)
		}
		if ttl := b.pointerTTL("sending"); ttl < 40*24*time.Hour {
			b.t.Errorf("stopped, and its id is forgotten in %v", ttl)
		}
		for _, key := range b.keys() { // its task may wait for long in its queue
			if ttl := b.rdb.PTTL(b.ctx, key).Val(); strings.Contains(key, ":r:") && b.rdb.Get(b.ctx, key).Val()[0] == 'u' && ttl < 40*24*time.Hour {
				b.t.Errorf("stopped, and forgotten in %v", ttl)
			}
		}
		if got := b.admit(admission(sending.Ref), ledger.Ended); got.Status != "unknown" || !got.Changed {
			b.t.Fatalf("%+v", got)
		}
		done := admission(ref("done"))
		b.admit(done, ledger.Go)
		b.settle(settlement(done, ledger.End, tasks.Accepted), "accepted")
		if ok, status := cancel(done.Ref); ok || status != "accepted" {
			b.t.Fatal(ok, status)
		}
	})
}

func TestCanceledWhileNoTokenIsToBeHad(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("c"))
		if _, _, err := b.l.Cancel(b.ctx, a.Ref, "0123456789abcdef", a.Kind, a.CreatedAt); err != nil {
			b.t.Fatal(err)
		}
		s := settlement(a, ledger.Retry, "")
		s.Admitted = false
		if got := b.settle(s, "canceled"); !got.Applied {
			b.t.Fatalf("%+v", got)
		}
	})
}

func TestClaim(t *testing.T) {
	each(t, func(b *bundle) {
		r := ref("id")
		b.claim(r)
		b.claim(r)
		if err := b.l.Claim(b.ctx, r, "fedcba9876543210"); err != ledger.ErrConflict {
			b.t.Fatal(err)
		}
		r.OpenID = "o-somebody-else"
		if err := b.l.Claim(b.ctx, r, "0123456789abcdef"); err != ledger.ErrConflict {
			b.t.Fatal(err)
		}
		if _, err := b.l.Lookup(b.ctx, app, "never"); err != ledger.ErrNotFound {
			b.t.Fatal(err)
		}
	})
}

func TestHowLongThingsAreKept(t *testing.T) {
	each(t, func(b *bundle) {
		for outcome, want := range map[tasks.Outcome]time.Duration{tasks.Accepted: 24 * time.Hour, tasks.Dead: 30 * 24 * time.Hour} {
			a := admission(ref(string(outcome)))
			b.claim(a.Ref)
			b.admit(a, ledger.Go)
			b.settle(settlement(a, ledger.End, outcome), tasks.Status(outcome))
			for _, key := range b.keys() {
				most := want
				if outcome == tasks.Accepted && strings.HasPrefix(key, b.ns.Key("p:")) {
					most += time.Hour // the pointer was claimed for the attempt
				}
				if ttl := b.rdb.PTTL(b.ctx, key).Val(); ttl <= want-time.Minute || ttl > most {
					b.t.Errorf("%s: %s is kept for %v, want %v", outcome, key, ttl, most)
				}
			}
			b.wipe()
		}
	})
}

func TestNoOpenIDInKeysOrRecords(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("privacy"))
		a.OpenID = "oCANARYopenid"
		b.claim(a.Ref)
		b.admit(a, ledger.Go)
		for _, key := range b.keys() {
			if text := key + b.rdb.Get(b.ctx, key).Val(); strings.Contains(text, "CANARY") {
				b.t.Errorf("openid in %q", text)
			}
		}
	})
}

// A command that its client gave up can arrive after the settlement of the very
// attempt it asked for: nobody would own what it lets in.
func TestAdmissionOvertakenByItsSettlement(t *testing.T) {
	each(t, func(b *bundle) {
		for name, settle := range map[string]func(*ledger.Settlement){
			"released": func(s *ledger.Settlement) { s.Next = ledger.Release },
			"retrying": func(s *ledger.Settlement) { s.Next = ledger.Retry },
			"doubt":    func(s *ledger.Settlement) { s.Next = ledger.Doubt },
			"horizon":  func(s *ledger.Settlement) { s.Next, s.HorizonBase = ledger.Retry, time.Now().Add(-2*time.Hour) },
			"dead":     func(s *ledger.Settlement) { s.Outcome = tasks.Dead },
		} {
			a := admission(ref(name))
			b.claim(a.Ref)
			b.admit(a, ledger.Go)
			s := settlement(a, ledger.End, "")
			settle(&s)
			if _, err := b.l.Settle(b.ctx, s); err != nil {
				b.t.Fatal(err)
			}
			before := b.record(a.Ref)
			b.admit(a, ledger.Busy)
			if after := b.record(a.Ref); after != before {
				b.t.Errorf("%s: %+v became %+v", name, before, after)
			}
		}
		unsent := admission(ref("never admitted")) // the release comes first
		if _, err := b.l.Settle(b.ctx, settlement(unsent, ledger.Release, "")); err != nil {
			b.t.Fatal(err)
		}
		b.admit(unsent, ledger.Busy)
		b.admit(admission(unsent.Ref), ledger.Go)
	})
}

// go-redis repeats a command whose reply was lost: the second answer is the first.
func TestSettlementsRepeated(t *testing.T) {
	each(t, func(b *bundle) {
		over := time.Now().Add(-2 * time.Hour)
		for name, change := range map[string]func(*ledger.Settlement){
			"retry":            func(*ledger.Settlement) {},
			"horizon":          func(s *ledger.Settlement) { s.HorizonBase = over },
			"horizon no token": func(s *ledger.Settlement) { s.HorizonBase, s.Admitted = over, false },
			"unlisted":         func(s *ledger.Settlement) { s.UnlistedLimit = 1 },
			"doubt":            func(s *ledger.Settlement) { s.Next = ledger.Doubt },
			"drop":             func(s *ledger.Settlement) { s.Next, s.DropAfterUnknown = ledger.Doubt, true },
			"dead":             func(s *ledger.Settlement) { s.Next, s.Outcome = ledger.End, tasks.Dead },
			"rejected":         func(s *ledger.Settlement) { s.Next, s.Outcome = ledger.End, tasks.Rejected },
			"release":          func(s *ledger.Settlement) { s.Next = ledger.Release },
		} {
			a := admission(ref(name))
			s := settlement(a, ledger.Retry, "")
			change(&s)
			if s.Admitted {
				b.admit(a, ledger.Go)
			}
			first, err := b.l.Settle(b.ctx, s)
			if err != nil || !first.Applied {
				b.t.Fatal(name, first, err)
			}
			if again, err := b.l.Settle(b.ctx, s); err != nil || again != first {
				b.t.Errorf("%s: first %+v, again %+v, %v", name, first, again, err)
			}
		}
	})
}

// A worker whose clock is ahead brings tasks back too early.
func TestDelayGoesByRedis(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("early"))
		b.admit(a, ledger.Go)
		s := settlement(a, ledger.Retry, "")
		s.Delay = time.Minute
		b.settle(s, "retrying")
		if got := b.admit(admission(a.Ref), ledger.Wait); got.Wait < 59*time.Second || got.Wait > time.Minute {
			b.t.Fatalf("%+v", got)
		}
		soon := admission(ref("soon"))
		b.admit(soon, ledger.Go)
		s = settlement(soon, ledger.Retry, "")
		s.Delay = 900 * time.Millisecond // asynq's times are whole seconds
		b.settle(s, "retrying")
		b.admit(admission(soon.Ref), ledger.Go)
	})
}

func TestRecordOfALaterVersion(t *testing.T) {
	each(t, func(b *bundle) {
		a := admission(ref("x"))
		b.claim(a.Ref)
		b.admit(a, ledger.Go)
		for _, key := range b.keys() {
			if strings.Contains(key, ":r:") {
				b.rdb.Set(b.ctx, key, "P;s;1", time.Hour)
			}
		}
		if _, err := b.l.Admit(b.ctx, admission(a.Ref)); !errors.Is(err, ledger.ErrNewer) {
			b.t.Error(err)
		}
		if _, err := b.l.Settle(b.ctx, settlement(a, ledger.Retry, "")); !errors.Is(err, ledger.ErrNewer) {
			b.t.Error(err)
		}
		if _, err := b.l.Lookup(b.ctx, app, "x"); !errors.Is(err, ledger.ErrNewer) {
			b.t.Error(err)
		}
	})
}

// pointerTTL is how long the id's pointer lasts, found by what it holds.
func (b *bundle) pointerTTL(id string) time.Duration {
	b.t.Helper()
	for _, key := range b.keys() {
		if strings.Contains(key, ":p:") && strings.HasSuffix(b.rdb.Get(b.ctx, key).Val(), ledger.Tag(app, "o-"+id)) {
			return b.rdb.PTTL(b.ctx, key).Val()
		}
	}
	b.t.Fatal("no pointer of ", id)
	return 0
}

// ages moves a record's past further back.
func (b *bundle) ages(d time.Duration) {
	b.t.Helper()
	for _, key := range b.keys() {
		f := strings.Split(b.rdb.Get(b.ctx, key).Val(), ";")
		if !strings.Contains(key, ":r:") {
			continue
		}
		created, err := strconv.ParseInt(f[3], 10, 64)
		if err != nil {
			b.t.Fatal(err)
		}
		f[3] = strconv.FormatInt(created-d.Milliseconds(), 10)
		b.rdb.Set(b.ctx, key, strings.Join(f, ";"), time.Hour)
	}
}

func (b *bundle) keys() []string {
	b.t.Helper()
	keys, err := taskstest.Keys(b.ctx, b.rdb, b.ns.Key("*"))
	if err != nil || len(keys) == 0 {
		b.t.Fatalf("keys: %v, %v", keys, err)
	}
	return keys
}

// wipe deletes what this test has stored, as if Redis had lost it.
func (b *bundle) wipe() {
	b.t.Helper()
	for _, key := range b.keys() {
		if err := b.rdb.Del(b.ctx, key).Err(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// Redis Cluster needs every key of a script declared, and in one slot.
func TestScriptsTouchDeclaredKeysOnly(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("lua/*.lua")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	call := regexp.MustCompile(`redis\.call\('(\w+)'(?:, (\w+(?:\[\d\])?))?`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllStringSubmatch(string(text), -1) {
			shared := file == "lua/record.lua" || file == "lua/consent.lua" // there keys are parameters
			declared := strings.HasPrefix(m[2], "KEYS[") || shared && slices.Contains([]string{"key", "consent", "forms"}, m[2])
			if m[1] != "TIME" && !declared {
				t.Errorf("%s: %s is called on %q", file, m[1], m[2])
			}
		}
	}
}
