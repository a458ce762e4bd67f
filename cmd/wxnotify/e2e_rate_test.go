package main_test

import (
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// Four workers together keep one app's rate, as WeChat sees it.
func TestFourWorkersKeepOneRate(t *testing.T) {
	const n, rate = 3000, 300
	w := newWorld(t)
	w.env[appVariable(testApp, "RATE")] = fmt.Sprint(rate)
	g := w.gateway()
	all, _ := messages("rate", n, n)
	g.enqueue(all)
	var workers []*workerProcess
	for _, name := range []string{"a", "b", "c", "d"} {
		workers = append(workers, w.worker(name, env{"CONCURRENCY": "24"}))
	}
	w.sandbox.awaitAccepted(n)
	report := w.sandbox.report(testApp, false)
	wantOnce(t, report, n)
	wantRate(t, report, rate, workers...)
	w.wantAllShared(workers)
}

// wantRate fails if the sandbox saw more than the rate in any second, but for what was
// held up on the way.
//
// A worker makes a call at its slot's time at the earliest, and within any second, the
// grace for late ones included, there are no more slots than the rate. The call arrives
// before it is answered. So what arrives within a second, and whose calls took no longer
// than d, was due within 1s+d: rate × (1+d) of them. Those that took longer come on top.
// That is so for each d; the smallest sum counts.
func wantRate(t *testing.T, report sandbox.AppReport, rate float64, workers ...*workerProcess) {
	t.Helper()
	r := report.Rates[sandbox.APISubscribeSend]
	most, at := math.Inf(1), ""
	for d, slower := range slowerCalls(t, sandbox.APISubscribeSend, workers) {
		if sum := math.Floor(rate*(1+d)) + slower; sum < most {
			most, at = sum, fmt.Sprintf("%v calls took longer than %v s", slower, d)
		}
	}
	t.Logf("rate %v: mean %.1f/s, busiest second %d of at most %v (%s), largest gap %v",
		rate, r.MeanPerSecond, r.BusiestSecond, most, at, time.Duration(r.LargestGapNS).Round(time.Millisecond))
	if float64(r.BusiestSecond) > most {
		t.Errorf("%d sends arrived in one second, want at most %v", r.BusiestSecond, most)
	}
}

// slowerCalls tells how many calls of all workers took longer than each of some times,
// in seconds, from their making to their answer.
func slowerCalls(t *testing.T, api string, workers []*workerProcess) map[float64]float64 {
	t.Helper()
	slower := map[float64]float64{}
	for _, w := range workers {
		code, text := get(t, w.admin+"/metrics", "")
		if code != http.StatusOK {
			t.Fatalf("/metrics answers %d %s, want 200", code, text)
		}
		parser := expfmt.NewTextParser(model.LegacyValidation)
		families, err := parser.TextToMetricFamilies(strings.NewReader(text))
		if err != nil {
			t.Fatalf("/metrics: %v", err)
		}
		for _, m := range families["wxnotify_wechat_request_duration_seconds"].GetMetric() {
			if m.GetLabel()[0].GetValue() != api {
				continue
			}
			h := m.GetHistogram()
			for _, b := range h.GetBucket() {
				slower[b.GetUpperBound()] += float64(h.GetSampleCount() - b.GetCumulativeCount())
			}
		}
	}
	if len(slower) == 0 {
		t.Fatalf("no worker shows how long its calls of %s took", api)
	}
	return slower
}

// wantAllShared fails if a worker got none of the slots.
func (w *world) wantAllShared(workers []*workerProcess) {
	w.t.Helper()
	for _, p := range workers {
		if n := series(w.t, p.admin, "wxnotify_notifications_total", map[string]string{"app": testApp, "outcome": "accepted"}); n == 0 {
			w.t.Errorf("%s sent nothing, want all to share the rate", p.name)
		}
	}
}

// An app whose WeChat hangs has all its handlers waiting. Another app's sends go on at
// their own rate.
func TestAHangingAppMakesNoOtherLate(t *testing.T) {
	const n, rate, slowRate = 1000, 200, 50
	w := newWorld(t)
	slow := "wx0510e0510e0510e0"
	w.env["APPS"] += "," + slow
	w.env[appVariable(slow, "SECRET")] = appSecret
	w.env[appVariable(testApp, "RATE")], w.env[appVariable(slow, "RATE")] = fmt.Sprint(rate), fmt.Sprint(slowRate)
	w.sandbox.control(http.MethodPost, "apps", sandbox.App{AppID: slow, Secret: appSecret, AllowAnyTemplate: true, AllowAnyOpenID: true, IDKey: idKey})
	w.sandbox.hang(slow)
	g := w.gateway()
	late, _ := messages("late", 400, 400)
	for _, m := range late {
		m.with("app", slow)
	}
	g.enqueue(late)
	all, _ := messages("prompt", n, n)
	g.enqueue(all)

	more := env{"CONCURRENCY": "24"} // of two workers, for 10 s each: 5 calls a second
	w.worker("a", more)
	w.worker("b", more)
	w.sandbox.awaitAccepted(n)
	report, hanging := w.sandbox.report(testApp, false), w.sandbox.report(slow, false)
	wantOnce(t, report, n)
	mean := report.Rates[sandbox.APISubscribeSend].MeanPerSecond
	t.Logf("%.1f/s at a rate of %d beside %d calls that hang", mean, rate, hanging.Arrivals)
	if hanging.Arrivals == 0 || hanging.Accepted > 0 {
		t.Errorf("of the hanging app %d calls arrived and %d were accepted, want some and none", hanging.Arrivals, hanging.Accepted)
	}
	if mean < rate/4 {
		t.Errorf("%.1f sends/s beside an app that hangs, want them at their rate", mean)
	}
}

// hang answers no send of an app.
func (s *sandboxProcess) hang(app string) {
	s.t.Helper()
	s.control(http.MethodPut, "faults", struct {
		App string `json:"app"`
		sandbox.Faults
	}{app, sandbox.Faults{Calls: map[string]sandbox.CallFaults{
		sandbox.APISubscribeSend: {Shares: map[sandbox.Fault]float64{sandbox.FaultHang: 1}},
	}}})
}

// The default and bulk lanes have more to do than the rate allows. Critical sends go
// first, and bulk gets its share of the rest and no more.
func TestCriticalSendsOvertake(t *testing.T) {
	const rate, standard, bulk, critical = 60, 1500, 600, 40
	w := newWorld(t)
	w.env[appVariable(testApp, "RATE")] = fmt.Sprint(rate)
	g := w.gateway()
	g.enqueue(inLane("default", standard))
	g.enqueue(inLane("bulk", bulk))
	w.worker("a", nil) // with handlers enough that some always wait, on a slow machine too
	w.worker("b", nil)
	w.sandbox.awaitAccepted(rate)
	waits := w.overtake(g, inLane("critical", critical))
	slices.Sort(waits)
	t.Logf("critical sends arrived after %v in the middle, %v at most", waits[critical/2], waits[critical-1])
	if waits[critical/2] > time.Second || waits[critical-1] > 5*time.Second {
		t.Errorf("critical sends arrived after %v in the middle, %v at most, want 1s and 5s", waits[critical/2], waits[critical-1])
	}
	w.wantBulkShare(standard)
}

// inLane makes messages whose ids begin with the lane, to users of its own.
func inLane(lane string, n int) []notification {
	all := make([]notification, n)
	for i := range all {
		all[i] = message(fmt.Sprintf("%s-%04d", lane, i), i+10_000*len(lane)).with("priority", lane)
	}
	return all
}

// overtake sends one by one and returns how long each took to arrive.
func (w *world) overtake(g *gatewayProcess, list []notification) []time.Duration {
	w.t.Helper()
	sent := map[string]time.Time{}
	for _, m := range list {
		id := m["id"].(string)
		sent[id] = time.Now()
		if code, _ := g.send(m); code != http.StatusAccepted {
			w.t.Fatalf("%s: %d, want 202", id, code)
		}
		<-time.After(50 * time.Millisecond)
	}
	var waits []time.Duration
	taskstest.Eventually(w.t, 20*time.Second, func() string {
		arrived := w.sandbox.report(testApp, true).ArrivalUnixNS
		waits = nil
		for id, at := range sent {
			ns, ok := arrived[id]
			if !ok {
				return fmt.Sprintf("%s has not arrived", id)
			}
			waits = append(waits, time.Unix(0, ns).Sub(at))
		}
		return ""
	})
	return waits
}

// wantBulkShare looks at how the sends so far went to the default and bulk lanes. Both
// still have work.
func (w *world) wantBulkShare(standard int) {
	w.t.Helper()
	counts := map[string]int{}
	for id := range w.sandbox.report(testApp, true).ArrivalUnixNS {
		lane, _, _ := strings.Cut(id, "-")
		counts[lane]++
	}
	share := float64(counts["bulk"]) / float64(counts["bulk"]+counts["default"])
	w.t.Logf("sends by lane: %v; bulk has %.3f of what critical left", counts, share)
	if counts["default"] >= standard {
		w.t.Error("the default lane is empty, so nothing was overtaken")
	}
	if share < 0.1 || share > 0.3 { // WXNOTIFY_BULK_SHARE is 0.2; a lane that nobody waits in for a moment has no say
		w.t.Errorf("bulk has %.3f of what critical left, want 0.2", share)
	}
}
