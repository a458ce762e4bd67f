package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/tasks"
)

// callbackTimeout bounds a Redis command: WeChat waits 5 s in all.
const callbackTimeout = 1500 * time.Millisecond

// newCallback makes the handler of what WeChat pushes, and the connection it stores
// with. Both are nil if no app has a callback token.
func newCallback(c *config.Config, log *slog.Logger, m *metrics.Metrics) (http.Handler, redis.UniversalClient, error) {
	apps := callbackApps(c)
	if len(apps) == 0 {
		return nil, nil, nil
	}
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{Timeout: callbackTimeout, MaxRetries: 1, PoolSize: redisPool})
	if err != nil {
		return nil, nil, err
	}
	handler, err := callback.New(callback.Config{
		Apps: apps, Events: newPushes(tasks.NewClient(tasks.Batching(rdb), c.Namespace)), Logger: log,
		Observe: m.CallbackRequest, ObserveEvent: m.Event,
	})
	if err != nil {
		return nil, nil, errors.Join(err, rdb.Close())
	}
	for _, app := range apps {
		log.Info("callback takes pushes", "path", callback.Pattern+app.AppID, "sealed", app.AESKey != "")
	}
	return handler, rdb, nil
}

// pushes stores what WeChat pushes as long as Redis has room for it.
type pushes struct {
	*tasks.Client
	room *tasks.Room
}

func newPushes(c *tasks.Client) *pushes { return &pushes{Client: c, room: tasks.NewRoom(c, 0)} }

// EnqueueEvent stores an event, or refuses it, so that WeChat pushes it again.
func (p *pushes) EnqueueEvent(ctx context.Context, e tasks.Event) error {
	return p.room.ForPush(ctx, func() error { return p.Client.EnqueueEvent(ctx, e) })
}

func callbackApps(c *config.Config) []callback.App {
	var apps []callback.App
	for _, app := range c.Apps {
		if app.CallbackToken != "" {
			apps = append(apps, callback.App{AppID: app.ID, Token: string(app.CallbackToken), AESKey: string(app.CallbackAESKey)})
		}
	}
	return apps
}

// callbackPart serves the callback on an address of its own.
func callbackPart(c *config.Config, log *slog.Logger, m *metrics.Metrics, handler http.Handler) (boot.Part, error) {
	secure, err := serverTLS(metrics.ServerCallback, c.CallbackTLS, callbackCert, log, m)
	if err != nil {
		return boot.Part{}, err
	}
	s, err := boot.ListenHTTP("callback", c.CallbackAddr, handler, boot.HTTPOptions{
		Variable: "WXNOTIFY_CALLBACK_ADDR", Logger: log, TLS: secure, MaxConnections: c.GatewayMaxConnections,
	})
	if err != nil {
		return boot.Part{}, err
	}
	log.Info("callback listens", "addr", s.Addr(), "tls", secure != nil)
	return s.Part(), nil
}

// beside serves the callback on the gateway's port.
func beside(gateway, callbacks http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle(callback.Pattern, callbacks)
	mux.Handle("/", gateway)
	return mux
}
