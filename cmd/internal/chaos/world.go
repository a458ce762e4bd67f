package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// The app the sandbox plays. Its secret and the gateway's key open nothing.
const (
	chaosApp    = "wxc4a05c4a05c4a05c"
	chaosSecret = "chaos-secret-of-no-real-app"
	gatewayKey  = "chaos-key-of-no-real-gateway"
)

// idKey is the data key whose value names a message in the sandbox's report.
const idKey = "character_string1"

// httpTimeout of the workers is short, so that the leases of killed ones are, too.
const httpTimeout = 3 * time.Second

// world is what one row runs on.
type world struct {
	row      row
	plan     plan
	binaries *binaries
	dir      string
	stand    *stand

	// One of these is the row's Redis, url its URL.
	single   *taskstest.Server
	sentinel *taskstest.Sentinel
	cluster  *taskstest.Cluster
	url      string

	rdb       redis.UniversalClient
	inspector *asynq.Inspector
	ledger    *ledger.Ledger
	tasks     *tasks.Client
	sandbox   *lab.Sandbox
	proxy     *proxy
	client    *client
	// loaded is closed once everything is enqueued.
	loaded chan struct{}

	sandboxProcess *member
	gateway        *member
	workers        []*member
	armed          atomic.Bool
	killed         atomic.Int64
	redisFaults    atomic.Int64
	otherFaults    atomic.Int64
	mu             sync.Mutex
	complaints     []string
	forgot         forgotten
	verdict        verdict
	report         sandbox.AppReport
}

// tally is how much trouble was made.
type tally struct{ killed, redisFaulted, otherFaulted int }

func openWorld(r row, p plan, b *binaries, dir string) (*world, error) {
	if r.workers == 0 {
		r.workers = 2
	}
	w := &world{row: r, plan: p, binaries: b, dir: dir, stand: &stand{dir: dir}, forgot: forgotten{}, loaded: make(chan struct{})}
	w.armed.Store(r.failpoint != "")
	return w, os.MkdirAll(dir, 0o700)
}

// complain notes why the row fails.
func (w *world) complain(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.complaints = append(w.complaints, fmt.Sprintf(format, args...))
}

func (w *world) result() result {
	w.mu.Lock()
	defer w.mu.Unlock()
	return result{
		row: w.row, verdict: w.verdict, busiest: w.report.BusiestSecond, complaints: w.complaints,
		tally: tally{int(w.killed.Load()), int(w.redisFaults.Load()), int(w.otherFaults.Load())},
	}
}

// start starts all processes.
func (w *world) start(ctx context.Context) error {
	if err := w.row.redis(w); err != nil {
		return err
	}
	if err := w.connect(); err != nil {
		return err
	}
	if err := w.startSandbox(ctx); err != nil {
		return err
	}
	workerURL, wechatURL, err := w.startProxy()
	if err != nil {
		return err
	}
	if err := w.startGateway(); err != nil {
		return err
	}
	for i := range w.row.workers {
		if err := w.addWorker("worker-"+strconv.Itoa(i+1), w.workerEnv(i, workerURL, wechatURL)); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) connect() (err error) {
	if w.rdb, err = tasks.ConnectRedis(w.url, tasks.RedisOptions{}); err != nil {
		return err
	}
	w.inspector = asynq.NewInspectorFromRedisClient(w.rdb)
	w.ledger = ledger.New(w.rdb, "", ledger.Options{})
	w.tasks = tasks.NewClient(w.rdb, "")
	return nil
}

func (w *world) startSandbox(ctx context.Context) (err error) {
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	env := append(appEnv(), "WXNOTIFY_SANDBOX_ADDR="+addr)
	if w.sandboxProcess, err = w.addMember("sandbox", w.binaries.of(plain), func() []string { return env }, "sandbox", "--id-key", idKey); err != nil {
		return err
	}
	w.sandbox = &lab.Sandbox{URL: "http://" + addr}
	err = lab.Await(ctx, "the sandbox", startWithin, func() (bool, error) { return w.sandbox.Reset(ctx) == nil, nil })
	if err != nil || w.row.latency == 0 {
		return err
	}
	return w.sandbox.SetFaults(ctx, slow(w.row.latency))
}

// slow makes every send take d, or up to half as long again.
func slow(d time.Duration) sandbox.Faults {
	return sandbox.Faults{Calls: map[string]sandbox.CallFaults{
		sandbox.APISubscribeSend: {Latency: sandbox.Duration(d), Jitter: sandbox.Duration(d / 2)},
	}}
}

// startProxy returns the URLs the workers are given.
func (w *world) startProxy() (redisURL, wechatURL string, err error) {
	redisURL, wechatURL = w.url, w.sandbox.URL
	switch w.row.proxied {
	case redisSide:
		if w.proxy, err = startProxy(w.single.Addr); err == nil {
			redisURL = "redis://" + w.proxy.addr() + "/0"
		}
	case wechatSide:
		if w.proxy, err = startProxy(strings.TrimPrefix(w.sandbox.URL, "http://")); err == nil {
			wechatURL = "http://" + w.proxy.addr()
		}
	}
	return redisURL, wechatURL, err
}

func (w *world) startGateway() (err error) {
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	env := append(appEnv(),
		"WXNOTIFY_REDIS_URL="+w.url,
		"WXNOTIFY_GATEWAY_ADDR="+addr,
		"WXNOTIFY_GATEWAY_KEYS=chaos:"+gatewayKey,
		"WXNOTIFY_ADMIN_ADDR=127.0.0.1:0",
	)
	w.client = newClient("http://" + addr)
	w.gateway, err = w.addMember("gateway", w.binaries.of(plain), func() []string { return env }, "gateway")
	return err
}

func (w *world) workerEnv(i int, redisURL, wechatURL string) []string {
	env := append(appEnv(),
		"WXNOTIFY_REDIS_URL="+redisURL,
		"WXNOTIFY_WECHAT_URL="+wechatURL,
		"WXNOTIFY_ADMIN_ADDR=127.0.0.1:0",
		"WXNOTIFY_CONCURRENCY=8",
		"WXNOTIFY_HTTP_TIMEOUT="+httpTimeout.String(),
	)
	if w.row.rate > 0 {
		env = append(env, lab.AppVariable(chaosApp, "RATE")+"="+strconv.Itoa(w.row.rate))
	}
	if w.row.env != nil {
		env = append(env, w.row.env(i)...)
	}
	return env
}

func appEnv() []string {
	return append(lab.CleanEnv(), "WXNOTIFY_APPS="+chaosApp, lab.AppVariable(chaosApp, "SECRET")+"="+chaosSecret)
}

// addWorker starts one more worker. As long as the row is armed it dies at the
// row's failpoint.
func (w *world) addWorker(name string, env []string) error {
	m, err := w.addMember(name, w.binaries.of(w.row.binary), func() []string {
		if !w.armed.Load() {
			return env
		}
		return append(env[:len(env):len(env)], "FAILPOINT="+w.row.failpoint+":"+w.deathRate())
	}, "worker")
	if err != nil {
		return err
	}
	w.workers = append(w.workers, m)
	return nil
}

// deathRate is the probability of a failpoint: high enough that the row's kills come
// about before all is sent.
func (w *world) deathRate() string {
	return strconv.FormatFloat(2*float64(w.plan.of(w.row.kills))/float64(w.plan.n), 'f', 4, 64)
}

// disarm starts the workers again that could still die at a failpoint.
func (w *world) disarm() {
	if !w.armed.Swap(false) {
		return
	}
	for _, m := range w.workers {
		m.kill()
	}
}

// stopMembers ends gateway and workers as an operator would.
func (w *world) stopMembers() {
	var all sync.WaitGroup
	for _, m := range append(w.workers, w.gateway) {
		if m != nil {
			all.Go(m.stop)
		}
	}
	all.Wait()
}

// close ends what is left.
func (w *world) close() {
	w.stopMembers()
	if w.sandboxProcess != nil {
		w.sandboxProcess.stop()
	}
	if w.proxy != nil {
		w.proxy.close()
	}
	if w.rdb != nil {
		_ = w.rdb.Close() // nothing is left to be written
	}
	w.stand.close()
}

// startWithin is longer than anything should take to start.
const startWithin = time.Minute

// awaitArrivals returns once n more sends have arrived at the sandbox.
func (w *world) awaitArrivals(ctx context.Context, n int64) error {
	from, err := w.arrivals(ctx)
	if err != nil {
		return err
	}
	return lab.Await(ctx, "sends to arrive", startWithin, func() (bool, error) {
		now, err := w.arrivals(ctx)
		return now >= from+n, err
	})
}

func (w *world) arrivals(ctx context.Context) (int64, error) {
	r, err := w.sandbox.Report(ctx, false)
	return r.Apps[chaosApp].Arrivals, err
}
