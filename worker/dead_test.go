package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// awaitLetters waits until the app has so many dead letters, and returns them.
func (b *bundle) awaitLetters(n int) []producer.DeadLetter {
	b.Helper()
	var page producer.DeadPage
	taskstest.Eventually(b, 60*time.Second, func() string {
		var err error
		if page, err = b.client.DeadLetters(b.Context(), producer.DeadFilter{App: app}, "", 100); err != nil || len(page.Letters) != n {
			return fmt.Sprintf("%d dead letters, %v, want %d\n%s", len(page.Letters), err, n, b.log.tail())
		}
		return ""
	})
	return page.Letters
}

// What dies has its letter; a replay sends it, and the letter is gone. So does Run
// in a writable dashboard.
func TestDeadLettersAreKeptAndReplayed(t *testing.T) {
	b := setup(t)
	b.next(send("", 47003, 2))
	b.start()
	b.send(notification("a"))
	b.await("a", "dead")
	b.send(notification("b"))
	b.await("b", "dead")
	letters := b.awaitLetters(2)
	if d := letters[0]; d.ID != "a" || d.ReasonCode != "47003" || d.Errcode != 47003 || d.Attempts != 1 || d.TemplateID != "tmpl" || d.Remedy == "" {
		t.Errorf("%+v", d)
	}
	counts, err := b.client.ReplayDead(t.Context(), producer.DeadFilter{App: app, IDs: []string{"a"}}, producer.DeadRun{Rate: 10})
	if err != nil || counts.Done != 1 {
		t.Fatal(counts, err)
	}
	b.await("a", "accepted")
	b.awaitLetters(1)
	taskstest.Eventually(t, 60*time.Second, func() string { // asynq archives it a moment after its outcome
		if err := asynq.NewInspectorFromRedisClient(b.rdb).RunTask(app+".default", tasks.TaskID(app, "b")); err != nil {
			return err.Error()
		}
		return ""
	})
	b.await("b", "accepted")
	b.awaitLetters(0)
	if b.accepted("a") != 1 || b.accepted("b") != 1 {
		t.Errorf("accepted %d and %d times, want once each", b.accepted("a"), b.accepted("b"))
	}
}

// A worker that starts finds what was archived meanwhile, by a person or by asynq.
func TestWhatWasArchivedWithoutUsIsFound(t *testing.T) {
	b := setup(t)
	b.send(notification("archived"))
	b.send(notification("waits"))
	b.send(notification("canceled"))
	inspector := asynq.NewInspectorFromRedisClient(b.rdb)
	if err := inspector.ArchiveTask(app+".default", tasks.TaskID(app, "archived")); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Cancel(t.Context(), app, "canceled"); err != nil {
		t.Fatal(err)
	}
	if err := inspector.ArchiveTask(app+".default", tasks.TaskID(app, "canceled")); err != nil {
		t.Fatal(err)
	}
	garbage := asynq.NewTask("mail:send", []byte("x"))
	if _, err := asynq.NewClientFromRedisClient(b.rdb).Enqueue(garbage, asynq.Queue(app+".default"), asynq.TaskID("mail")); err != nil {
		t.Fatal(err)
	}
	if err := inspector.ArchiveTask(app+".default", "mail"); err != nil {
		t.Fatal(err)
	}
	b.start()
	if d := b.awaitLetters(1)[0]; d.ID != "archived" || d.ReasonCode != "archived" || d.Attempts != 0 {
		t.Errorf("%+v", d)
	}
	if s := b.await("archived", "dead"); s.Reason == "" || s.Remedy == "" {
		t.Errorf("%+v", s)
	}
	b.await("waits", "accepted")
	b.await("canceled", "canceled") // and once that is forgotten, nothing is left that looks unsent
	taskstest.Eventually(t, 60*time.Second, func() string {
		if list := b.list(asynq.TaskStateArchived); len(list) != 2 {
			return fmt.Sprintf("%d archived, want the dead one and another program's", len(list))
		}
		return ""
	})
	if counts, err := b.client.DropDead(t.Context(), producer.DeadFilter{App: app}, producer.DeadRun{Rate: 10}); err != nil || counts.Done != 1 {
		t.Fatal(counts, err)
	}
	b.awaitLetters(0)
	b.await("archived", "dead")
	if list := b.list(asynq.TaskStateArchived); len(list) != 1 || list[0].ID != "mail" {
		t.Errorf("%d archived, want the other program's task alone", len(list))
	}
	if b.accepted("archived") != 0 {
		t.Error("what was dropped was sent")
	}
}
