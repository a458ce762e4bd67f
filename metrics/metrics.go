package metrics

import (
	"runtime"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Histogram bounds in seconds.
var (
	// A call to WeChat takes 50-200 ms as a rule and ends at the HTTP timeout,
	// 10 s by default.
	callBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 20}
	// A notification may wait for milliseconds on an idle system and for a day
	// behind a pause.
	waitBuckets = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 15, 60, 300, 900, 3600, 14400, 86400}
	// The gateway answers in a few round trips to Redis, or gives up after 2 s; the
	// callback after 3 s.
	gatewayBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5}
)

// Info describes the running program, for wxnotify_build_info.
type Info struct {
	// Version is the release, for example "v1.2.3" or "devel".
	Version string
	// Commit is the revision the program was built from, empty if unknown.
	Commit string
}

// Metrics is the set of series of one process. Make one with New.
type Metrics struct {
	registry *prometheus.Registry

	announcing sync.Mutex // one InitializeFor at a time
	known      vocabularies

	notifications  *prometheus.CounterVec
	attempts       *prometheus.CounterVec
	callSeconds    *prometheus.HistogramVec
	responses      *prometheus.CounterVec
	queueWait      *prometheus.HistogramVec
	endToEnd       *prometheus.HistogramVec
	limiterWait    *prometheus.HistogramVec
	paused         *prometheus.GaugeVec
	tokenRefreshes *prometheus.CounterVec
	tokenExpires   *prometheus.GaugeVec
	jobLastSuccess *prometheus.GaugeVec
	quotaRemaining *prometheus.GaugeVec
	deadLetters    *prometheus.GaugeVec

	enqueued        *prometheus.CounterVec
	gatewayRequests *prometheus.CounterVec
	gatewaySeconds  *prometheus.HistogramVec

	receipts         *prometheus.CounterVec
	purged           *prometheus.CounterVec
	events           *prometheus.CounterVec
	grants           *prometheus.CounterVec
	uncovered        *prometheus.CounterVec
	callbackRequests *prometheus.CounterVec
	callbackSeconds  prometheus.Histogram

	setAside        *prometheus.CounterVec
	admissions      *prometheus.CounterVec
	settleRetries   prometheus.Counter
	restored        prometheus.Counter
	lateSettlements prometheus.Counter
	redisUp         prometheus.Gauge

	stuckTasks prometheus.Counter
	canaryAt   *prometheus.GaugeVec
	canaryWait *prometheus.GaugeVec
}

// New returns a Metrics with a registry of its own, which also carries the Go
// runtime's and the process's series.
func New(info Info) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.known.init()
	m.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		buildInfo(info),
	)
	b := builder{promauto.With(m.registry)}
	m.defineSending(b)
	m.defineGateway(b)
	m.defineConsent(b)
	m.defineQuota(b)
	m.defineHealth(b)
	m.defineEngine(b)
	return m
}

// buildInfo is the constant 1, whose labels say what is running.
func buildInfo(info Info) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "wxnotify_build_info",
		Help: "Always 1; the labels tell which build is running.",
		ConstLabels: prometheus.Labels{
			"version":   info.Version,
			"commit":    info.Commit,
			"goversion": runtime.Version(),
		},
	}, func() float64 { return 1 })
}

// defineSending makes the series of a notification's way to WeChat.
func (m *Metrics) defineSending(b builder) {
	m.notifications = b.counter("wxnotify_notifications_total",
		"Notifications that reached their outcome.", "app", "kind", "outcome")
	m.attempts = b.counter("wxnotify_attempts_total",
		"Attempts to send, by the class of what came of them.", "app", "kind", "class")
	m.callSeconds = b.histogram("wxnotify_wechat_request_duration_seconds",
		"Time of one call to WeChat, also of one that got no answer.", callBuckets, "api")
	m.responses = b.counter("wxnotify_wechat_responses_total",
		`Calls to WeChat by the errcode of the answer; "none" without an answer, "other" for a code not in our table.`,
		"app", "api", "errcode")
	m.queueWait = b.histogram("wxnotify_queue_wait_seconds",
		"Time from when a notification was due to when a worker took it up.", waitBuckets, "app", "lane")
	m.endToEnd = b.histogram("wxnotify_end_to_end_seconds",
		"Time from when a notification was due to when WeChat accepted it.", waitBuckets, "kind")
	m.limiterWait = b.histogram("wxnotify_limiter_wait_seconds",
		"Time that an attempt waited for a slot of its app's rate.", waitBuckets, "app")
	m.paused = b.gauge("wxnotify_paused",
		"What is held back of an app: 1 for the app itself, else how many of its kinds or templates. Set by every worker alike.", "app", "scope")
	m.tokenRefreshes = b.counter("wxnotify_token_refreshes_total",
		"Renewals of an access token, by what caused them and how they ended.", "app", "cause", "result")
	m.tokenExpires = b.gauge("wxnotify_token_expires_timestamp_seconds",
		"When the access token in use expires, Unix time; 0 when there is none.", "app")
}

// defineGateway makes the series of the HTTP gateway.
func (m *Metrics) defineGateway(b builder) {
	m.enqueued = b.counter("wxnotify_enqueued_total",
		"Notifications offered to the gateway, by what became of the offer.", "app", "kind", "result")
	m.gatewayRequests = b.counter("wxnotify_gateway_requests_total",
		"HTTP requests the gateway answered.", "route", "code")
	m.gatewaySeconds = b.histogram("wxnotify_gateway_request_duration_seconds",
		"Time the gateway took to answer.", gatewayBuckets, "route")
}

// defineHealth makes the series that tell how the machinery itself does.
func (m *Metrics) defineHealth(b builder) {
	m.jobLastSuccess = b.gauge("wxnotify_job_last_success_timestamp_seconds",
		"When a scheduled job last succeeded, Unix time.", "job")
	m.deadLetters = b.gauge("wxnotify_dead_letters",
		"Notifications that only a person can help, now; every worker tells the same number.", "app")
	m.setAside = b.counter("wxnotify_tasks_set_aside_total",
		"Tasks in our queues that this worker could not take up.", "reason")
	m.admissions = b.counter("wxnotify_admissions_total",
		"What the ledger answered when a worker asked to send.", "verdict")
	m.settleRetries = b.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_settle_retries_total",
		Help: "Repeated tries to record an outcome; growing means Redis fails while WeChat answers.",
	})
	m.restored = b.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_settlements_restored_total",
		Help: "Outcomes and failed attempts that a new Redis master had lost and that were recorded once more.",
	})
	m.lateSettlements = b.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_late_settlements_total",
		Help: "Outcomes recorded after the attempt's lease had ended.",
	})
	m.redisUp = b.NewGauge(prometheus.GaugeOpts{
		Name: "wxnotify_redis_up",
		Help: "1 if Redis answered the last ping, 0 if not or before the first.",
	})
}

// builder makes vectors and registers them.
type builder struct{ promauto.Factory }

func (b builder) counter(name, help string, labels ...string) *prometheus.CounterVec {
	return b.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func (b builder) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return b.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
}

func (b builder) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return b.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}
