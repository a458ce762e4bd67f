package ledger_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// deadList is where the app's dead letters are listed.
func (b *bundle) deadList() string { return b.ns.Key("dead:" + app) }

// keysOf lists the keys that begin so, on every master of a cluster.
func (b *bundle) keysOf(prefix string) []string {
	b.t.Helper()
	keys, err := taskstest.Keys(b.ctx, b.rdb, b.ns.Key(prefix)+"*")
	if err != nil {
		b.t.Fatal(err)
	}
	return keys
}

// envelope is a notification as it lies in its queue.
func envelope(id string) tasks.Envelope {
	n := tasks.Notification{
		App: app, ID: id, To: tasks.Recipient{OpenID: "o-" + id}, TemplateID: "tmpl", Data: map[string]string{"thing1": "<v>"},
	}.WithDefaults()
	return tasks.Envelope{Notification: n, EnqueuedAt: time.Now(), Hash: "0123456789abcdef"}
}

func letter(t *testing.T, id string, change func(*ledger.DeadLetter)) ledger.DeadLetter {
	t.Helper()
	d, err := ledger.NewDeadLetter(ref(id), envelope(id))
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&d)
	}
	return d
}

// dead lets a notification die and keeps its letter.
func (b *bundle) dead(id string, change func(*ledger.DeadLetter)) {
	b.t.Helper()
	b.claim(ref(id))
	a := admission(ref(id))
	b.admit(a, ledger.Go)
	b.settle(settlement(a, ledger.End, tasks.Dead), "dead")
	b.keep(letter(b.t, id, change))
}

func (b *bundle) keep(d ledger.DeadLetter) {
	b.t.Helper()
	if err := b.l.KeepDead(b.ctx, d); err != nil {
		b.t.Fatal(err)
	}
}

// list reads all pages of so many letters and returns the ids.
func (b *bundle) list(f ledger.DeadFilter, n int, between func(page []ledger.DeadLetter)) (ids []string) {
	b.t.Helper()
	for cursor := ""; ; {
		page, next, err := b.l.DeadLetters(b.ctx, app, f, cursor, n)
		if err != nil || len(page) > n {
			b.t.Fatal(len(page), err)
		}
		for _, d := range page {
			ids = append(ids, d.ID)
		}
		if between != nil {
			between(page)
		}
		if cursor = next; next == "" {
			return ids
		}
	}
}

func (b *bundle) wantList(want ...string) {
	b.t.Helper()
	if got := b.list(ledger.DeadFilter{}, 100, nil); !slices.Equal(got, want) {
		b.t.Errorf("the list has %q, want %q", got, want)
	}
}

func (b *bundle) forget(d ledger.DeadLetter) {
	b.t.Helper()
	if err := b.l.ForgetDead(b.ctx, d.App, d.ID, d.DiedAt); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bundle) letterOf(id string) ledger.DeadLetter {
	b.t.Helper()
	d, err := b.l.DeadLetter(b.ctx, app, id)
	if err != nil {
		b.t.Fatal(err)
	}
	return d
}

func (b *bundle) noLetter(id string) {
	b.t.Helper()
	if _, err := b.l.DeadLetter(b.ctx, app, id); !errors.Is(err, ledger.ErrNotFound) {
		b.t.Errorf("letter of %s: %v, want ErrNotFound", id, err)
	}
}

func TestALetterHoldsTheNotification(t *testing.T) {
	each(t, func(b *bundle) {
		b.dead("a", func(d *ledger.DeadLetter) {
			d.Errcode, d.Reason, d.Detail, d.Attempts = 47003, errcode.ReasonHorizon, "thing1;.value", 3
		})
		d := b.letterOf("a")
		if d.Errcode != 47003 || d.Reason != "horizon" || d.Detail != "thing1.value" || d.Attempts != 3 || d.Lane != tasks.Default ||
			d.TemplateID != "tmpl" || time.Since(d.DiedAt).Abs() > time.Minute || !d.NotAfter.IsZero() {
			b.t.Errorf("%+v", d)
		}
		e, err := d.Envelope()
		if want := envelope("a"); err != nil || !reflect.DeepEqual(e.To, want.To) || e.Data["thing1"] != "<v>" || e.Hash != want.Hash || !e.EnqueuedAt.Equal(d.CreatedAt) {
			b.t.Errorf("%+v, %v", e, err)
		}
		if n, err := b.l.CountDead(b.ctx, app); n != 1 || err != nil {
			b.t.Errorf("%d letters, %v", n, err)
		}
		for _, key := range []string{b.deadList(), b.keysOf("d:{")[0]} {
			if ttl := b.rdb.PTTL(b.ctx, key).Val(); ttl < 29*24*time.Hour {
				b.t.Errorf("%s lives for %v, want 30 days", key, ttl)
			}
		}
		b.noLetter("b")
	})
}

// A page goes on where the last one ended, whatever is deleted or added meanwhile,
// and though many died in the same millisecond.
func TestPagesOfDeadLetters(t *testing.T) {
	each(t, func(b *bundle) {
		const n = 12
		var want []string
		for i := range n {
			id := fmt.Sprintf("id-%02d", i)
			want = append(want, id)
			b.dead(id, nil)
			b.rdb.ZAdd(b.ctx, b.deadList(), redis.Z{Member: id, Score: float64(1000 + i/5)})
		}
		if got := b.list(ledger.DeadFilter{}, 5, nil); !slices.Equal(got, want) {
			b.t.Errorf("listed %q, want %q", got, want)
		}
		added := false
		got := b.list(ledger.DeadFilter{}, 2, func(page []ledger.DeadLetter) {
			for _, d := range page {
				b.forget(d)
			}
			if !added {
				b.dead("new", nil)
				added = true
			}
		})
		if !slices.Equal(got, append(want, "new")) {
			b.t.Errorf("listed and forgotten %q, want %q and the new one", got, want)
		}
		b.wantList()
	})
}

func TestDeadFilters(t *testing.T) {
	each(t, func(b *bundle) {
		b.dead("template", func(d *ledger.DeadLetter) { d.TemplateID, d.Errcode = "other", 47003 })
		b.dead("reason", func(d *ledger.DeadLetter) { d.Reason, d.Errcode = errcode.ReasonHorizon, -1 })
		b.dead("new", nil)
		for filter, want := range map[ledger.DeadFilter]string{
			{TemplateID: "other"}:                   "template",
			{Reason: "47003"}:                       "template",
			{Reason: "horizon"}:                     "reason",
			{Reason: "-1"}:                          "reason",
			{TemplateID: "other", Reason: "-1"}:     "",
			{OlderThan: time.Hour}:                  "",
			{OlderThan: 100 * 365 * 24 * time.Hour}: "",
			{OlderThan: time.Nanosecond}:            "new reason template",
		} {
			got := strings.Join(slices.Sorted(slices.Values(b.list(filter, 1, nil))), " ") // they may have died in one millisecond
			if got != want {
				b.t.Errorf("%+v: %q, want %q", filter, got, want)
			}
		}
		for _, cursor := range []string{"!", "bm9uZQ", "LTE7YQ"} {
			if _, _, err := b.l.DeadLetters(b.ctx, app, ledger.DeadFilter{}, cursor, 1); !errors.Is(err, ledger.ErrCursor) {
				b.t.Errorf("cursor %s: %v, want ErrCursor", cursor, err)
			}
		}
	})
}

// Whichever way a notification came back, the list has it no more; what dies again
// stays, though its earlier death is forgotten late.
func TestTheListShowsOnlyWhatIsDead(t *testing.T) {
	each(t, func(b *bundle) {
		for _, id := range []string{"accepted", "sending", "lost", "letterless", "newer", "again", "stays"} {
			b.dead(id, nil)
		}
		first := b.letterOf("again")
		a := admission(ref("accepted"))
		b.admit(a, ledger.Go)
		b.settle(settlement(a, ledger.End, tasks.Accepted), "accepted")
		b.admit(admission(ref("sending")), ledger.Go)
		for _, key := range []string{b.keyOf("r", "lost"), b.keyOf("d", "letterless")} { // of two slots
			b.rdb.Del(b.ctx, key)
		}
		b.rdb.Set(b.ctx, b.keyOf("r", "newer"), "#;s", time.Hour)
		taskstest.Eventually(b.t, 5*time.Second, func() string {
			if b.keep(letter(b.t, "again", nil)); b.letterOf("again").DiedAt.Equal(first.DiedAt) {
				return "the same millisecond"
			}
			return ""
		})
		b.forget(first)
		b.wantList("stays", "again")
		if n, err := b.l.CountDead(b.ctx, app); n != 3 || err != nil { // the newer one is left alone
			b.t.Errorf("%d listed, %v, want 3", n, err)
		}
		if left := len(b.keysOf("d:{")); left != 3 {
			b.t.Errorf("%d letters are left, want 3", left)
		}
		listed, err := b.l.ListedDead(b.ctx, app, []string{"stays", "accepted", "again"})
		if err != nil || !slices.Equal(listed, []bool{true, false, true}) {
			b.t.Errorf("listed %v, %v", listed, err)
		}
	})
}

// keyOf finds the key of a family that belongs to a notification.
func (b *bundle) keyOf(family, id string) string {
	b.t.Helper()
	name := ledger.Tag(app, id) // a record is named in the same manner
	for _, key := range b.keysOf(family + ":") {
		if strings.Contains(key, name) {
			return key
		}
	}
	b.t.Fatalf("no key of family %s for %s", family, id)
	return ""
}

func TestSweepDead(t *testing.T) {
	each(t, func(b *bundle) {
		for _, id := range []string{"old", "replayed", "stays"} {
			b.dead(id, nil)
		}
		b.rdb.ZAdd(b.ctx, b.deadList(), redis.Z{Member: "old", Score: float64(time.Now().Add(-31 * 24 * time.Hour).UnixMilli())})
		b.admit(admission(ref("replayed")), ledger.Go)
		if n, err := b.l.SweepDead(b.ctx, app); n != 1 || err != nil {
			b.t.Errorf("%d expired, %v, want 1", n, err)
		}
		if ids := b.rdb.ZRange(b.ctx, b.deadList(), 0, -1).Val(); !slices.Equal(ids, []string{"stays"}) {
			b.t.Errorf("left %q", ids)
		}
	})
}

func TestBuryArchived(t *testing.T) {
	each(t, func(b *bundle) {
		bury := func(e tasks.Envelope, want bool) {
			b.t.Helper()
			for range 2 { // it may be repeated
				if dead, err := b.l.BuryArchived(b.ctx, e); dead != want || err != nil {
					b.t.Errorf("%s: dead %v, %v, want %v", e.ID, dead, err, want)
				}
			}
		}
		attempt := func(id string, lease time.Duration) ledger.Admission {
			a := admission(ref(id))
			a.Lease = lease
			b.claim(a.Ref)
			b.admit(a, ledger.Go)
			return a
		}
		bury(envelope("new"), true)
		b.settle(settlement(attempt("retrying", time.Minute), ledger.Retry, ""), "retrying")
		bury(envelope("retrying"), true)
		b.settle(settlement(attempt("accepted", time.Minute), ledger.End, tasks.Accepted), "accepted")
		bury(envelope("accepted"), false)
		attempt("sending", time.Minute)
		bury(envelope("sending"), false)
		attempt("lost", time.Millisecond)
		attempt("dropped", time.Millisecond)
		drop := envelope("dropped")
		drop.OnUnknown = tasks.Drop
		b.leaseOver("lost", "dropped")
		bury(envelope("lost"), true)
		bury(drop, false)
		b.claim(ref("canceled"))
		if ok, _, err := b.l.CancelKnown(b.ctx, app, "canceled", tasks.KindSubscribe, time.Now()); !ok || err != nil {
			b.t.Fatal(ok, err)
		}
		bury(envelope("canceled"), false)
		b.claim(ref("taken"))
		other := envelope("taken")
		other.Hash = "fedcba9876543210"
		bury(other, false)
		code := envelope("code")
		code.To = tasks.Recipient{Code: "login-code"}
		bury(code, true)
		erased := envelope("erased")
		if err := b.l.Erase(b.ctx, app, erased.To.OpenID); err != nil {
			b.t.Fatal(err)
		}
		bury(erased, false)

		b.wantList("new", "retrying", "lost", "code")
		for id, want := range map[string]ledger.Record{
			"new":      {Status: "dead", Reason: "archived"},
			"retrying": {Status: "dead", Reason: "archived", Attempts: 1},
			"lost":     {Status: "dead", Reason: "archived", Attempts: 1, Unknowns: 1},
			"dropped":  {Status: "unknown", Reason: "worker_died", Attempts: 1, Unknowns: 1},
			"canceled": {Status: "canceled", Reason: "canceled"},
			"erased":   {Status: "canceled", Reason: "forgotten"},
			"code":     {Status: "dead", Reason: "archived"},
		} {
			r := b.record(ref(id))
			got := ledger.Record{Status: r.Status, Reason: r.Reason, Attempts: r.Attempts, Unknowns: r.Unknowns}
			if got != want {
				b.t.Errorf("%s: %+v, want %+v", id, got, want)
			}
		}
		if d := b.letterOf("retrying"); d.Reason != errcode.ReasonArchived || d.Attempts != 1 {
			b.t.Errorf("%+v", d)
		}
		if e, err := b.letterOf("code").Envelope(); err != nil || !reflect.DeepEqual(e.To, code.To) {
			b.t.Errorf("%+v, %v", e.To, err)
		}
		b.admit(admission(ref("lost")), ledger.Go) // a replay
		b.wantList("new", "retrying", "code")
	})
}

// leaseOver waits until these attempts' leases are over on Redis's clock.
func (b *bundle) leaseOver(ids ...string) {
	b.t.Helper()
	taskstest.Eventually(b.t, 5*time.Second, func() string {
		now, err := b.rdb.Time(b.ctx).Result()
		if err != nil {
			b.t.Fatal(err)
		}
		for _, id := range ids {
			text := b.rdb.Get(b.ctx, b.keyOf("r", id)).Val()
			if lease, _ := strconv.ParseInt(strings.Split(text, ";")[9], 10, 64); lease >= now.UnixMilli() {
				return "the lease is not over"
			}
		}
		return ""
	})
}

func TestErasureDeletesLetters(t *testing.T) {
	each(t, func(b *bundle) {
		b.dead("gone", nil)
		b.dead("stays", nil)
		tag := ledger.Tag(app, ref("gone").OpenID)
		due := ledger.Erasures{tag: strconv.FormatInt(time.Now().Add(time.Minute).UnixMilli(), 10)}
		if n, err := b.l.EraseRecords(b.ctx, due); n != 1 || err != nil {
			b.t.Fatal(n, err)
		}
		if n, err := b.l.CountDead(b.ctx, app); n != 1 || err != nil {
			b.t.Errorf("%d letters, %v, want 1", n, err)
		}
		b.noLetter("gone")
		b.wantList("stays")
	})
}
