package producer_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

const app = "wxba5fad812f8e6fb9"

func notification(id string) producer.Notification {
	return producer.Notification{
		App: app, ID: id, To: producer.Recipient{OpenID: "o9AgO5Kd5ggOC"},
		TemplateID: "tmpl", Data: map[string]string{"thing1": "hello"},
	}
}

// bundle is a client, its Redis, and a ledger to play the worker's part with.
type bundle struct {
	*testing.T
	server *taskstest.Server // nil on other forms of Redis
	rdb    redis.UniversalClient
	client *producer.Client
	ledger *ledger.Ledger
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	server := taskstest.StartRedis(t)
	b := on(t, server.URL)
	b.server = server
	return b
}

// on is a bundle on a Redis that runs.
func on(t *testing.T, url string) *bundle {
	t.Helper()
	client, err := producer.New(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return &bundle{T: t, rdb: rdb, client: client, ledger: ledger.New(rdb, "", ledger.Options{})}
}

// Everything a producer asks of Redis, on every form of it.
func TestOnEveryRedis(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, func(t *testing.T, url string) {
		b := on(t, url).keeps(tasks.CreditsEnforce, tasks.ConsentReport)
		for i := range 40 { // over all masters of a cluster
			b.wholeLife(fmt.Sprint("id", i))
		}
		list := make([]producer.Notification, 60)
		for i := range list {
			list[i] = notification(fmt.Sprint("many", i))
		}
		for i, r := range b.client.SendMany(t.Context(), list) {
			if r.Err != nil || r.Status != tasks.StatusQueued {
				t.Errorf("item %d: %+v", i, r)
			}
		}
		b.report("r1", map[string]string{"a": "accept", "b": "reject"})
		if want := map[string]int{"a": 1, "b": 0}; !maps.Equal(b.counts(), want) {
			t.Errorf("%v, want %v", b.counts(), want)
		}
		if err := b.client.EraseUser(t.Context(), app, user); err != nil {
			t.Error(err)
		}
		if left := b.counts(); len(left) != 0 {
			t.Errorf("after forgetting: %v", left)
		}
	})
}

// wholeLife sends, repeats, cancels and ends notifications.
func (b *bundle) wholeLife(id string) {
	b.Helper()
	n := notification(id)
	n.To.OpenID += id
	b.send(n)
	if r := b.send(n); !r.Duplicate {
		b.Fatalf("%+v, want a duplicate", r)
	}
	other := n
	other.Data = map[string]string{"thing1": "something else"}
	if _, err := b.client.Send(b.Context(), other); !errors.Is(err, producer.ErrConflict) {
		b.Fatal(err)
	}
	b.attempt(n, ledger.Settlement{Next: ledger.End, Outcome: tasks.Accepted, MsgID: "7"})
	if s, err := b.client.Status(b.Context(), app, id); err != nil || s.Status != "accepted" || s.MsgID != "7" {
		b.Fatal(s, err)
	}
	b.send(notification(id + "c"))
	if s, err := b.client.Cancel(b.Context(), app, id+"c"); err != nil || s.Status != "canceled" {
		b.Fatal(s, err)
	}
}

func (b *bundle) send(n producer.Notification) producer.Receipt {
	b.Helper()
	r, err := b.client.Send(b.Context(), n)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// attempt plays a worker: claims, admits and settles.
func (b *bundle) attempt(n producer.Notification, s ledger.Settlement) {
	b.Helper()
	n = n.WithDefaults()
	ref := ledger.Ref{App: n.App, ID: n.ID, OpenID: n.To.OpenID}
	if err := b.ledger.Claim(b.Context(), ref, n.ContentHash()); err != nil {
		b.Fatal(err)
	}
	s.Ref, s.Kind, s.Attempt, s.Admitted, s.CreatedAt = ref, n.Kind, ledger.NewAttempt(), true, time.Now()
	admitted, err := b.ledger.Admit(b.Context(), ledger.Admission{Ref: ref, Kind: n.Kind, Attempt: s.Attempt, Lease: time.Minute, CreatedAt: s.CreatedAt})
	if err != nil || admitted.Verdict != ledger.Go {
		b.Fatal(admitted, err)
	}
	if s.Next == "" {
		return
	}
	if _, err := b.ledger.Settle(b.Context(), s); err != nil {
		b.Fatal(err)
	}
}

func TestSendWithoutID(t *testing.T) {
	b := setup(t)
	first, second := b.send(notification("")), b.send(notification(""))
	if first.ID == "" || first.ID == second.ID || first.Duplicate || second.Duplicate || first.Status != tasks.StatusQueued || first.App != app {
		t.Fatalf("%+v %+v", first, second)
	}
	s, err := b.client.Status(t.Context(), app, first.ID)
	if err != nil || s.Status != tasks.StatusQueued || s.Kind != tasks.KindSubscribe || s.CreatedAt.IsZero() {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestScheduled(t *testing.T) {
	b := setup(t)
	n := notification("later")
	n.SendAt = time.Now().Add(time.Hour)
	if r := b.send(n); r.Status != tasks.StatusScheduled {
		t.Fatalf("%+v", r)
	}
	if s, err := b.client.Status(t.Context(), app, "later"); err != nil || s.Status != tasks.StatusScheduled {
		t.Fatalf("%+v %v", s, err)
	}
	if r := b.send(n); !r.Duplicate || r.Status != tasks.StatusScheduled {
		t.Fatalf("%+v", r)
	}
}

// The contract's answers to a repeated id, while it is queued.
func TestSameIDWhileQueued(t *testing.T) {
	b := setup(t)
	b.send(notification("a"))
	if r := b.send(notification("a")); !r.Duplicate || r.Status != tasks.StatusQueued {
		t.Fatalf("%+v", r)
	}
	other := notification("a")
	other.Priority = tasks.Critical
	if r := b.send(other); !r.Duplicate {
		t.Fatalf("another priority made another send: %+v", r)
	}
	other.Data = map[string]string{"thing1": "something else"}
	if _, err := b.client.Send(t.Context(), other); !errors.Is(err, producer.ErrConflict) {
		t.Fatal(err)
	}
	other = notification("a")
	other.To.OpenID = "o-somebody-else"
	if _, err := b.client.Send(t.Context(), other); !errors.Is(err, producer.ErrConflict) {
		t.Fatal(err)
	}
}

func TestSameIDAfterItsOutcome(t *testing.T) {
	b := setup(t)
	b.attempt(notification("done"), ledger.Settlement{Next: ledger.End, Outcome: tasks.Accepted, MsgID: "1988810812324364291"})
	if r := b.send(notification("done")); !r.Duplicate || r.Status != "accepted" {
		t.Fatalf("%+v", r)
	}
	other := notification("done")
	other.Page = new("")
	if _, err := b.client.Send(t.Context(), other); !errors.Is(err, producer.ErrConflict) {
		t.Fatal(err)
	}
	if s, err := b.client.Status(t.Context(), app, "done"); err != nil || s.MsgID != "1988810812324364291" || s.Reason != "" {
		t.Fatalf("%+v %v", s, err)
	}
}

// A record without an outcome is no evidence that a task exists: it is enqueued again.
func TestSameIDWhoseTaskIsGone(t *testing.T) {
	b := setup(t)
	b.attempt(notification("a"), ledger.Settlement{Next: ledger.Retry, Errcode: -1})
	if r := b.send(notification("a")); r.Duplicate {
		t.Fatalf("%+v", r)
	}
}

func TestSameIDAtOnce(t *testing.T) {
	b := setup(t)
	var wg sync.WaitGroup
	fresh := make(chan producer.Receipt, 50)
	for range 50 {
		wg.Go(func() {
			r, err := b.client.Send(context.Background(), notification("x"))
			if err != nil {
				t.Error(err)
			}
			if !r.Duplicate {
				fresh <- r
			}
		})
	}
	wg.Wait()
	if len(fresh) != 1 {
		t.Fatalf("%d of 50 were told that theirs is the first", len(fresh))
	}
}

func TestStatusSaysWhy(t *testing.T) {
	b := setup(t)
	b.attempt(notification("refused"), ledger.Settlement{Next: ledger.End, Outcome: tasks.Dead, Errcode: 47003, Detail: "data.thing1.value"})
	s, err := b.client.Status(t.Context(), app, "refused")
	if err != nil || s.Status != "dead" || s.Errcode != 47003 || !strings.Contains(s.Reason, "data.thing1.value") ||
		s.Remedy != errcode.Lookup(47003).Remedy || s.RemedyZH == "" || s.Attempts != 1 {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := b.client.Status(t.Context(), app, "never"); !errors.Is(err, producer.ErrNotFound) {
		t.Fatal(err)
	}
}

// A record that says sending long after the lease, and no task that would come back to it.
func TestStatusOfAnAbandonedAttempt(t *testing.T) {
	b := setup(t)
	b.attempt(notification("flying"), ledger.Settlement{})
	b.leaseEnded("flying", time.Minute)
	if s, err := b.client.Status(t.Context(), app, "flying"); err != nil || s.Status != tasks.StatusSending {
		t.Fatalf("while asynq may still bring it back: %+v %v", s, err)
	}
	b.leaseEnded("flying", time.Hour)
	s, err := b.client.Status(t.Context(), app, "flying")
	if err != nil || s.Status != tasks.Status(tasks.Unknown) || s.Remedy == "" || s.Attempts != 1 {
		t.Fatalf("%+v %v", s, err)
	}
	waiting := notification("waiting")
	waiting.To.OpenID = "o-another"
	b.send(waiting)
	b.attempt(waiting, ledger.Settlement{})
	b.leaseEnded("waiting", time.Hour)
	if s, err := b.client.Status(t.Context(), app, "waiting"); err != nil || s.Status != tasks.StatusSending {
		t.Fatalf("its task is there: %+v %v", s, err)
	}
}

// leaseEnded changes the record of an attempt so that its lease ended that long ago.
func (b *bundle) leaseEnded(id string, ago time.Duration) {
	b.Helper()
	known, err := b.ledger.Lookup(b.Context(), app, id)
	if err != nil {
		b.Fatal(err)
	}
	for _, key := range b.rdb.Keys(b.Context(), "wxn:r:*").Val() {
		fields := strings.Split(b.rdb.Get(b.Context(), key).Val(), ";")
		if fields[9] == fmt.Sprint(known.Record.LeaseEnd.UnixMilli()) {
			fields[9] = fmt.Sprint(time.Now().Add(-ago).UnixMilli())
			b.rdb.Set(b.Context(), key, strings.Join(fields, ";"), time.Hour)
			return
		}
	}
	b.Fatalf("no record of %s", id)
}

func TestCancel(t *testing.T) {
	b := setup(t)
	b.send(notification("a"))
	for range 2 {
		if s, err := b.client.Cancel(t.Context(), app, "a"); err != nil || s.Status != "canceled" {
			t.Fatalf("%+v %v", s, err)
		}
	}
	if r := b.send(notification("a")); !r.Duplicate || r.Status != "canceled" {
		t.Fatalf("a canceled id was enqueued again: %+v", r)
	}
	b.attempt(notification("flying"), ledger.Settlement{})
	var late *producer.NotCancelableError
	if _, err := b.client.Cancel(t.Context(), app, "flying"); !errors.As(err, &late) || late.Status != tasks.StatusSending {
		t.Fatal(err)
	}
	if _, err := b.client.Cancel(t.Context(), app, "never"); !errors.Is(err, producer.ErrNotFound) {
		t.Fatal(err)
	}
}

// The recipient of a queued login code is known to nobody.
func TestCancelWithLoginCode(t *testing.T) {
	b := setup(t)
	code := func(id string) producer.Notification {
		n := notification(id)
		n.To = producer.Recipient{Code: "code-of-" + id}
		return n.WithDefaults()
	}
	for name, workers := range map[string]func(n producer.Notification){
		"queued": func(producer.Notification) {},
		"claimed": func(n producer.Notification) {
			if _, err := b.ledger.ClaimCode(t.Context(), app, n.ID, n.To.Code, n.ContentHash()); err != nil {
				t.Fatal(err)
			}
		},
		"exchanged": func(n producer.Notification) {
			if err := b.ledger.Exchanged(t.Context(), app, n.ID, n.To.Code, n.ContentHash(), user); err != nil {
				t.Fatal(err)
			}
		},
	} {
		n := code(name)
		b.send(n)
		workers(n)
		for range 2 {
			if s, err := b.client.Cancel(t.Context(), app, n.ID); err != nil || s.Status != "canceled" {
				t.Fatalf("%s: %+v %v", name, s, err)
			}
		}
		if r := b.send(n); !r.Duplicate || r.Status != "canceled" {
			t.Fatalf("%s: a canceled id was enqueued again: %+v", name, r)
		}
		openID, err := b.ledger.ClaimCode(t.Context(), app, n.ID, n.To.Code, n.ContentHash())
		if err != nil || (openID == user) != (name == "exchanged") {
			t.Fatalf("%s: the worker's claim: %v", name, err)
		}
		ref := ledger.Ref{App: app, ID: n.ID, OpenID: ledger.CodeRecipient(n.To.Code), Exchanged: true}
		if openID != "" {
			ref.OpenID = openID
		}
		got, err := b.ledger.Admit(t.Context(), ledger.Admission{Ref: ref, Kind: n.Kind, Attempt: ledger.NewAttempt(), Lease: time.Minute, CreatedAt: time.Now()})
		if err != nil || got.Verdict != ledger.Ended {
			t.Fatalf("%s: a worker may send it: %+v %v", name, got, err)
		}
	}
	taken := code("taken")
	b.send(taken)
	if _, err := b.ledger.ClaimCode(t.Context(), app, "taken", "another", "other-content-ha"); err != nil {
		t.Fatal(err)
	}
	if s, err := b.client.Cancel(t.Context(), app, "taken"); !errors.Is(err, producer.ErrConflict) {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestLoginCodesAreContent(t *testing.T) {
	b := setup(t)
	n := notification("a")
	n.To = producer.Recipient{Code: "first"}
	b.send(n)
	if r := b.send(n); !r.Duplicate {
		t.Fatalf("%+v", r)
	}
	n.To.Code = "second"
	if _, err := b.client.Send(t.Context(), n); !errors.Is(err, producer.ErrConflict) {
		t.Fatal(err)
	}
}

// The receipt's ErrorCode is no errcode of the table, and its word is shown.
func TestReceiptsInStatus(t *testing.T) {
	b := setup(t)
	for msgID, r := range map[string]ledger.Receipt{
		"1": {Delivered: true}, "2": {ErrorCode: 43101, ErrorStatus: "failed:system"}, "3": {ErrorCode: 2},
	} {
		n := notification("n" + msgID)
		b.attempt(n, ledger.Settlement{Next: ledger.End, Outcome: tasks.Accepted, MsgID: msgID})
		r.App, r.OpenID, r.MsgID = app, n.To.OpenID, msgID
		if joined, err := b.ledger.Receive(t.Context(), r); err != nil || joined != ledger.ReceiptJoined {
			t.Fatal(joined, err)
		}
		s, err := b.client.Status(t.Context(), app, n.ID)
		if err != nil {
			t.Fatal(err)
		}
		if r.Delivered {
			if s.Status != tasks.StatusDelivered || s.Reason != "" || s.Remedy != "" || s.Errcode != 0 {
				t.Errorf("%+v", s)
			}
			continue
		}
		e, _ := errcode.LookupReason(errcode.ReasonUndelivered)
		reason, reasonZH := e.Meaning, e.MeaningZH
		if r.ErrorStatus != "" {
			reason, reasonZH = reason+" (failed:system)", reasonZH+"（failed:system）"
		}
		if s.Status != tasks.StatusUndelivered || s.Errcode != r.ErrorCode || s.Reason != reason || s.ReasonZH != reasonZH || s.Remedy != e.Remedy {
			t.Errorf("%+v", s)
		}
		if d := b.send(n); !d.Duplicate || d.Status != tasks.StatusUndelivered {
			t.Errorf("%+v", d)
		}
	}
}

// 40001 means another thing where the AppSecret is shown.
func TestStatusOfALoginCodeThatFailed(t *testing.T) {
	b := setup(t)
	b.attempt(notification("a"), ledger.Settlement{Next: ledger.End, Outcome: tasks.Dead, Errcode: 40001, Reason: errcode.ReasonLoginCode})
	s, err := b.client.Status(t.Context(), app, "a")
	if err != nil || !strings.Contains(s.Reason, errcode.LookupFor(errcode.APICodeToSession, 40001).Meaning) {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestUnknownApp(t *testing.T) {
	b := setup(t)
	if err := tasks.NewServed(b.rdb, "").Announce(t.Context(), map[string]tasks.ConsentPolicy{app: {}}, time.Now()); err != nil {
		t.Fatal(err)
	}
	n := notification("a")
	n.App = "wx0000000000000000"
	if _, err := b.client.Send(t.Context(), n); !errors.Is(err, producer.ErrUnknownApp) {
		t.Fatal(err)
	}
	b.send(notification("a"))
}

func TestSendManyAnswersEachInOrder(t *testing.T) {
	b := setup(t)
	var list []producer.Notification
	for i := range 200 {
		n := notification(fmt.Sprint("n", i))
		if i%10 == 3 {
			n.TemplateID = ""
		}
		list = append(list, n)
	}
	results := b.client.SendMany(t.Context(), list)
	if len(results) != len(list) {
		t.Fatal(len(results))
	}
	for i, r := range results {
		var refused *producer.ValidationError
		if bad := i%10 == 3; bad != errors.As(r.Err, &refused) || !bad && r.ID != list[i].ID {
			t.Fatalf("%d: %+v", i, r)
		}
	}
	if got := b.client.SendMany(t.Context(), nil); len(got) != 0 {
		t.Fatal(got)
	}
}

func TestNamespacesAreApart(t *testing.T) {
	b := setup(t)
	other, err := producer.New(b.server.URL, producer.WithNamespace("b"), producer.WithPoolSize(2))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	b.send(notification("a"))
	if r, err := other.Send(t.Context(), notification("a")); err != nil || r.Duplicate {
		t.Fatal(r, err)
	}
	if _, err := producer.New(b.server.URL, producer.WithNamespace("a b")); err == nil {
		t.Fatal("a bad namespace passed")
	}
	if _, err := producer.New("http://u:CANARY@h"); err == nil || strings.Contains(err.Error(), "CANARY") {
		t.Fatal(err)
	}
}

// blackHole is an address that never answers a connection's first packet, as behind a
// firewall that drops it: a listener with no room for more connections.
func blackHole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var listenErr error
	if err := errors.Join(raw.Control(func(fd uintptr) { listenErr = syscall.Listen(int(fd), 0) }), listenErr); err != nil {
		t.Fatal(err)
	}
	for range 16 {
		conn, err := net.DialTimeout("tcp", l.Addr().String(), 300*time.Millisecond)
		if err != nil {
			return l.Addr().String()
		}
		t.Cleanup(func() { _ = conn.Close() })
	}
	t.Skip("a full listener still takes connections here")
	return ""
}

// Redis away, hanging, unreachable, and back: a clear error within 2 s, then all as before.
func TestRedisAwayOrHanging(t *testing.T) {
	b := setup(t)
	hanging, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hanging.Close() }()
	hung, err := producer.New("redis://u:CANARY@" + hanging.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = hung.Close() }()
	lost, err := producer.New("redis://u:CANARY@" + blackHole(t))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lost.Close() }()
	b.server.Kill()
	var calls sync.WaitGroup
	for name, client := range map[string]*producer.Client{"hanging": hung, "unreachable": lost, "away": b.client} {
		for call, f := range map[string]func() error{
			"Send":   func() error { _, err := client.Send(t.Context(), notification("a")); return err },
			"Status": func() error { _, err := client.Status(t.Context(), app, "a"); return err },
			"Cancel": func() error { _, err := client.Cancel(t.Context(), app, "a"); return err },
			"Ping":   func() error { return client.Ping(t.Context()) },
			"GrantFormID": func() error {
				_, err := client.GrantFormID(t.Context(), producer.FormID{App: app, OpenID: user, FormID: "f"})
				return err
			},
			"GrantSubscription": func() error {
				_, err := client.GrantSubscription(t.Context(), producer.Subscription{App: app, OpenID: user, ReportID: "r", Results: map[string]string{"a": "accept"}})
				return err
			},
			"GrantByHand": func() error { _, err := client.GrantByHand(t.Context(), app, user, []string{"a"}); return err },
			"Credits":     func() error { _, err := client.Credits(t.Context(), app, user); return err },
			"EraseUser":   func() error { return client.EraseUser(t.Context(), app, user) },
			"SendMany": func() error {
				results := client.SendMany(t.Context(), make([]producer.Notification, 100))
				for i := range results {
					var refused *producer.ValidationError
					if !errors.As(results[i].Err, &refused) {
						return fmt.Errorf("item %d: %v", i, results[i].Err)
					}
				}
				return client.SendMany(t.Context(), []producer.Notification{notification("a"), notification("b")})[1].Err
			},
		} {
			calls.Go(func() {
				start := time.Now()
				err := f()
				if !errors.Is(err, producer.ErrUnavailable) || strings.Contains(err.Error(), "CANARY") {
					t.Errorf("%s, %s: %v", name, call, err)
				}
				if took := time.Since(start); took > 4*time.Second { // 2 s, and a busy machine
					t.Errorf("%s, %s: answered after %v", name, call, took)
				}
			})
		}
	}
	calls.Wait()
	b.server.Start(t)
	taskstest.Eventually(t, 10*time.Second, func() string {
		if _, err := b.client.Send(t.Context(), notification("back")); err != nil {
			return err.Error()
		}
		return ""
	})
}

func TestCallersOwnContext(t *testing.T) {
	b := setup(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.client.Send(ctx, notification("a")); !errors.Is(err, context.Canceled) || errors.Is(err, producer.ErrUnavailable) {
		t.Fatal(err)
	}
}
