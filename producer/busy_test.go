package producer_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// maxMemory sets maxmemory so that what is used is the given share of it.
func (b *bundle) maxMemory(share float64) {
	b.Helper()
	rdb := b.server.Client(b)
	if err := rdb.ConfigSet(b.Context(), "maxmemory", "0").Err(); err != nil {
		b.Fatal(err)
	}
	// Beside this, what connections come and go with weighs little.
	if err := rdb.SetRange(b.Context(), "ballast", 16<<20, "x").Err(); err != nil {
		b.Fatal(err)
	}
	m, err := tasks.ReadMemory(b.Context(), rdb)
	if err != nil {
		b.Fatal(err)
	}
	if err := rdb.ConfigSet(b.Context(), "maxmemory", fmt.Sprint(int64(float64(m.Used)/share))).Err(); err != nil {
		b.Fatal(err)
	}
}

// await waits until a call answers as wanted: what a client knows of Redis's memory
// may be a second old.
func (b *bundle) await(want error, call func() error) {
	b.Helper()
	taskstest.Eventually(b, 15*time.Second, func() string {
		if err := call(); !errors.Is(err, want) {
			return fmt.Sprintf("%v, want %v", err, want)
		}
		return ""
	})
}

// Several clients fill a small Redis at once, each as fast as it can: all stop
// shortly above the limit.
func TestABurstStopsNearTheLimit(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t, "--maxmemory", "16mb", "--appendonly", "yes")
	n := notification("")
	for i := range 18 {
		n.Data[fmt.Sprint("thing", i+2)] = strings.Repeat("x", 20)
	}
	var stored, maybe atomic.Int64
	var senders sync.WaitGroup
	for range 2 {
		client, err := producer.New(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		for range 8 {
			senders.Go(func() {
				for {
					_, err := client.Send(t.Context(), n)
					switch {
					case err == nil:
						stored.Add(1)
					case errors.Is(err, producer.ErrUnavailable): // the machine is as busy as Redis; it may be stored or not
						maybe.Add(1)
					default:
						if !errors.Is(err, producer.ErrBusy) || !errors.Is(err, tasks.ErrMemoryFull) {
							t.Error(err)
						}
						return
					}
				}
			})
		}
	}
	senders.Wait()
	rdb := server.Client(t)
	m, err := tasks.ReadMemory(t.Context(), rdb)
	if err != nil || m.Share() < 0.80 || m.Share() > 0.88 {
		t.Errorf("%+v: %.1f %%, %v", m, 100*m.Share(), err)
	}
	if n, err := tasks.NewClient(rdb, "").Waiting(t.Context(), app); err != nil || n < stored.Load() || n > stored.Load()+maybe.Load() {
		t.Errorf("%d wait, %v, want the %d that were stored, and at most %d more", n, err, stored.Load(), maybe.Load())
	}
	t.Logf("%d notifications, %.1f %% of %d bytes", stored.Load(), 100*m.Share(), m.Max)
}

// At 85 % nothing new is stored, and all else goes on.
func TestBusyStoresNothingNew(t *testing.T) {
	b := setup(t)
	served := tasks.NewServed(b.server.Client(t), "")
	policy := tasks.ConsentPolicy{Mode: tasks.CreditsObserve, Source: tasks.ConsentReport}
	if err := served.Announce(t.Context(), map[string]tasks.ConsentPolicy{app: policy}, time.Now()); err != nil {
		t.Fatal(err)
	}
	b.send(notification("old"))
	b.maxMemory(0.9)
	b.await(producer.ErrBusy, func() error { _, err := b.client.Send(t.Context(), notification("")); return err })
	if _, err := b.client.Send(t.Context(), notification("new")); !errors.Is(err, producer.ErrBusy) {
		t.Error(err)
	}
	if _, err := b.client.Status(t.Context(), app, "new"); !errors.Is(err, producer.ErrNotFound) {
		t.Error(err)
	}
	if r := b.send(notification("old")); !r.Duplicate {
		t.Errorf("%+v", r)
	}
	other := notification("old")
	other.Page = new("elsewhere")
	if _, err := b.client.Send(t.Context(), other); !errors.Is(err, producer.ErrConflict) {
		t.Error(err)
	}
	results := b.client.SendMany(t.Context(), []producer.Notification{notification("n1"), notification("old"), {}, notification("n2")})
	for i, want := range []error{producer.ErrBusy, nil, results[2].Err, producer.ErrBusy} {
		if !errors.Is(results[i].Err, want) {
			t.Errorf("item %d: %v, want %v", i, results[i].Err, want)
		}
	}
	for name, err := range b.grants("at90") {
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := b.client.Credits(t.Context(), app, user); err != nil {
		t.Error(err)
	}
	if s, err := b.client.Cancel(t.Context(), app, "old"); err != nil || s.Status != tasks.Status(tasks.Canceled) {
		t.Error(s, err)
	}
	b.maxMemory(0.5)
	b.await(nil, func() error { _, err := b.client.Send(t.Context(), notification("new")); return err })
}

// grants stores a consent in every way there is.
func (b *bundle) grants(id string) map[string]error {
	_, form := b.client.GrantFormID(b.Context(), producer.FormID{App: app, OpenID: user, FormID: "form-" + id})
	_, report := b.client.GrantSubscription(b.Context(), producer.Subscription{
		App: app, OpenID: user, ReportID: id, Results: map[string]string{"tmpl": "accept"},
	})
	_, hand := b.client.GrantByHand(b.Context(), app, user, []string{"tmpl"})
	return map[string]error{"form id": form, "report": report, "by hand": hand}
}

// From 95 % on consents are refused, and at 100 % Redis itself refuses: whoever had
// not yet noticed hears the same.
func TestBusyForConsents(t *testing.T) {
	b := setup(t)
	rdb := b.server.Client(t)
	policy := tasks.ConsentPolicy{Mode: tasks.CreditsObserve, Source: tasks.ConsentReport}
	if err := tasks.NewServed(rdb, "").Announce(t.Context(), map[string]tasks.ConsentPolicy{app: policy}, time.Now()); err != nil {
		t.Fatal(err)
	}
	b.send(notification("a"))
	for _, err := range b.grants("first") { // every script is loaded
		if err != nil {
			t.Fatal(err)
		}
	}
	b.maxMemory(0.5)
	before, err := rdb.DBSize(t.Context()).Result()
	if err != nil {
		t.Fatal(err)
	}
	b.maxMemory(1.2)
	calls := b.grants("at120")
	_, calls["send"] = b.client.Send(t.Context(), notification("b"))
	_, calls["cancel"] = b.client.Cancel(t.Context(), app, "a")
	for name, err := range calls {
		if !errors.Is(err, producer.ErrBusy) || !errors.Is(err, tasks.ErrMemoryFull) || errors.Is(err, producer.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if after, err := rdb.DBSize(t.Context()).Result(); err != nil || after != before {
		t.Errorf("%d keys, %v, want the %d there were", after, err, before)
	}
	b.maxMemory(0.97)
	b.await(producer.ErrBusy, func() error { return b.grants("at97")["by hand"] })
	if err := b.grants("at97")["form id"]; !errors.Is(err, producer.ErrBusy) {
		t.Error(err)
	}
	b.maxMemory(0.5)
	b.await(nil, func() error { return errors.Join(b.grants("at50")["form id"], b.grants("at50")["report"]) })
	credits, err := b.client.Credits(t.Context(), app, user)
	refused := slices.ContainsFunc(credits.FormIDs, func(f producer.FormIDCredits) bool { return strings.HasSuffix(f.FormID, "t120") })
	if err != nil || refused || len(credits.FormIDs) < 2 {
		t.Errorf("%+v %v", credits, err)
	}
}

// One app's full queues stop that app alone, until they drain.
func TestMaxQueued(t *testing.T) {
	b := setup(t)
	client, err := producer.New(b.server.URL, producer.WithMaxQueued(5))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	list := make([]producer.Notification, 8)
	for i := range list {
		list[i] = notification(fmt.Sprint("n", i))
		list[i].Priority = tasks.Priorities()[i%3]
	}
	taken := 0
	for _, r := range client.SendMany(t.Context(), list) {
		switch {
		case r.Err == nil:
			taken++
		case !errors.Is(r.Err, producer.ErrBusy) || !errors.Is(r.Err, tasks.ErrQueueFull):
			t.Error(r.Err)
		}
	}
	if taken > 5 { // fewer, if one that was on its way was counted twice for a moment
		t.Errorf("%d were taken, want at most 5", taken)
	}
	for ; taken < 5; taken++ {
		id := fmt.Sprint("more", taken)
		b.await(nil, func() error { _, err := client.Send(t.Context(), notification(id)); return err })
	}
	if _, err := client.Send(t.Context(), notification("toomany")); !errors.Is(err, producer.ErrBusy) {
		t.Errorf("a sixth: %v", err)
	}
	other := notification("other")
	other.App = "wx0000000000000000"
	if _, err := client.Send(t.Context(), other); err != nil {
		t.Error("another app:", err)
	}
	inspector := asynq.NewInspectorFromRedisClient(b.server.Client(t))
	queues, err := inspector.Queues() // not every lane got one
	if err != nil {
		t.Fatal(err)
	}
	for _, queue := range queues {
		if _, err := inspector.DeleteAllPendingTasks(queue); err != nil {
			t.Fatal(err)
		}
	}
	b.await(nil, func() error { _, err := client.Send(t.Context(), notification("later")); return err })
}

// A send asks nothing more of Redis than before, but for a look now and then.
func TestRoomIsLookedAtSeldom(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t, "--maxmemory", "1gb")
	client, err := producer.New(rdb.URL, producer.WithMaxQueued(1_000_000))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	start := time.Now()
	for _, r := range client.SendMany(t.Context(), make500()) {
		if r.Err != nil {
			t.Fatal(r.Err)
		}
	}
	allowed := int(time.Since(start).Seconds()) + 2
	stats, err := rdb.Client(t).Info(t.Context(), "commandstats").Result()
	if err != nil {
		t.Fatal(err)
	}
	for command, perLook := range map[string]int{"info": 1, "llen": len(tasks.Priorities())} {
		calls := 0
		_, line, _ := strings.Cut(stats, "cmdstat_"+command+":")
		if _, err := fmt.Sscanf(line, "calls=%d,", &calls); err != nil || calls > allowed*perLook {
			t.Errorf("%s was called %d times, %v, want at most %d", command, calls, err, allowed*perLook)
		}
	}
}

func make500() []producer.Notification {
	list := make([]producer.Notification, 500)
	for i := range list {
		list[i] = notification("")
	}
	return list
}
