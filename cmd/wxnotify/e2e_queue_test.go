package main_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

const newerPayload = `{"v":999,"app":"` + testApp + `","id":"newer","shape":["nobody","knows"]}`

// badTasks is what may lie in our queues without being ours to send, by task id.
var badTasks = []struct {
	id, taskType, payload string
	state                 asynq.TaskState
	reason                string
}{
	{"garbage", "wxnotify:subscribe", contentCanary + " is no JSON", asynq.TaskStateArchived, "garbage"},
	{"hollow", "wxnotify:subscribe", `{"v":1}`, asynq.TaskStateArchived, "garbage"},
	{"elsewhere", "wxnotify:subscribe", `{"v":1,"app":"wxelsewhere","id":"x","to":"` + openIDPrefix + `","tpl":"t","data":{"a":"b"},"enq":1,"hash":"h"}`, asynq.TaskStateArchived, "garbage"},
	{"foreign", "email:welcome", contentCanary, asynq.TaskStateRetry, "foreign"},
	{"lookalike", "wxnotify", contentCanary, asynq.TaskStateRetry, "foreign"},
	{"newer", "wxnotify:subscribe", newerPayload, asynq.TaskStateRetry, "newer"},
	{"newer-kind", "wxnotify:hologram", newerPayload, asynq.TaskStateRetry, "newer"},
}

// Garbage is buried, what others or a newer version put there waits, each is
// counted, and nothing else is disturbed.
func TestWhatIsNotOursIsSetAside(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	queue := tasks.Namespace("").Queue(testApp, tasks.Default)
	w.putBadTasks(queue)
	a := w.worker("a", nil)
	g := w.gateway()

	if code, _ := g.send(message("good", 1)); code != http.StatusAccepted {
		t.Errorf("a good notification among bad tasks: %d, want 202", code)
	}
	g.on(t).wantAccepted("good")
	w.wantSetAside(queue, a)
	command(t, w.env, "check").want(t, 1, "email:welcome", "are not ours")
}

func (w *world) putBadTasks(queue string) {
	w.t.Helper()
	client := asynq.NewClientFromRedisClient(w.rdb)
	for _, bad := range badTasks {
		task := asynq.NewTask(bad.taskType, []byte(bad.payload))
		if _, err := client.EnqueueContext(w.t.Context(), task, asynq.Queue(queue), asynq.TaskID(bad.id)); err != nil {
			w.t.Fatalf("put %s into the queue: %v", bad.id, err)
		}
	}
}

func (w *world) wantSetAside(queue string, a *workerProcess) {
	w.t.Helper()
	inspector := asynq.NewInspectorFromRedisClient(w.rdb)
	reasons := map[string]float64{}
	for _, bad := range badTasks {
		reasons[bad.reason]++
		taskstest.Eventually(w.t, 10*time.Second, func() string {
			info, err := inspector.GetTaskInfo(queue, bad.id)
			if err != nil || info.State != bad.state {
				return fmt.Sprintf("task %s: %+v, %v, want it in state %v", bad.id, info, err, bad.state)
			}
			noLeak(w.t, "the error of task "+bad.id, info.LastErr)
			return ""
		})
	}
	for reason, want := range reasons {
		if got := series(w.t, a.admin, "wxnotify_tasks_set_aside_total", map[string]string{"reason": reason}); got != want {
			w.t.Errorf("wxnotify_tasks_set_aside_total{reason=%q} is %v, want %v", reason, got, want)
		}
	}
}
