package main

import (
	"context"
	"errors"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer"
)

type gatewayCmd struct{}

// Run serves the HTTP API until a signal.
func (*gatewayCmd) Run(p *program) error {
	c, err := config.Load(config.Redis, config.GatewayKeys)
	if err != nil {
		return err
	}
	log, level := newLeveledLogger(p.stderr, c)
	m := newMetrics(c)
	client, err := newProducer(c)
	if err != nil {
		return err
	}
	admin, _, err := adminPart(c, log, level, m, gatewayReady(client, m))
	if err != nil {
		return errors.Join(err, client.Close())
	}
	serve, _, err := gatewayPart(c, log, m, client)
	if err != nil {
		return errors.Join(err, client.Close())
	}
	return boot.Run(p.ctx, log, admin, serve)
}

// gatewayReady is whether the gateway can store what it is given.
func gatewayReady(client *producer.Client, m *metrics.Metrics) func(context.Context) error {
	return func(ctx context.Context) error {
		err := client.Ping(ctx)
		m.RedisUp(err == nil)
		if err != nil {
			if errors.Is(err, producer.ErrForbidden) {
				return errors.New("redis refuses this gateway's user")
			}
			return errors.New("redis does not answer")
		}
		return nil
	}
}
