package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
	"github.com/robfig/cron/v3"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/cmd/internal/dashboard"
	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/gateway"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/token"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// newLogger makes the process's logger, and hands it to go-redis, which knows
// only a global one.
func newLogger(w io.Writer, c *config.Config) *slog.Logger {
	log, _ := newLeveledLogger(w, c)
	return log
}

// newLeveledLogger is newLogger for processes whose admin port can change the level.
func newLeveledLogger(w io.Writer, c *config.Config) (*slog.Logger, *slog.LevelVar) {
	level := boot.NewLevel(c.LogLevel)
	log := boot.NewLogger(w, level, c.LogFormat, c.Secrets())
	redis.SetLogger(boot.RedisLogger(log))
	return log, level
}

func newMetrics(c *config.Config) *metrics.Metrics {
	m := metrics.New(metrics.Info{Version: version, Commit: commit()})
	m.InitializeFor(metrics.Labels{
		Apps:         appIDs(c),
		Kinds:        texts(tasks.Kinds()),
		Lanes:        texts(tasks.Priorities()),
		Outcomes:     texts(tasks.Outcomes()),
		Classes:      texts(errcode.Classes()),
		Verdicts:     texts(ledger.Verdicts()),
		Scopes:       texts(ledger.Scopes()),
		APIs:         errcode.APIs(),
		TokenCauses:  texts(token.Causes()),
		TokenResults: texts(token.Results()),
		Routes:       gateway.Routes(),
		Jobs:         tasks.Jobs(),

		Events:          callback.EventNames(),
		EventResults:    callback.EventResults(),
		CallbackResults: callback.Results(),
		ReceiptResults:  metrics.ReceiptResults(),
		PurgedRecords:   metrics.PurgedRecords(),
		GrantSources:    metrics.GrantSources(),
		GrantResults:    metrics.GrantResults(),
	})
	return m
}

func texts[T ~string](list []T) []string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = string(s)
	}
	return out
}

func appIDs(c *config.Config) []string {
	ids := make([]string, len(c.Apps))
	for i, app := range c.Apps {
		ids[i] = app.ID
	}
	return ids
}

// adminPart serves metrics, health and the log level. ready says whether the process
// may get work.
func adminPart(c *config.Config, log *slog.Logger, level *slog.LevelVar, m *metrics.Metrics, ready func(context.Context) error) (boot.Part, string, error) {
	mux := http.NewServeMux()
	mux.Handle("/", metrics.AdminMux(m, ready))
	mux.Handle("/log-level", boot.LevelHandler(level, log))
	s, err := boot.ListenHTTP("admin", c.AdminAddr, mux, boot.HTTPOptions{Variable: "WXNOTIFY_ADMIN_ADDR", Logger: log})
	if err != nil {
		return boot.Part{}, "", err
	}
	log.Info("admin port listens", "addr", s.Addr(), "paths", "/metrics /healthz /readyz /log-level")
	return s.Part(), s.Addr(), nil
}

// workerParts wires a worker with what it owns.
type workerParts struct {
	rdb    redis.UniversalClient
	tokens *token.Manager
	calls  []*wechat.Client
	worker *worker.Worker
}

// redisPool connections suffice: a handler spends most of its time in the call
// to WeChat.
const redisPool = 64

func newWorkerParts(c *config.Config, log *slog.Logger, m *metrics.Metrics) (*workerParts, error) {
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{PoolSize: redisPool})
	if err != nil {
		return nil, err
	}
	p := &workerParts{rdb: rdb}
	purge, err := cron.ParseStandard(c.PurgeCron)
	if err != nil { // config has checked it
		return nil, p.abandon(err)
	}
	if p.tokens, p.calls, err = newTokens(c, log, m, rdb); err != nil {
		return nil, p.abandon(err)
	}
	apps := make([]worker.App, len(c.Apps))
	for i, app := range c.Apps {
		apps[i] = worker.App{
			AppID: app.ID, WeChat: p.calls[i], Credential: credential(app),
			Rate:    app.Rate,
			Consent: tasks.ConsentPolicy{Mode: tasks.CreditMode(app.Credits), Source: tasks.ConsentSource(app.ConsentSource)},
		}
	}
	p.worker, err = worker.New(worker.Config{
		Redis: rdb, Namespace: c.Namespace, Apps: apps, Tokens: p.tokens,
		Ledger:  ledger.New(rdb, c.Namespace, ledger.Options{DedupeWindow: c.DedupeWindow, DeadRetention: c.DeadRetention, Batch: true}),
		Metrics: m, Logger: log, AsynqLogger: boot.AsynqLogger(log, "asynq"),
		Concurrency: c.Concurrency, HTTPTimeout: c.HTTPTimeout, ShutdownTimeout: c.ShutdownTimeout,
		RetryHorizon: c.RetryHorizon, TokenRefreshEvery: c.TokenRefreshEvery,
		DeadRetention: c.DeadRetention, Purge: purge, Timezone: c.Timezone,
		BulkShare: c.BulkShare, QuotaResetHour: c.QuotaResetHour,
	})
	if err != nil {
		return nil, p.abandon(err)
	}
	if err := m.CollectQueues(asynq.NewInspectorFromRedisClient(rdb), c.Namespace.Owns); err != nil {
		return nil, p.abandon(err)
	}
	return p, nil
}

// part runs the worker and puts away what it used, in the reverse order of need.
func (p *workerParts) part() boot.Part {
	return boot.Part{Name: "worker", Run: func(ctx context.Context) error {
		err := p.worker.Run(ctx)
		if errors.Is(err, worker.ErrStillRunning) {
			return err // and what it still uses stays open
		}
		return errors.Join(err, p.close())
	}}
}

// abandon puts away a worker that is not going to run.
func (p *workerParts) abandon(cause error) error { return errors.Join(cause, p.close()) }

func (p *workerParts) close() error {
	if p.tokens != nil {
		p.tokens.Close()
	}
	for _, call := range p.calls {
		call.Close()
	}
	return p.rdb.Close()
}

// newTokens makes the WeChat client of every app and the manager of their tokens.
func newTokens(c *config.Config, log *slog.Logger, m *metrics.Metrics, rdb redis.UniversalClient) (*token.Manager, []*wechat.Client, error) {
	var calls []*wechat.Client
	apps := make([]token.App, len(c.Apps))
	for i, app := range c.Apps {
		call, err := newWeChat(c, app, m)
		if err != nil {
			return nil, calls, err
		}
		calls = append(calls, call)
		apps[i] = token.App{
			Credential: credential(app),
			Mode:       token.Mode(app.TokenMode),
			API:        call,
		}
	}
	manager, err := token.New(token.Config{
		Redis: rdb, Namespace: c.Namespace, Apps: apps, Logger: log, HTTPTimeout: c.HTTPTimeout,
		Observe: m.TokenRefresh, ObserveExpiry: m.TokenExpires,
	})
	return manager, calls, err
}

func credential(app config.App) wechat.Credential {
	return wechat.Credential{AppID: app.ID, Secret: string(app.Secret)}
}

func newWeChat(c *config.Config, app config.App, m *metrics.Metrics) (*wechat.Client, error) {
	return wechat.New(wechat.Config{
		BaseURL: app.WechatURL,
		Timeout: c.HTTPTimeout,
		// One for every handler of the app, so that no lane waits for another's.
		MaxConns:  c.Concurrency * len(tasks.Priorities()),
		UserAgent: "wxnotify/" + version,
		Observe:   observeCalls(m, app.ID),
	})
}

// gatewayPart serves the HTTP API and, where apps have a callback token, what WeChat
// pushes: on the same port, or on WXNOTIFY_CALLBACK_ADDR. The address is the API's.
func gatewayPart(c *config.Config, log *slog.Logger, m *metrics.Metrics, client *producer.Client) (boot.Part, string, error) {
	api, err := newGateway(c, log, m, client)
	if err != nil {
		return boot.Part{}, "", err
	}
	callbacks, rdb, err := newCallback(c, log, m)
	if err != nil {
		return boot.Part{}, "", err
	}
	parts := []boot.Part{closing("producer", client)}
	abandon := func(err error) (boot.Part, string, error) { return boot.Part{}, "", err }
	if rdb != nil {
		parts = append(parts, closing("callback connection", rdb))
		abandon = func(err error) (boot.Part, string, error) { return boot.Part{}, "", errors.Join(err, rdb.Close()) }
	}
	switch {
	case callbacks == nil && c.CallbackAddr != "":
		return boot.Part{}, "", errors.New("WXNOTIFY_CALLBACK_ADDR is set, but no app of WXNOTIFY_APPS has a WXNOTIFY_APP_<APPID>_CALLBACK_TOKEN")
	case callbacks != nil && c.CallbackAddr == "":
		api = beside(api, callbacks)
	case callbacks != nil:
		serve, err := callbackPart(c, log, m, callbacks)
		if err != nil {
			return abandon(err)
		}
		parts = append(parts, serve)
	}
	secure, err := serverTLS(metrics.ServerGateway, c.GatewayTLS, gatewayCert, log, m)
	if err != nil {
		return abandon(err)
	}
	s, err := boot.ListenHTTP("gateway", c.GatewayAddr, api, boot.HTTPOptions{
		Variable: "WXNOTIFY_GATEWAY_ADDR", Logger: log, TLS: secure, MaxConnections: c.GatewayMaxConnections,
	})
	if err != nil {
		return abandon(err)
	}
	log.Info("gateway listens", "addr", s.Addr(), "tls", secure != nil)
	return together("gateway", log, append(parts, s.Part())...), s.Addr(), nil
}

func newGateway(c *config.Config, log *slog.Logger, m *metrics.Metrics, client *producer.Client) (http.Handler, error) {
	keys := make([]gateway.Key, len(c.GatewayKeys))
	for i, k := range c.GatewayKeys {
		keys[i] = gateway.Key{Name: k.Name, Key: string(k.Key)}
	}
	return gateway.New(gateway.Config{
		Sender: client, Keys: keys, KeyRate: c.GatewayKeyRate, Apps: appIDs(c), Logger: log,
		Observe: m.GatewayRequest, ObserveEnqueue: m.Enqueued, ObserveGrant: m.Grant,
	})
}

// newProducer connects as another service would.
func newProducer(c *config.Config) (*producer.Client, error) {
	return producer.New(string(c.RedisURL), producer.WithNamespace(string(c.Namespace)), producer.WithPoolSize(redisPool),
		producer.WithMaxQueued(c.MaxQueued), producer.WithTimezone(c.Timezone))
}

// closing ends with ctx and then closes what the parts after it used.
func closing(name string, c io.Closer) boot.Part {
	return boot.Part{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		return c.Close()
	}}
}

// dashboardPart serves asynqmon.
func dashboardPart(c *config.Config, log *slog.Logger, m *metrics.Metrics) (boot.Part, string, error) {
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{PoolSize: 8})
	if err != nil {
		return boot.Part{}, "", err
	}
	handler, err := dashboard.New(dashboard.Config{
		Redis: rdb, User: c.DashboardUser, Password: string(c.DashboardPassword),
		PrometheusURL: c.DashboardPrometheusURL, Logger: log, Metrics: dashboardMetrics(rdb, m),
	})
	if err != nil {
		return boot.Part{}, "", errors.Join(err, rdb.Close())
	}
	secure, err := serverTLS(metrics.ServerDashboard, c.DashboardTLS, dashboardCert, log, m)
	if err != nil {
		return boot.Part{}, "", errors.Join(err, rdb.Close())
	}
	s, err := boot.ListenHTTP("dashboard", c.DashboardAddr, handler, boot.HTTPOptions{Variable: "WXNOTIFY_DASHBOARD_ADDR", Logger: log, TLS: secure})
	if err != nil {
		return boot.Part{}, "", errors.Join(err, rdb.Close())
	}
	log.Info("dashboard listens", "addr", s.Addr(), "tls", secure != nil)
	serve := s.Part()
	return boot.Part{Name: "dashboard", Run: func(ctx context.Context) error {
		return errors.Join(serve.Run(ctx), rdb.Close())
	}}, s.Addr(), nil
}

// observeCalls counts an app's calls to WeChat.
func observeCalls(m *metrics.Metrics, app string) func(string, time.Duration, int, error) {
	return func(api string, d time.Duration, code int, err error) {
		if code == 0 && err != nil {
			m.WeChatSilent(app, api, d)
			return
		}
		m.WeChatAnswered(app, api, code, code == 0 || errcode.Known(code), d)
	}
}
