package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// A small Redis is flooded without a worker: the gateway says busy in time, WeChat's
// pushes are taken all the same, and once a worker runs everything that was accepted
// drains and there is room again.
func TestAFullRedisDrains(t *testing.T) {
	w, g := newConsentWorld(t, sandbox.FormatJSON, nil)
	w.smallRedis()
	accepted, maybe := g.flood()
	w.wantMemory(0.80, 0.88)
	w.fillTo(0.92) // what connections take comes and goes: this is above the limit all the while
	busyEverywhere(t, w, g, accepted[0])
	w.rdb.Del(t.Context(), "more")

	const users = 20
	for user := range users {
		w.sandbox.answer(user, sandbox.Accept)
	}
	taskstest.Eventually(t, 30*time.Second, func() string {
		got := series(t, g.admin, "wxnotify_callback_requests_total", map[string]string{"app": testApp, "result": "accepted"})
		if got < users {
			return fmt.Sprintf("%v pushes were taken, want %d", got, users)
		}
		return ""
	})

	start := time.Now()
	worker := w.worker("a", env{"CONCURRENCY": "24"})
	peak := 0.0
	taskstest.Eventually(t, 120*time.Second, func() string {
		m, err := tasks.ReadMemory(t.Context(), w.rdb)
		if err != nil {
			return err.Error()
		}
		peak = max(peak, m.Share())
		if n, err := tasks.NewClient(w.rdb, "").Waiting(t.Context(), testApp); err != nil || n > 0 {
			return fmt.Sprintf("%d still wait, %v", n, err)
		}
		return ""
	})
	t.Logf("%d drained in %v, with %.1f %% of maxmemory at the most", len(accepted), time.Since(start).Round(100*time.Millisecond), 100*peak)
	ends := map[string]int{}
	for _, s := range g.outcomes(testApp, accepted, 60*time.Second) {
		ends[s.Status]++
	}
	if n := ends["accepted"] + ends["delivered"] + ends["rejected"]; n != len(accepted) {
		t.Errorf("%d were accepted by the gateway, and became %v", len(accepted), ends)
	}
	if report := w.sandbox.report(testApp, false); report.Arrivals < int64(len(accepted)) || report.Arrivals > int64(len(accepted)+maybe) {
		t.Errorf("the sandbox got %d sends, want the %d that the gateway accepted, and at most %d more", report.Arrivals, len(accepted), maybe)
	}
	if n := grants(t, "granted", worker); n != users {
		t.Errorf("%v acceptances were counted, want %d", n, users)
	}
	taskstest.Eventually(t, 10*time.Second, func() string {
		if code, _ := g.send(message("afterwards", 1)); code != http.StatusAccepted && code != http.StatusOK {
			return fmt.Sprintf("a send is answered %d, want 202", code)
		}
		return ""
	})
	g.awaitOutcome(testApp, "afterwards", time.Now().Add(20*time.Second))
	wantCleanExit(t, worker.process, g.process)
}

// smallRedis bounds the memory of Redis, of which some is in use by others, and lets it
// keep what it acknowledges.
func (w *world) smallRedis() {
	w.t.Helper()
	if err := w.rdb.SetRange(w.t.Context(), "ballast", 13<<20, "x").Err(); err != nil {
		w.t.Fatal(err)
	}
	for name, value := range map[string]string{"maxmemory": "24mb", "appendonly": "yes"} {
		if err := w.rdb.ConfigSet(w.t.Context(), name, value).Err(); err != nil {
			w.t.Fatal(err)
		}
	}
}

// fillTo brings the memory in use to a share of maxmemory, until "more" is deleted.
func (w *world) fillTo(share float64) {
	w.t.Helper()
	m, err := tasks.ReadMemory(w.t.Context(), w.rdb)
	if err != nil {
		w.t.Fatal(err)
	}
	if missing := int64(share*float64(m.Max)) - m.Used; missing > 0 {
		if err := w.rdb.SetRange(w.t.Context(), "more", missing, "x").Err(); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *world) wantMemory(low, high float64) {
	w.t.Helper()
	m, err := tasks.ReadMemory(w.t.Context(), w.rdb)
	if err != nil || m.Share() < low || m.Share() > high {
		w.t.Errorf("%.1f %% of maxmemory is used, %v, want %v to %v", 100*m.Share(), err, 100*low, 100*high)
	}
	w.t.Logf("%.1f %% of maxmemory is used", 100*m.Share())
}

// busyEverywhere looks at what is said once there is no room: stored is the id of a
// message that was.
func busyEverywhere(t *testing.T, w *world, g *gatewayProcess, stored string) {
	t.Helper()
	code, body := request(t, http.MethodPost, g.url+"/v1/notifications", gatewayKey, message("too-much", 1))
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "urn:wxnotify:problem:redis-full") {
		t.Errorf("a send is answered %d %s, want 503 and its reason", code, body)
	}
	if code, s := g.send(flooding(stored)); code != http.StatusOK || !s.Duplicate {
		t.Errorf("a known id is answered %d %+v, want 200 and a duplicate", code, s)
	}
	command(t, w.env, "send", "--to="+openID(1), "--template=e2e-template", "--data=thing2=x").want(t, 1, "busy", "nothing was stored", "maxmemory")
	command(t, w.env, "check").want(t, 1, "FAIL", "redis memory", "nothing more is enqueued")
	limited := w.env.with(env{"MAX_QUEUED": "10"})
	command(t, limited, "check").want(t, 1, "waiting of "+testApp, "WXNOTIFY_MAX_QUEUED is 10")
	for _, result := range []string{"accepted", "busy"} {
		if series(t, g.admin, "wxnotify_enqueued_total", map[string]string{"app": testApp, "result": result}) == 0 {
			t.Errorf("no enqueueing was counted as %s", result)
		}
	}
}

// flooding is a message with a long page, so that fewer fill a Redis.
func flooding(id string) notification {
	return message(id, 0).with("page", "pages/index/index?x="+strings.Repeat("x", 900)).
		with("to", map[string]string{"openid": openID(int(id[len(id)-1]))})
}

// flood sends batches, from several callers at once, until a whole one is refused as
// busy. It returns the ids that were accepted, and of how many nobody knows because
// Redis did not answer in time.
func (g *gatewayProcess) flood() (accepted []string, maybe int) {
	g.t.Helper()
	var mu sync.Mutex
	var callers sync.WaitGroup
	for caller := range 4 {
		callers.Go(func() {
			for n := 0; ; n++ {
				ids, unknown, more := g.floodBatch(fmt.Sprintf("flood-%d-%d", caller, n))
				mu.Lock()
				accepted = append(accepted, ids...)
				maybe += unknown
				mu.Unlock()
				if !more {
					return
				}
			}
		})
	}
	callers.Wait()
	if len(accepted) == 0 {
		g.t.Fatal("nothing was accepted")
	}
	return accepted, maybe
}

// floodBatch sends one batch and returns the ids that were accepted, and of how many
// nobody knows. More is false once there is no room.
func (g *gatewayProcess) floodBatch(prefix string) (accepted []string, maybe int, more bool) {
	batch := make([]notification, batchSize)
	for i := range batch {
		batch[i] = flooding(fmt.Sprintf("%s-%02d", prefix, i))
	}
	code, body := request(g.t, http.MethodPost, g.url+"/v1/notifications:batch", gatewayKey, map[string]any{"notifications": batch})
	if code == http.StatusServiceUnavailable && strings.Contains(body, "redis-full") {
		return nil, 0, false
	}
	if code == http.StatusServiceUnavailable { // a busy machine
		return nil, batchSize, true
	}
	var answer struct {
		Results []struct {
			ID    string `json:"id"`
			Error *struct {
				Type string `json:"type"`
			} `json:"error"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK || len(answer.Results) != batchSize {
		g.t.Errorf("batch: %d %s, want 200 and a result for each", code, body)
		return nil, 0, false
	}
	for _, r := range answer.Results {
		switch {
		case r.Error == nil:
			accepted = append(accepted, r.ID)
		case r.Error.Type == "": // a busy machine
			maybe++
		case !strings.HasSuffix(r.Error.Type, "redis-full"):
			g.t.Errorf("batch item: %+v, want it stored or busy", r.Error)
		}
	}
	return accepted, maybe, true
}
