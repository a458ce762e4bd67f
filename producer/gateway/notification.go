package gateway

import (
	"net/http"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// receipt is the answer to a notification that is stored.
type receipt struct {
	ID        string       `json:"id"`
	App       string       `json:"app"`
	Status    tasks.Status `json:"status"`
	Duplicate bool         `json:"duplicate,omitempty"`
	Truncated []string     `json:"truncated,omitempty"`
}

func newReceipt(r producer.Receipt) receipt {
	return receipt{ID: r.ID, App: r.App, Status: r.Status, Duplicate: r.Duplicate, Truncated: r.Truncated}
}

// create is POST /v1/notifications.
func (g *gateway) create(x *exchange) reply {
	body, p := x.readPost(maxBody)
	if p != nil {
		return p.reply()
	}
	n, dry, p := g.notification(body)
	if dry {
		return g.dryRun(x, n, p)
	}
	if p != nil {
		g.count(n, receipt{}, p)
		return p.reply()
	}
	x.app, x.id = n.App, n.ID
	n.RequestID = x.requestID
	r, p := g.send(x, n)
	g.count(n, r, p)
	if p != nil {
		return p.reply()
	}
	x.id = r.ID
	if r.Duplicate {
		return answer(http.StatusOK, r)
	}
	return answer(http.StatusAccepted, r)
}

func (g *gateway) send(x *exchange, n tasks.Notification) (receipt, *problem) {
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	r, err := g.sender.Send(ctx, n)
	if err != nil {
		return receipt{}, g.failed(x, n.App, n.ID, err)
	}
	return newReceipt(r), nil
}

// count tells the metrics what became of a notification that was offered.
func (g *gateway) count(n tasks.Notification, r receipt, p *problem) {
	result := "accepted"
	switch {
	case p == nil && r.Duplicate:
		result = "duplicate"
	case p == nil:
	case p.Status == http.StatusConflict:
		result = "conflict"
	case p.Status < http.StatusInternalServerError:
		result = "invalid"
	case p.busy():
		result = metrics.EnqueueBusy
	case p.Status == http.StatusServiceUnavailable:
		result = "unavailable"
	default:
		result = "failed"
	}
	g.observeEnqueue(n.App, string(n.WithDefaults().Kind), result)
}

// show is GET /v1/notifications/{id}.
func (g *gateway) show(x *exchange) reply {
	app, id, p := g.target(x)
	if p != nil {
		return p.reply()
	}
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	s, err := g.sender.Status(ctx, app, id)
	if err != nil {
		return g.failed(x, app, id, err).reply()
	}
	s.CreatedAt, s.UpdatedAt = s.CreatedAt.UTC(), s.UpdatedAt.UTC()
	return answer(http.StatusOK, s)
}

// cancel is DELETE /v1/notifications/{id}.
func (g *gateway) cancel(x *exchange) reply {
	app, id, p := g.target(x)
	if p != nil {
		return p.reply()
	}
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	s, err := g.sender.Cancel(ctx, app, id)
	if err != nil {
		return g.failed(x, app, id, err).reply()
	}
	return answer(http.StatusOK, receipt{ID: id, App: app, Status: s.Status})
}
