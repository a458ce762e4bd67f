package gateway

import (
	"context"
	"net/http"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// Templates is what the gateway needs of a producer.Client to judge without sending.
type Templates interface {
	Templates(ctx context.Context, app string) (producer.TemplateList, error)
	DryRun(ctx context.Context, n producer.Notification) (producer.DryRun, error)
	// DryRunMany answers with one result per notification, in order.
	DryRunMany(ctx context.Context, ns []producer.Notification) []producer.DryResult
}

// templates is GET /v1/templates.
func (g *gateway) templates(x *exchange) reply {
	_, app, fields, p := g.asked(x)
	if p != nil {
		return p.reply()
	}
	if len(fields) > 0 {
		return invalid(fields...).reply()
	}
	x.app = app
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	list, err := g.sender.Templates(ctx, app)
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	return answer(http.StatusOK, list)
}

// dryRun answers what would become of a notification; p is what is wrong with it.
// Nothing is offered, so nothing is counted.
func (g *gateway) dryRun(x *exchange, n tasks.Notification, p *problem) reply {
	if p != nil {
		return p.reply()
	}
	x.app, x.id = n.App, n.ID
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	d, err := g.sender.DryRun(ctx, n)
	if err != nil {
		return g.failed(x, n.App, n.ID, err).reply()
	}
	return answer(http.StatusOK, d)
}

// dryRunMany is the dry part of a batch.
func (g *gateway) dryRunMany(ctx context.Context, list []producer.Notification) []producer.DryResult {
	if len(list) == 0 {
		return nil
	}
	return g.sender.DryRunMany(ctx, list)
}

func (g *gateway) dryResult(x *exchange, n producer.Notification, r producer.DryResult) batchResult {
	if r.Err != nil {
		return batchResult{Error: g.failed(x, n.App, n.ID, r.Err)}
	}
	return batchResult{dry: &r.DryRun}
}
