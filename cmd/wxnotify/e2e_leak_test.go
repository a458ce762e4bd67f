package main_test

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// One app for each way in which WeChat can fail.
const (
	appWrongSecret = "wxwrongsecret"
	appRefusing    = "wxrefusing" // nothing listens there
	appHanging     = "wxhanging"  // takes connections and says nothing
	appSilent      = "wxsilent"   // accepts the message and never answers
	appCut         = "wxcut"      // accepts the message and cuts the connection
	appInvalid     = "wxinvalid"  // finds every message wrong
)

const wrongSecret = "canary-wrong-secret-0cc175b9c0f1b6a8"

func troubledApps() []string {
	return []string{appWrongSecret, appRefusing, appHanging, appSilent, appCut, appInvalid}
}

// Whatever goes wrong, nothing that anybody may read holds a secret, a token, an
// openid or the content of a message, and nothing goes out more than twice.
func TestFailuresShowNoSecretAndSendAtMostTwice(t *testing.T) {
	t.Parallel()
	w := newTroubledWorld(t)
	worker := w.worker("a", env{"HTTP_TIMEOUT": "1s"})
	g := w.gateway()
	dashboard := start(t, "dashboard", w.env, "dashboard")
	dashboardURL := "http://" + dashboard.line(`msg="dashboard listens" addr=(\S+)`)
	for _, app := range troubledApps() {
		g.enqueue(troubledMessages(app))
	}
	w.wantTroubledOutcomes(g)

	tokens := []string{w.token(appSilent), w.token(appCut), w.token(appInvalid)}
	canaries := append(slices.Clone(tokens), wrongSecret)
	tasksSeen := 0
	for where, text := range w.everythingShown(dashboardURL, worker.admin, g) {
		noLeak(t, where, text, canaries...)
		tasksSeen += strings.Count(text, `"error_message"`)
	}
	if tasksSeen == 0 {
		t.Error("the dashboard shows no task with an error, so nothing was tested")
	}
	w.wantCleanTaskErrors(canaries)
	w.wantCleanRedis([]string{wrongSecret}, tokens)
	for _, p := range []*process{worker.process, g.process, dashboard, w.sandbox.process} {
		noLeak(t, "the log of "+p.name, p.out.String(), canaries...)
	}
	w.wantAtMostTwice()
	wantCleanExit(t, worker.process, g.process, dashboard)
}

func newTroubledWorld(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.sandbox.kill() // it plays other apps here
	e := w.env.with(env{"APPS": strings.Join(troubledApps(), ","), "WECHAT_URL": "https://sandbox.invalid"})
	delete(e, appVariable(testApp, "SECRET"))
	for _, app := range troubledApps() {
		e[appVariable(app, "SECRET")] = appSecret
	}
	w.sandbox = startSandbox(t, e)
	w.env = e.with(env{
		"WECHAT_URL":                           w.sandbox.url,
		appVariable(appWrongSecret, "SECRET"):  wrongSecret,
		appVariable(appRefusing, "WECHAT_URL"): "http://" + refusingAddr,
		appVariable(appHanging, "WECHAT_URL"):  "http://" + hangingAddr(t),
	})
	w.sandbox.inflict(appSilent, sandbox.CallFaults{Shares: map[sandbox.Fault]float64{sandbox.FaultLostHang: 1}})
	w.sandbox.inflict(appCut, sandbox.CallFaults{Shares: map[sandbox.Fault]float64{sandbox.FaultLostCut: 0.5, sandbox.FaultLostBadGateway: 0.5}})
	w.sandbox.inflict(appInvalid, sandbox.CallFaults{Errcodes: map[int]float64{47003: 1}})
	return w
}

// inflict sets what the sends of an app meet.
func (s *sandboxProcess) inflict(app string, f sandbox.CallFaults) {
	s.t.Helper()
	s.control(http.MethodPut, "faults", map[string]any{
		"app": app, "calls": map[string]sandbox.CallFaults{sandbox.APISubscribeSend: f},
	})
}

// refusingAddr is where nothing listens: an ephemeral port could become another
// process's meanwhile.
const refusingAddr = "127.0.0.1:1"

// hangingAddr is an address that takes connections and never answers.
func hangingAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("hanging address: %v", err)
	}
	t.Cleanup(func() { _ = l.Close() }) // nobody accepts: the system's backlog does
	return l.Addr().String()
}

// troubledMessages are three that may be sent again and three that may not.
func troubledMessages(app string) []notification {
	var all []notification
	for i := range 3 {
		for _, onUnknown := range []string{"resend", "drop"} {
			n := message(fmt.Sprintf("%s-%d", onUnknown, i), len(all))
			all = append(all, n.with("app", app).with("on_unknown", onUnknown))
		}
	}
	return all
}

func troubledIDs() []string {
	var ids []string
	for _, n := range troubledMessages("") {
		ids = append(ids, n["id"].(string))
	}
	return ids
}

// wantTroubledOutcomes waits until every app's messages stand where they must.
func (w *world) wantTroubledOutcomes(g *gatewayProcess) {
	w.t.Helper()
	wantAll(w.t, g.outcomes(appSilent, troubledIDs(), 30*time.Second), "unknown")
	wantAll(w.t, g.outcomes(appCut, troubledIDs(), 30*time.Second), "unknown")
	wantAll(w.t, g.outcomes(appInvalid, troubledIDs(), 30*time.Second), "dead")
	for _, app := range []string{appWrongSecret, appRefusing, appHanging} {
		for _, id := range troubledIDs() {
			taskstest.Eventually(w.t, 30*time.Second, func() string {
				_, s := g.status(app, id)
				// What the pause held back before its first attempt is still queued.
				if s.Status != "retrying" && s.Status != "queued" || s.Reason == "" || s.Remedy == "" {
					return fmt.Sprintf("%s of %s: %+v, want it waiting with reason and remedy", id, app, s)
				}
				return ""
			})
		}
	}
}

// everythingShown is all that an operator can look at, by where it is.
func (w *world) everythingShown(dashboard, admin string, g *gatewayProcess) map[string]string {
	w.t.Helper()
	shown := map[string]string{}
	read := func(url, key string) string {
		code, body := get(w.t, url, key)
		if code != http.StatusOK {
			w.t.Errorf("GET %s: %d, want 200: %s", url, code, body)
		}
		shown[url] = body
		return body
	}
	for _, page := range []string{"/", "/api/queues", "/api/servers", "/api/schedulers", "/api/queue_stats", "/api/redis_info"} {
		read(dashboard+page, "")
	}
	for _, queue := range w.queues() {
		read(dashboard+"/api/queues/"+queue, "")
		for _, list := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
			read(dashboard+"/api/queues/"+queue+"/"+list+"_tasks", "")
		}
	}
	for _, app := range troubledApps() {
		for _, id := range troubledIDs() {
			read(g.url+"/v1/notifications/"+id+"?app="+app, gatewayKey)
		}
	}
	read(admin+"/metrics", "")
	read(g.admin+"/metrics", "")
	for _, args := range [][]string{{"check"}, {"check", "--json"}, {"token", "status"}, {"token", "status", "--json"}, {"token", "refresh"}} {
		r := command(w.t, w.env.with(env{"HTTP_TIMEOUT": "1s"}), args...)
		shown["wxnotify "+strings.Join(args, " ")] = r.stdout + r.stderr
	}
	return shown
}

func (w *world) queues() []string {
	w.t.Helper()
	queues, err := asynq.NewInspectorFromRedisClient(w.rdb).Queues()
	if err != nil || len(queues) == 0 {
		w.t.Fatalf("queues: %v, %v, want some", queues, err)
	}
	return queues
}

// wantCleanTaskErrors looks at what asynq keeps with the tasks themselves.
func (w *world) wantCleanTaskErrors(canaries []string) {
	w.t.Helper()
	inspector := asynq.NewInspectorFromRedisClient(w.rdb)
	archived := 0
	for _, queue := range w.queues() {
		for state, list := range map[string]func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
			"retry": inspector.ListRetryTasks, "archived": inspector.ListArchivedTasks, "pending": inspector.ListPendingTasks,
		} {
			infos, err := list(queue, asynq.PageSize(100))
			if err != nil {
				w.t.Fatalf("%s tasks of %s: %v", state, queue, err)
			}
			for _, info := range infos {
				noLeak(w.t, "the error of a task in "+queue, info.LastErr, canaries...)
				if state == "archived" && info.LastErr != "" {
					archived++
				}
			}
		}
	}
	if want := len(troubledIDs()); archived != want {
		w.t.Errorf("%d tasks are archived with an error, want %d: those of %s", archived, want, appInvalid)
	}
}

// wantAtMostTwice holds what arrived against what may be repeated.
func (w *world) wantAtMostTwice() {
	w.t.Helper()
	for _, app := range []string{appSilent, appCut} {
		received := w.sandbox.report(app, true).ReceivedByID
		for _, id := range troubledIDs() {
			want := int64(2)
			if strings.HasPrefix(id, string(tasks.Drop)) {
				want = 1
			}
			if received[id] != want {
				w.t.Errorf("%s of %s arrived %d times, want %d", id, app, received[id], want)
			}
		}
	}
	for _, app := range []string{appWrongSecret, appRefusing, appHanging} {
		if r := w.sandbox.report(app, true); r.Arrivals != 0 {
			encoded, _ := json.Marshal(r) // only for the message
			w.t.Errorf("%s: %d sends arrived, want none: %s", app, r.Arrivals, encoded)
		}
	}
}
