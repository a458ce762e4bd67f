package worker

import (
	"errors"
	"fmt"
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
