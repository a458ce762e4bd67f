package main

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// spell is how long bad weather lasts. A silence outlives every timeout.
const (
	spell   = 2 * time.Second
	silence = 6 * time.Second
)

// disturbNetwork lets all kinds of weather through the proxy, in turns.
func disturbNetwork(ctx context.Context, w *world) error {
	kinds := []struct {
		weather weather
		lasts   time.Duration
	}{{lagging, spell}, {fair, 0}, {silent, silence}, {deaf, spell}}
	return w.times(ctx, max(len(kinds), w.plan.of(w.row.otherFaults)), func(ctx context.Context, i int) error {
		kind := kinds[i%len(kinds)]
		w.proxy.change(kind.weather)
		err := lab.Sleep(ctx, kind.lasts)
		w.proxy.change(fair)
		if kind.weather == fair {
			w.proxy.cut()
		}
		w.otherFaults.Add(1)
		return err
	})
}

// rotateToken ends the token that the workers use, as a rival's fetch would.
func rotateToken(ctx context.Context, w *world) error {
	return w.times(ctx, w.plan.of(w.row.otherFaults), func(ctx context.Context, _ int) error {
		w.otherFaults.Add(1)
		return w.sandbox.KillTokens(ctx)
	})
}

// misbehave lets the sandbox do what WeChat does at its worst.
func misbehave(ctx context.Context, w *world) error {
	const share = 0.05
	bad := slow(w.row.latency)
	call := bad.Calls[sandbox.APISubscribeSend]
	call.Errcodes = map[int]float64{-1: share, 43108: share}
	call.Shares = map[sandbox.Fault]float64{sandbox.FaultBadGateway: share, sandbox.FaultLostCut: share}
	bad.Calls[sandbox.APISubscribeSend] = call
	if err := w.sandbox.SetFaults(ctx, bad); err != nil {
		return err
	}
	if err := wait(ctx, w); err != nil {
		return err
	}
	return w.sandbox.SetFaults(ctx, slow(w.row.latency))
}
