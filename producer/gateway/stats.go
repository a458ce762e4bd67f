package gateway

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// Counts is what the gateway needs of a producer.Client about what became of
// notifications.
type Counts interface {
	Stats(ctx context.Context, q producer.StatsQuery) (producer.Stats, error)
}

// stats is GET /v1/stats.
func (g *gateway) stats(x *exchange) reply {
	query, app, fields, p := g.asked(x, "days")
	if p != nil {
		return p.reply()
	}
	q := producer.StatsQuery{App: app}
	if query.Has("days") {
		n, err := strconv.Atoi(query.Get("days"))
		if err != nil || n < 1 || n > producer.MaxStatsDays {
			fields = append(fields, tasks.FieldError{Field: "days", Detail: fmt.Sprintf("must be a whole number from 1 to %d", producer.MaxStatsDays)})
		}
		q.Days = n
	}
	if len(fields) > 0 {
		return invalid(fields...).reply()
	}
	x.app = app
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	stats, err := g.sender.Stats(ctx, q)
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	return answer(http.StatusOK, stats)
}
