package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/limit"
	"github.com/wxnotify/wxnotify/worker/token"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// App is one Mini Program a worker serves.
type App struct {
	AppID  string
	WeChat *wechat.Client
	// Credential is what login codes are exchanged with.
	Credential wechat.Credential
	// Consent is how the app's consents are kept.
	Consent tasks.ConsentPolicy
	// Rate is how many messages a second all workers together send; 0: no limit.
	Rate float64
}

// Config is what a worker needs. Everything but Metrics is required.
type Config struct {
	// Redis was made by tasks.ConnectRedis; the worker does not close it.
	Redis     redis.UniversalClient
	Namespace tasks.Namespace
	Apps      []App
	Tokens    *token.Manager
	Ledger    *ledger.Ledger
	Metrics   *metrics.Metrics
	Logger    *slog.Logger
	// AsynqLogger takes asynq's own lines.
	AsynqLogger asynq.Logger
	// Concurrency is how many notifications per app and lane are handled at once.
	Concurrency int
	// HTTPTimeout bounds a call to WeChat, as the clients of Apps were made with.
	HTTPTimeout time.Duration
	// ShutdownTimeout is how long Run waits for what is in flight.
	ShutdownTimeout time.Duration
	// RetryHorizon is how long failed attempts are followed by others.
	RetryHorizon time.Duration
	// TokenRefreshEvery is how often every app's access_token is renewed.
	TokenRefreshEvery time.Duration
	// DeadRetention is how long archived tasks are kept.
	DeadRetention time.Duration
	// Purge is when what is over is deleted.
	Purge cron.Schedule
	// Timezone is Purge's, and that of the days of the stats.
	Timezone *time.Location
	// BulkShare is the most that the bulk lane gets of an app's rate while other lanes
	// have work, from 0 to 1.
	BulkShare float64
	// QuotaResetHour is the hour in China when WeChat's daily quotas begin anew.
	QuotaResetHour int
}

// Check reports the first thing wrong with the chain of timeouts: each must
// leave room for the one inside it, or a handler outlives its task and runs
// beside itself.
func (c Config) Check() error {
	switch {
	case c.HTTPTimeout <= 0:
		return fmt.Errorf("worker: HTTP timeout must be positive")
	case c.HTTPTimeout+tasks.LeaseMargin >= tasks.TaskTimeout:
		return fmt.Errorf("worker: HTTP timeout must be below %v, so that a call and its settlement fit into the task's %v",
			tasks.TaskTimeout-tasks.LeaseMargin, tasks.TaskTimeout)
	case c.ShutdownTimeout <= tasks.TaskTimeout:
		return fmt.Errorf("worker: shutdown timeout must be above the task's %v", tasks.TaskTimeout)
	case c.Concurrency < 1 || c.RetryHorizon <= 0 || c.TokenRefreshEvery <= 0:
		return fmt.Errorf("worker: concurrency, retry horizon and token refresh must be positive")
	case c.DeadRetention <= 0 || c.Purge == nil || c.Timezone == nil:
		return fmt.Errorf("worker: dead retention, purge schedule and timezone are required")
	case c.BulkShare < 0 || c.BulkShare > 1 || c.QuotaResetHour < 0 || c.QuotaResetHour > 23:
		return fmt.Errorf("worker: bulk share is from 0 to 1, the quota's reset hour from 0 to 23")
	case len(c.Apps) == 0:
		return fmt.Errorf("worker: no apps to serve")
	}
	return nil
}

// Worker serves the queues of its apps.
type Worker struct {
	cfg       Config
	pulse     *pulse
	queues    *queueConn
	stuck     *stuck
	recent    *recent
	tally     *tally
	servers   []*asynq.Server
	mux       []asynq.Handler
	tasks     *tasks.Client
	served    *tasks.Served
	catalogue *catalogue.Catalogue
	quotas    *tasks.Quotas
	// missing holds the apps with templates that the catalogue does not know.
	missing *marks
	// endLife ends what is still trying to record an outcome.
	endLife context.CancelFunc
	// stopping ends when nothing is taken up any more.
	stopping    context.Context
	stopWaiting context.CancelFunc
	crew        *crew
	gate        *gate
	// limiters hold the rate of each app.
	limiters []*limit.Limiter
	// running counts handlers, those too that asynq no longer waits for.
	running sync.WaitGroup
}

// New wires a worker; it starts nothing.
func New(cfg Config) (*Worker, error) {
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	life, endLife := context.WithCancel(context.Background())
	stopping, stopWaiting := context.WithCancel(life)
	w := &Worker{
		stopping: stopping, stopWaiting: stopWaiting,
		cfg:       cfg,
		pulse:     newPulse(),
		tasks:     tasks.NewClient(cfg.Redis, cfg.Namespace),
		served:    tasks.NewServed(cfg.Redis, cfg.Namespace),
		catalogue: catalogue.New(cfg.Redis, cfg.Namespace),
		quotas:    tasks.NewQuotas(cfg.Redis, cfg.Namespace),
		missing:   newMarks(),
		endLife:   endLife,
		crew:      newCrew(),
	}
	cfg.Redis.AddHook(newDialGate())
	cfg.Redis.AddHook(w.pulse)
	cfg.Redis.AddHook(newRights(cfg.Logger))
	w.queues = newQueueConn(cfg.Redis)
	w.gate = newGate(ledger.NewPauses(cfg.Redis, cfg.Namespace), w.tasks, cfg.Metrics, cfg.Logger, w.appIDs(), cfg.QuotaResetHour)
	w.stuck = newStuck(w.tasks, cfg.Metrics, cfg.Logger)
	w.tally = newTally(tasks.NewStats(cfg.Redis, cfg.Namespace), cfg.Timezone, cfg.Logger)
	w.recent = newRecent(cfg.Ledger, w.histories, cfg.Metrics, cfg.Logger)
	for _, app := range cfg.Apps {
		if err := w.addApp(life, app); err != nil {
			endLife()
			return nil, err
		}
	}
	w.addSystem()
	return w, nil
}

// histories tells which Redis this is, and each of its masters.
func (w *Worker) histories(ctx context.Context) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	return tasks.ReplicationIDs(ctx, w.cfg.Redis)
}

func (w *Worker) appIDs() []string {
	ids := make([]string, len(w.cfg.Apps))
	for i, app := range w.cfg.Apps {
		ids[i] = app.AppID
	}
	return ids
}

// addApp adds the servers of one app.
func (w *Worker) addApp(life context.Context, app App) error {
	limiter, err := limit.New(limit.Config{
		Redis: w.cfg.Redis, Key: w.cfg.Namespace.Key("rate:" + app.AppID), Rate: app.Rate, BulkShare: w.cfg.BulkShare,
		Observe: func(waited time.Duration) { w.cfg.Metrics.LimiterWait(app.AppID, waited) },
	})
	if err != nil {
		return fmt.Errorf("worker: rate of app %s: %w", app.AppID, err)
	}
	w.limiters = append(w.limiters, limiter)
	d := w.delivery(life, app, limiter)
	for _, lane := range tasks.Priorities() {
		w.addLane(app, lane, d)
	}
	w.addEvents(app)
	return nil
}

func (w *Worker) delivery(life context.Context, app App, limiter *limit.Limiter) *delivery {
	return &delivery{
		app: app.AppID,
		callers: map[tasks.Kind]caller{
			tasks.KindSubscribe: sendSubscribe(app.WeChat),
			tasks.KindTemplate:  sendTemplate(app.WeChat),
			tasks.KindDevice:    sendDevice(app.WeChat),
			tasks.KindCard:      sendCard(app.WeChat),
		},
		exchange:    exchangeCode(app.WeChat, app.Credential),
		consent:     w.consent(app),
		gate:        w.gate,
		limiter:     limiter,
		ledger:      w.cfg.Ledger,
		recent:      w.recent,
		tally:       w.tally,
		tokens:      w.cfg.Tokens,
		turns:       newTurns(),
		metrics:     w.cfg.Metrics,
		log:         w.cfg.Logger,
		httpTimeout: w.cfg.HTTPTimeout,
		horizon:     w.cfg.RetryHorizon,
		life:        life,
		stopping:    w.stopping,
	}
}

// addLane adds the servers of one app's lane.
func (w *Worker) addLane(app App, lane tasks.Priority, d *delivery) {
	b := &binder{app: app.AppID, lane: lane, deliver: d.deliver, metrics: w.cfg.Metrics, log: w.cfg.Logger}
	w.addServers(w.cfg.Namespace.Queue(app.AppID, lane), lane.Policy(), handlers(w.cfg.Concurrency, app.Rate), b)
}

// handlers is how many notifications of a lane are handled at once: no more than the
// rate lets through in about a second. More would only wait for slots, and longer than
// their run may last.
func handlers(concurrency int, rate float64) int {
	const atLeast = 2
	if rate <= 0 || rate >= float64(concurrency) {
		return concurrency
	}
	return min(max(int(math.Ceil(rate)), atLeast), concurrency)
}

// eventsConcurrency is how many pushes of an app are handled at once: each is a
// command or two to Redis.
const eventsConcurrency = 32

// addEvents adds the servers of what WeChat pushes about one app's users.
func (w *Worker) addEvents(app App) {
	e := &events{
		app: app.AppID, policy: app.Consent, ledger: w.cfg.Ledger, types: w.catalogue.Type,
		missing: func() { w.missing.set(app.AppID) },
		metrics: w.cfg.Metrics, tally: w.tally, log: w.cfg.Logger,
	}
	w.addServers(w.cfg.Namespace.EventsQueue(app.AppID), tasks.EventsPolicy(), eventsConcurrency, e)
}

// systemConcurrency is how many scheduled jobs run at once.
const systemConcurrency = 4

func (w *Worker) addSystem() {
	j := &jobs{
		run: map[string]func(context.Context, tasks.JobTask) error{
			tasks.JobRefreshToken:  w.refreshToken,
			tasks.JobReadTemplates: w.readTemplates,
			tasks.JobPurge:         w.purge,
			tasks.JobErase:         w.erase,
			tasks.JobReadQuota:     w.readQuota,
			tasks.JobDead:          w.tendDead,
		},
		runs:    newRuns(w.cfg.Redis, w.cfg.Namespace),
		metrics: w.cfg.Metrics,
		log:     w.cfg.Logger,
	}
	w.addServers(w.cfg.Namespace.SystemQueue(), tasks.SystemPolicy(), systemConcurrency, j)
}

// janitorInterval is how often asynq deletes finished tasks whose retention is
// over; only scheduled jobs leave any.
const janitorInterval = time.Minute

// spareForward is how often the further servers of a lane move tasks whose time
// has come; the first does it for all.
const spareForward = 10 * time.Second

// addServers adds the servers of one queue. They share its handlers' number.
func (w *Worker) addServers(queue string, p tasks.LanePolicy, concurrency int, h asynq.Handler) {
	w.pulse.watch(queue)
	w.stuck.watch(queue)
	n := min(p.Dequeuers, concurrency)
	for i := range n {
		share := (concurrency + i) / n // adds up to concurrency
		if i > 0 {
			p.DelayedTaskCheckInterval = spareForward
		}
		w.servers = append(w.servers, w.newServer(queue, p, share))
		w.mux = append(w.mux, w.counted(h))
	}
}

func (w *Worker) newServer(queue string, p tasks.LanePolicy, concurrency int) *asynq.Server {
	return asynq.NewServerFromRedisClient(w.queues.face(), asynq.Config{
		Concurrency:              concurrency,
		Queues:                   map[string]int{queue: 1},
		TaskCheckInterval:        p.TaskCheckInterval,
		DelayedTaskCheckInterval: p.DelayedTaskCheckInterval,
		RetryDelayFunc:           onRedisClock(w.gate.ahead),
		IsFailure:                isFailure,
		Logger:                   w.cfg.AsynqLogger,
		ShutdownTimeout:          w.cfg.ShutdownTimeout,
		JanitorInterval:          janitorInterval,
	})
}

// counted lets Run wait for handlers that asynq gave up on.
func (w *Worker) counted(h asynq.Handler) asynq.Handler {
	return asynq.HandlerFunc(func(ctx context.Context, t *asynq.Task) error {
		w.running.Add(1)
		defer w.running.Done()
		return w.crew.do(func() error { return h.ProcessTask(ctx, t) })
	})
}

// Run serves until ctx ends, then lets go in order: first the schedules, so that
// nothing new is enqueued; then all servers at once, each waiting for its
// handlers up to ShutdownTimeout; then what still tries to record an outcome.
// What is not settled by then is judged by its lease. ErrStillRunning: asynq hangs on
// to a Redis that does not answer.
func (w *Worker) Run(ctx context.Context) error {
	defer w.endLife()
	defer w.closeLimiters()
	defer w.catalogue.Close()
	w.gate.look(ctx) // what is held back is known before the first send
	w.recent.look(ctx)
	defer w.queues.stop()
	for i, s := range w.servers {
		if err := s.Start(w.mux[i]); err != nil {
			w.stopServers(w.servers[:i])
			return fmt.Errorf("worker: start: %w", err)
		}
	}
	w.cfg.Logger.Info("worker started", "apps", len(w.cfg.Apps), "concurrency", w.cfg.Concurrency)
	w.runSchedules(ctx) // returns when ctx ends
	w.stopWaiting()
	w.queues.stop()
	deadline := time.Now().Add(w.cfg.ShutdownTimeout)
	stopped := within(w.cfg.ShutdownTimeout+stopMargin, func() { w.stopServers(w.servers) })
	if w.awaitHandlers(time.Until(deadline)) {
		w.crew.dismiss()
	}
	w.tally.flush(context.WithoutCancel(ctx))
	if !stopped {
		return ErrStillRunning
	}
	w.cfg.Logger.Info("worker stopped")
	return nil
}

func (w *Worker) closeLimiters() {
	for _, l := range w.limiters {
		l.Close()
	}
}

// ErrStillRunning says that asynq did not stop in time. The process should end now,
// and leave the connection to Redis open: asynq panics where it is closed before it
// has stopped.
var ErrStillRunning = errors.New("worker: asynq did not stop in time, Redis may hang; what is not settled is judged by its lease")

func (w *Worker) stopServers(servers []*asynq.Server) {
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(s.Shutdown)
	}
	wg.Wait()
}

// stopMargin is what asynq may take beyond the shutdown timeout: it begins to
// count only once its own loops have ended.
const stopMargin = 5 * time.Second

// awaitHandlers waits for handlers that outlived their asynq run, at most d; then
// it makes them give up. It reports whether all have ended.
func (w *Worker) awaitHandlers(d time.Duration) bool {
	if within(max(d, time.Second), w.running.Wait) {
		return true
	}
	w.cfg.Logger.Warn("handlers are still running; their leases decide")
	w.endLife()
	return within(stopMargin, w.running.Wait)
}

// within reports whether f returned within d. It goes on alone if not: the
// process is about to end.
func within(d time.Duration, f func()) bool {
	done := make(chan struct{})
	go func() {
		f()
		close(done)
	}()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
