package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// More messages die than asynq's archive holds. All are listed by page and, once
// the fault is gone, replayed at a rate by a command that is killed and repeated:
// each is accepted exactly once.
func TestDeadLettersAreReplayedOnce(t *testing.T) {
	const n = 10_500
	w := newWorld(t)
	w.sandbox.refuseAll(47003)
	g := w.gateway()
	a, b := w.worker("a", nil), w.worker("b", nil)
	all, ids := messages("dead", n, 2000)
	g.enqueue(all)
	taskstest.Eventually(t, 5*time.Minute, func() string { // listing that many takes its time
		if got := w.rdb.ZCard(t.Context(), "wxn:dead:"+testApp).Val(); got != n {
			return fmt.Sprintf("%d dead letters, want %d", got, n)
		}
		return ""
	})
	listed := g.listDead("limit=1000")
	for _, id := range ids {
		if listed[id] != 1 {
			t.Fatalf("%s was listed %d times, want once", id, listed[id])
		}
	}
	if len(listed) != n || len(g.listDead("reason=47003&template=e2e-template")) != n || len(g.listDead("older_than=1h")) != 0 {
		t.Errorf("%d listed, want %d, all for 47003 and none older than an hour", len(listed), n)
	}
	taskstest.Eventually(t, time.Minute, func() string {
		if got := series(t, a.admin, "wxnotify_dead_letters", map[string]string{"app": testApp}); got != n {
			return fmt.Sprintf("wxnotify_dead_letters is %v, want %d", got, n)
		}
		return ""
	})
	command(t, w.env, "dead", "show", ids[0]).want(t, 0, "47003", "remedy", "data thing2", fmt.Sprintf("•••(%d)", len(contentCanary)))
	command(t, w.env, "dead", "show", ids[0], "--lang=zh").want(t, 0, "模板")
	command(t, w.env, "dead", "list", "--limit=2").want(t, 0, "47003", "more: --cursor ")
	command(t, w.env, "dead", "replay", "--reason=47003", "--dry-run").want(t, 0, fmt.Sprintf("%d would be replayed", n))

	w.sandbox.faults(sandbox.Faults{})
	cut := start(t, "dead replay", w.env, "dead", "replay", "--reason=47003", "--rate=300")
	w.sandbox.awaitAccepted(300)
	cut.kill()
	command(t, w.env, "dead", "replay", "--all", "--rate=2000").want(t, 0, "replayed")
	w.sandbox.awaitAccepted(n)
	wantAll(t, g.outcomes(testApp, ids, 2*time.Minute), "accepted")
	wantOnce(t, w.sandbox.report(testApp, true), n)
	command(t, w.env, "dead", "replay", "--all").want(t, 0, "No dead letters match")
	g.awaitDead(0, 30*time.Second)
	wantCleanExit(t, a.process, b.process)
}

// A task that is run by a person past us, as in a writable dashboard, leaves the
// list; what is dropped is not sent.
func TestDeadLettersRunByHandAndDropped(t *testing.T) {
	w := newWorld(t)
	w.sandbox.refuseAll(47003)
	g := w.gateway()
	a := w.worker("a", nil)
	all, ids := messages("hand", 3, 3)
	g.enqueue(all)
	g.awaitDead(3, time.Minute)
	w.sandbox.faults(sandbox.Faults{})
	taskstest.Eventually(t, 30*time.Second, func() string { // asynq archives it a moment after its outcome
		if err := asynq.NewInspectorFromRedisClient(w.rdb).RunTask(testApp+".default", tasks.TaskID(testApp, ids[0])); err != nil {
			return err.Error()
		}
		return ""
	})
	g.awaitStatus(ids[0], "accepted", time.Minute)
	g.awaitDead(2, 30*time.Second)
	command(t, w.env, "dead", "drop", ids[1]).want(t, 0, "1 dropped")
	code, body := request(t, http.MethodPost, g.url+"/v1/dead:drop", gatewayKey, map[string]any{"app": testApp, "limit": 1, "all": true})
	if code != http.StatusOK || !strings.Contains(body, `"dropped":1`) || !strings.Contains(body, `"more":false`) {
		t.Errorf("drop over HTTP: %d %s", code, body)
	}
	g.awaitDead(0, 30*time.Second)
	command(t, w.env, "status", ids[1]).want(t, 0, "dead")
	command(t, w.env, "dead", "show", ids[1]).want(t, 1, "no dead letter")
	command(t, w.env, "dead", "replay", ids[1]).want(t, 0, "1 skipped")
	command(t, w.env, "dead", "replay", "--all", "--rate=0").want(t, 2, "rate")
	command(t, w.env, "dead", "drop").want(t, 2, "--all")
	command(t, w.env, "dead", "list", "--reason=moon_phase").want(t, 2, "reason", "horizon")
	command(t, w.env, "dead", "list").want(t, 0, "No dead letters match")
	var page struct{ Letters []any }
	decode(t, command(t, w.env, "dead", "list", "--all", "--json"), &page)
	wantOnce(t, w.sandbox.report(testApp, true), 1)
	wantCleanExit(t, a.process)
}

// refuseAll answers every send with an errcode.
func (s *sandboxProcess) refuseAll(code int) {
	s.t.Helper()
	s.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APISubscribeSend: {Errcodes: map[int]float64{code: 1}}}})
}

// listDead reads all pages and counts how often each id is listed.
func (g *gatewayProcess) listDead(query string) map[string]int {
	g.t.Helper()
	listed := map[string]int{}
	for cursor, first := "", true; first || cursor != ""; first = false {
		code, body := get(g.t, g.url+"/v1/dead?app="+testApp+"&"+query+"&cursor="+cursor, gatewayKey)
		var page struct {
			Letters []struct{ ID string }
			Next    string
		}
		if err := json.Unmarshal([]byte(body), &page); err != nil || code != http.StatusOK {
			g.t.Fatalf("list dead letters: %d %s", code, body)
		}
		noLeak(g.t, "a list of dead letters", body)
		for _, d := range page.Letters {
			listed[d.ID]++
		}
		cursor = page.Next
	}
	return listed
}

// awaitDead waits until so many dead letters are listed.
func (g *gatewayProcess) awaitDead(n int, within time.Duration) {
	g.t.Helper()
	taskstest.Eventually(g.t, within, func() string {
		if got := len(g.listDead("limit=1000")); got != n {
			return fmt.Sprintf("%d dead letters, want %d", got, n)
		}
		return ""
	})
}
