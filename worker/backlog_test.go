package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// Users accepted and were sent to while no worker ran: whichever is met first, every
// consent counts.
func TestConsentsThatWaitedCount(t *testing.T) {
	b := setup(t)
	b.consent = tasks.ConsentPolicy{Mode: tasks.CreditsEnforce, Source: tasks.ConsentEvent}
	b.grace = time.Millisecond
	b.next(sandbox.Script{API: sandbox.APIGetTemplates, Errcode: 45009, Count: 100}) // what is listed stays
	list := []catalogue.Template{{ID: "tmpl", Type: tasks.OneTime}}
	if err := catalogue.New(b.rdb, "").Store(b.Context(), app, time.Now(), list); err != nil {
		t.Fatal(err)
	}
	const others, users = 2000, 100 // the users' own consents come last
	queue := tasks.NewClient(b.rdb, "")
	for i := range others + users {
		e := tasks.Event{App: app, OpenID: fmt.Sprint(openID, i-others), Name: tasks.EventPopup, At: time.Now(), Source: fmt.Sprint(i), Items: []tasks.EventItem{said("accept")}}
		if err := queue.EnqueueEvent(b.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	b.waitedSince(time.Now().Add(-time.Minute))
	for i := range users {
		b.send(notification(fmt.Sprint(i)))
	}
	b.start()
	for i := range users {
		b.await(fmt.Sprint(i), "accepted")
	}
	more := notification("more")
	more.To.OpenID = openID + "0"
	b.send(more)
	b.await("more", "no_credit")
}

// A worker died with a user's consent in its hands: asynq brings the push back in its own
// time, and what that allows waits for it.
func TestConsentInADeadWorkersHandsCounts(t *testing.T) {
	b := setup(t)
	b.consent = tasks.ConsentPolicy{Mode: tasks.CreditsEnforce, Source: tasks.ConsentEvent}
	b.grace = time.Millisecond
	b.next(sandbox.Script{API: sandbox.APIGetTemplates, Errcode: 45009, Count: 100}) // what is listed stays
	list := []catalogue.Template{{ID: "tmpl", Type: tasks.OneTime}}
	if err := catalogue.New(b.rdb, "").Store(b.Context(), app, time.Now(), list); err != nil {
		t.Fatal(err)
	}
	b.push(tasks.EventPopup, "consent", time.Now(), said("accept"))
	b.takenByTheDead(time.Now().Add(-time.Minute))
	n := notification("first")
	n.To.OpenID = user
	b.send(n)
	b.start()
	b.await("first", "accepted")
}

// takenByTheDead has the only push be in the hands of a worker whose lease ended then.
func (b *bundle) takenByTheDead(lease time.Time) {
	b.Helper()
	key := "asynq:{" + app + ".events}:"
	id, err := b.rdb.RPopLPush(b.Context(), key+"pending", key+"active").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, err = b.rdb.TxPipelined(b.Context(), func(p redis.Pipeliner) error {
		p.HSet(b.Context(), key+"t:"+id, "state", "active")
		p.HDel(b.Context(), key+"t:"+id, "pending_since")
		p.ZAdd(b.Context(), key+"lease", redis.Z{Score: float64(lease.Unix()), Member: id})
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// waitedSince makes the pushes that wait older.
func (b *bundle) waitedSince(since time.Time) {
	b.Helper()
	key := "asynq:{" + app + ".events}:"
	_, err := b.rdb.Pipelined(b.Context(), func(p redis.Pipeliner) error {
		for _, id := range b.rdb.LRange(b.Context(), key+"pending", 0, -1).Val() {
			p.HSet(b.Context(), key+"t:"+id, "pending_since", since.UnixNano())
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
