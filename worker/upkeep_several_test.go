package worker

import (
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// A message to several that goes with all its users leaves no record behind, which would
// wait for an attempt that never comes.
func TestErasureTakesTheRecordOfSeveral(t *testing.T) {
	t.Parallel()
	l := ledger.New(taskstest.StartRedis(t).Client(t), "", ledger.Options{})
	made := time.Now()
	e := tasks.Envelope{Notification: tasks.Notification{
		App: "wx1", ID: "a", Kind: tasks.KindDevice, To: tasks.Recipient{OpenIDs: []string{"oA", "oB"}},
	}, EnqueuedAt: made}
	a := ledger.Admission{
		Ref: ledger.Ref{App: e.App, ID: e.ID, OpenID: e.To.Key()}, Kind: e.Kind, Attempt: ledger.NewAttempt(),
		Lease: time.Minute, CreatedAt: made,
	}
	if err := l.Claim(t.Context(), a.Ref, "0123456789abcdef"); err != nil {
		t.Fatal(err)
	}
	if got, err := l.Admit(t.Context(), a); err != nil || got.Verdict != ledger.Go {
		t.Fatal(got, err)
	}
	at := fmt.Sprint(made.Add(time.Minute).UnixMilli())
	due := ledger.Erasures{ledger.Tag(e.App, "oA"): at, ledger.Tag(e.App, "oB"): at}
	if gone, err := (&Worker{}).erases(t.Context(), due, tasks.Task{Envelope: e, State: asynq.TaskStateRetry}); err != nil || !gone {
		t.Fatal(gone, err)
	}
	if _, err := l.EraseRecords(t.Context(), due); err != nil {
		t.Fatal(err)
	}
	if known, err := l.Lookup(t.Context(), e.App, e.ID); !errors.Is(err, ledger.ErrNotFound) {
		t.Errorf("%+v, %v are left", known.Record, err)
	}
}

// A message whose login code was exchanged, and that was held back before its first attempt,
// has no record: nothing may tell whom the code stood for once that user was erased.
func TestErasureTakesTheOpenIDOfALoginCodeThatWaits(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	l, queue := ledger.New(rdb, "", ledger.Options{}), tasks.NewClient(rdb, "")
	e, err := queue.Seal(tasks.Notification{
		App: "wx1", ID: "a", To: tasks.Recipient{Code: "code"}, TemplateID: "tmpl", Data: map[string]string{"thing1": "v"},
	})
	if err != nil {
		t.Fatal(err)
	}
	e.SendAt, e.EnqueuedAt = time.Now().Add(time.Hour), time.Now().Add(-2*time.Hour) // as one that waits to be tried again
	if err := queue.Enqueue(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ClaimCode(t.Context(), e.App, e.ID, "code", e.Hash); err != nil {
		t.Fatal(err)
	}
	if err := l.Exchanged(t.Context(), e.App, e.ID, "code", e.Hash, "oA"); err != nil {
		t.Fatal(err)
	}
	if err := l.Erase(t.Context(), e.App, "oA"); err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour).UnixMilli() // the erasure is due
	if err := rdb.HSet(t.Context(), "wxn:erase", ledger.Tag(e.App, "oA"), long).Err(); err != nil {
		t.Fatal(err)
	}
	w := &Worker{tasks: queue, cfg: Config{Ledger: l, Logger: slog.New(slog.DiscardHandler)}}
	if err := w.erase(t.Context(), tasks.JobTask{}); err != nil {
		t.Fatal(err)
	}
	if openID, err := l.Recipient(t.Context(), e.App, e.ID); openID != "" || err != nil {
		t.Errorf("the openid %q is left, %v", openID, err)
	}
}
