package main

import (
	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

type workerCmd struct{}

// Run serves the queues of WXNOTIFY_APPS until a signal.
func (*workerCmd) Run(p *program) error {
	c, err := config.Load(config.Redis, config.Secrets)
	if err != nil {
		return err
	}
	log, level := newLeveledLogger(p.stderr, c)
	m := newMetrics(c)
	w, err := newWorkerParts(c, log, m)
	if err != nil {
		return err
	}
	admin, _, err := adminPart(c, log, level, m, w.worker.Ready)
	if err != nil {
		return w.abandon(err)
	}
	return boot.Run(p.ctx, log, admin, w.part())
}
