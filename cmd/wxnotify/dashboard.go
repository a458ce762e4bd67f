package main

import (
	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

type dashboardCmd struct{}

// Run serves the dashboard until a signal.
func (*dashboardCmd) Run(p *program) error {
	c, err := config.Load(config.Redis, config.Dashboard)
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c)
	serve, _, err := dashboardPart(c, log)
	if err != nil {
		return err
	}
	return boot.Run(p.ctx, log, serve)
}
