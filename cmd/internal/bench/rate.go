package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// The rates, in sends per second, and how many worker processes share them.
const (
	rateWorkers        = 4
	fastRate           = 1000
	pairRate, slowRate = 500, 50

	overtakeWorkers = 2
	overtakeRate    = 200
)

// hangsFor is how long a call waits that is not answered: slowRate times that is more than
// all handlers that the workers have for it.
const hangsFor = 5 * time.Second

// otherApp is the second of two apps.
const otherApp = "wxbe9c4be9c4be9c41"

// rates is how the sends of several workers keep to the rate of their app.
type rates struct {
	// alone is one app, asks the limiter's calls of Redis per send of it.
	alone paced
	asks  float64
	// fast and slow are two apps side by side; beside is fast while slow hangs.
	fast, slow, beside paced
	// idle is how long critical sends take with nothing else to do, saturated with
	// the other lanes at the rate.
	idle, saturated waits
}

// paced is what the sandbox saw of an app that has a rate.
type paced struct {
	sandbox.RateReport
	rate int
	// most is the highest number in any second that what was held up on the way
	// explains; 0: not known.
	most int
}

func (p paced) String() string {
	text := fmt.Sprintf("mean %.1f/s (%.3f), busiest second %d", p.MeanPerSecond, p.MeanPerSecond/float64(p.rate), p.BusiestSecond)
	if p.most > 0 {
		text += fmt.Sprintf(" (jitter allows %d)", p.most)
	}
	return fmt.Sprintf("%s, largest gap %s", text, millis(time.Duration(p.LargestGapNS)))
}

func (p paced) aim() string { return fmt.Sprintf("mean ≥ 0.93, busiest ≤ %d and jitter", p.rate) }

func measureRate(ctx context.Context, l *testbed, r *results) error {
	if err := l.sandbox.addApp(ctx, otherApp); err != nil {
		return err
	}
	for _, step := range []func(context.Context, *results) error{l.rateAlone, l.rateOfTwo, l.rateBesideHanging, l.overtake} {
		if err := step(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// rateAlone lets four workers send five rounds' messages of one app.
func (l *testbed) rateAlone(ctx context.Context, r *results) error {
	n := 5 * r.n
	side := l.pipeline(tasks.Default)
	if err := l.fill(ctx, side, messages("ra", n)); err != nil {
		return err
	}
	before, err := l.limiterCalls(ctx)
	if err != nil {
		return err
	}
	fleet, err := l.startFleet(ctx, rateWorkers, map[string]int{benchApp: fastRate})
	if err != nil {
		return err
	}
	defer fleet.stop()
	if r.rates.alone, err = l.finish(ctx, fleet, benchApp, n, fastRate); err != nil {
		return err
	}
	after, err := l.limiterCalls(ctx)
	r.rates.asks = float64(after-before) / float64(n)
	return err
}

// limiterCalls counts the runs of the limiter's script by a command that is in it and in
// nothing else that an accepted send leads to. Renewing a token adds one or two.
func (l *testbed) limiterCalls(ctx context.Context) (int64, error) {
	return l.redis.calls(ctx, "pexpire")
}

// rateOfTwo lets four workers send two apps' messages, for about as long.
func (l *testbed) rateOfTwo(ctx context.Context, r *results) error {
	few := max(r.n*slowRate/pairRate, 2)
	fleet, err := l.startPair(ctx, r.n, few)
	if err != nil {
		return err
	}
	defer fleet.stop()
	if r.rates.fast, err = l.finish(ctx, fleet, benchApp, r.n, pairRate); err != nil {
		return err
	}
	r.rates.slow, err = l.finish(ctx, fleet, otherApp, few, slowRate)
	return err
}

// rateBesideHanging is the same while none of the slower app's sends is answered.
func (l *testbed) rateBesideHanging(ctx context.Context, r *results) error {
	if err := l.sandbox.hang(ctx, otherApp, true); err != nil {
		return err
	}
	fleet, err := l.startPair(ctx, r.n, r.n)
	if err != nil {
		return err
	}
	defer fleet.stop()
	if r.rates.beside, err = l.finish(ctx, fleet, benchApp, r.n, pairRate); err != nil {
		return err
	}
	r.rates.beside.most = 0 // the workers' own figures mix both apps' calls
	hanging, err := l.sandbox.report(ctx, otherApp)
	if err == nil && (hanging.Arrivals == 0 || hanging.Accepted > 0) {
		err = fmt.Errorf("of the hanging app %d sends arrived and %d were accepted: a measurement of that says nothing", hanging.Arrivals, hanging.Accepted)
	}
	if err != nil {
		return err
	}
	return l.sandbox.hang(ctx, otherApp, false)
}

// startPair fills the queues of both apps and starts the workers.
func (l *testbed) startPair(ctx context.Context, n, other int) (*fleet, error) {
	if err := l.fill(ctx, l.pipeline(tasks.Default), messages("rp", n)); err != nil {
		return nil, err
	}
	if err := l.add(ctx, l.pipelineOf(otherApp, tasks.Default), messages("ro", other)); err != nil {
		return nil, err
	}
	return l.startFleet(ctx, rateWorkers, map[string]int{benchApp: pairRate, otherApp: slowRate})
}

// add enqueues more than is there.
func (l *testbed) add(ctx context.Context, s side, list []message) error {
	sender, err := s.open()
	if err != nil {
		return err
	}
	defer sender.close()
	return sender.sendAll(ctx, list)
}

// overtake measures critical sends of an app with a rate, with and without other lanes
// that have more to do than it allows.
func (l *testbed) overtake(ctx context.Context, r *results) error {
	if err := l.redis.flush(ctx); err != nil {
		return err
	}
	fleet, err := l.startFleet(ctx, overtakeWorkers, map[string]int{benchApp: overtakeRate})
	if err != nil {
		return err
	}
	defer fleet.stop()
	if r.rates.idle, err = l.trickle(ctx, l.pipeline(tasks.Critical), messages("ri", r.sends)); err != nil {
		return err
	}
	backlog := overtakeRate * (int(float64(r.sends)*slowlyTo.Seconds()) + 10)
	list := messages("rs", r.sends+2*backlog) // each to a user of its own
	for i, lane := range []tasks.Priority{tasks.Default, tasks.Bulk} {
		if err := l.add(ctx, l.pipeline(lane), list[r.sends+i*backlog:][:backlog]); err != nil {
			return err
		}
	}
	sent, err := l.sendSlowly(ctx, l.pipeline(tasks.Critical), list[:r.sends])
	if err != nil {
		return err
	}
	report, err := l.sandbox.report(ctx, benchApp)
	if err != nil {
		return err
	}
	r.rates.saturated, err = arrivals(report, sent)
	return err
}

// fleet is several workers.
type fleet struct {
	workers []*lab.Process
	admins  []string
}

// startFleet starts workers for the apps at their rates.
func (l *testbed) startFleet(ctx context.Context, n int, appRates map[string]int) (*fleet, error) {
	env := []string{
		redisURL(l.redis.addr),
		"WXNOTIFY_WECHAT_URL=" + l.sandbox.URL,
		"WXNOTIFY_HTTP_TIMEOUT=" + hangsFor.String(),
		"WXNOTIFY_CONCURRENCY=" + strconv.Itoa(concurrency),
	}
	var apps []string
	for app, rate := range appRates {
		apps = append(apps, app)
		variable := "WXNOTIFY_APP_" + strings.ToUpper(app) + "_"
		env = append(env, variable+"SECRET="+benchSecret, variable+"RATE="+strconv.Itoa(rate))
	}
	env = append(env, "WXNOTIFY_APPS="+strings.Join(apps, ","))
	f := &fleet{}
	for range n {
		if err := f.grow(ctx, l, env); err != nil {
			f.stop()
			return nil, err
		}
	}
	return f, nil
}

func (f *fleet) grow(ctx context.Context, l *testbed, env []string) error {
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	p, err := l.start(ctx, "worker", append([]string{"WXNOTIFY_ADMIN_ADDR=" + addr}, env...), l.wxnotify, "worker")
	if err != nil {
		return err
	}
	f.workers, f.admins = append(f.workers, p), append(f.admins, addr)
	return nil
}

// stop ends all of them at once.
func (f *fleet) stop() {
	var wg sync.WaitGroup
	for _, w := range f.workers {
		wg.Go(w.Stop)
	}
	wg.Wait()
}

// finish waits until an app's default lane is empty and looks how its sends arrived.
func (l *testbed) finish(ctx context.Context, f *fleet, app string, n, rate int) (paced, error) {
	if err := l.redis.drained(ctx, tasks.Namespace("").Queue(app, tasks.Default)); err != nil {
		return paced{}, err
	}
	report, err := l.sandbox.acceptedBy(ctx, app, n)
	if err != nil {
		return paced{}, err
	}
	slower, err := f.slowerCalls(ctx)
	return paced{report.Rates[sandbox.APISubscribeSend], rate, mostIn(rate, slower)}, err
}

// mostIn is how many sends may arrive within a second. What arrives then and took at most
// d from its making to its answer was due within 1s+d, and in that time there are
// rate × (1+d) slots; what took longer comes on top. It is so for each d, so the
// smallest sum counts. slower has how many took longer than d seconds.
func mostIn(rate int, slower map[float64]float64) int {
	most := math.MaxInt32
	for d, n := range slower {
		if !math.IsInf(d, 1) {
			most = min(most, rate+int(float64(rate)*d+n))
		}
	}
	return most
}

// slowerCalls adds up what the workers tell about how long their sends took.
func (f *fleet) slowerCalls(ctx context.Context) (map[float64]float64, error) {
	slower := map[float64]float64{}
	for _, addr := range f.admins {
		if err := addSlower(ctx, slower, addr); err != nil {
			return nil, fmt.Errorf("metrics of a worker: %w", err)
		}
	}
	if len(slower) == 0 {
		return nil, errors.New("no worker tells how long its sends took")
	}
	return slower, nil
}

func addSlower(ctx context.Context, slower map[float64]float64, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }() // read below
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return err
	}
	for _, m := range families["wxnotify_wechat_request_duration_seconds"].GetMetric() {
		if m.GetLabel()[0].GetValue() != sandbox.APISubscribeSend {
			continue
		}
		h := m.GetHistogram()
		for _, b := range h.GetBucket() {
			slower[b.GetUpperBound()] += float64(h.GetSampleCount() - b.GetCumulativeCount())
		}
	}
	return nil
}
