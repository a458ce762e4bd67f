package main

import (
	"net/http"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/metrics"
)

type dashboardCmd struct{}

// Run serves the dashboard until a signal.
func (*dashboardCmd) Run(p *program) error {
	c, err := config.Load(config.Redis, config.Dashboard)
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c)
	serve, _, err := dashboardPart(c, log, metrics.New(metrics.Info{Version: version, Commit: commit()}))
	if err != nil {
		return err
	}
	return boot.Run(p.ctx, log, serve)
}

// dashboardMetrics serves m. A dashboard asks Redis for nothing by itself, so whether
// it answers is found out when that is to be told.
func dashboardMetrics(rdb redis.UniversalClient, m *metrics.Metrics) http.Handler {
	series := m.Handler()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.RedisUp(rdb.Ping(r.Context()).Err() == nil)
		series.ServeHTTP(w, r)
	})
}
