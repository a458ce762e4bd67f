package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// DeadLetters is what the gateway needs of a producer.Client about notifications
// that only a person can help.
type DeadLetters interface {
	DeadLetters(ctx context.Context, f producer.DeadFilter, cursor string, limit int) (producer.DeadPage, error)
	DeadLetter(ctx context.Context, app, id string) (producer.DeadContent, error)
	ReplayDead(ctx context.Context, f producer.DeadFilter, o producer.DeadRun) (producer.DeadCounts, error)
	DropDead(ctx context.Context, f producer.DeadFilter, o producer.DeadRun) (producer.DeadCounts, error)
}

// Bounds of one request that replays or drops: it ends in time for its caller, who
// repeats it.
const (
	maxDeadRun  = 1000
	deadRunRate = 100
	deadRunFor  = 20 * time.Second
	// deadRunWait leaves room for what was begun within deadRunFor.
	deadRunWait = deadRunFor + 4*time.Second
	// deadListWait bounds a list.
	deadListWait = 10 * time.Second
)

// deadRequest is a request to replay or to drop.
type deadRequest struct {
	filter producer.DeadFilter
	run    producer.DeadRun
	all    bool
}

// deadFields are the fields of a deadRequest.
var deadFields = map[string]setter[deadRequest]{
	"app":        word(func(r *deadRequest) *string { return &r.filter.App }),
	"template":   word(func(r *deadRequest) *string { return &r.filter.TemplateID }),
	"reason":     setReason,
	"older_than": setOlderThan,
	"limit":      setWhole(func(r *deadRequest) *int { return &r.run.Limit }, maxDeadRun),
	"rate":       setWhole(func(r *deadRequest) *int { return &r.run.Rate }, 0),
	"dry_run":    flag(func(d *draft[deadRequest]) *bool { return &d.v.run.DryRun }),
	"all":        flag(func(d *draft[deadRequest]) *bool { return &d.v.all }),
}

// setReason takes an errcode as a number, too.
func setReason(d *draft[deadRequest], field string, raw json.RawMessage) {
	if code, err := strconv.Atoi(string(raw)); err == nil {
		d.v.filter.Reason = strconv.Itoa(code)
		return
	}
	word(func(r *deadRequest) *string { return &r.filter.Reason })(d, field, raw)
}

const detailAge = `must be a duration with its unit, such as "30m", "24h" or "7d"`

func setOlderThan(d *draft[deadRequest], field string, raw json.RawMessage) {
	s, ok := d.str(field, raw, "a string")
	if !ok {
		return
	}
	if d.v.filter.OlderThan, ok = tasks.ParseDuration(s); !ok {
		d.add(field, detailAge)
	}
}

// setWhole reads a whole number from 1 to most, 0 meaning any.
func setWhole(at func(*deadRequest) *int, most int) setter[deadRequest] {
	return func(d *draft[deadRequest], field string, raw json.RawMessage) {
		n, err := strconv.Atoi(string(raw))
		switch {
		case err == nil && n > 0 && (most == 0 || n <= most):
			*at(&d.v) = n
		case most == 0:
			d.add(field, "must be a whole number above 0")
		default:
			d.add(field, fmt.Sprintf("must be a whole number from 1 to %d", most))
		}
	}
}

// listDead is GET /v1/dead.
func (g *gateway) listDead(x *exchange) reply {
	query, app, fields, p := g.asked(x, "template", "reason", "older_than", "cursor", "limit")
	if p != nil {
		return p.reply()
	}
	filter := producer.DeadFilter{App: app, TemplateID: query.Get("template"), Reason: query.Get("reason")}
	limit := producer.DefaultDeadPage
	var ok bool
	if query.Has("older_than") {
		if filter.OlderThan, ok = tasks.ParseDuration(query.Get("older_than")); !ok {
			fields = append(fields, tasks.FieldError{Field: "older_than", Detail: detailAge})
		}
	}
	if query.Has("limit") {
		if limit, ok = pageLimit(query); !ok {
			fields = append(fields, tasks.FieldError{Field: "limit", Detail: fmt.Sprintf("must be a whole number from 1 to %d", producer.MaxDeadPage)})
		}
	}
	if len(fields) > 0 {
		return invalid(fields...).reply()
	}
	x.app = app
	ctx, cancel := x.within(deadListWait)
	defer cancel()
	page, err := g.sender.DeadLetters(ctx, filter, query.Get("cursor"), limit)
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	return answer(http.StatusOK, page)
}

func pageLimit(query url.Values) (int, bool) {
	n, err := strconv.Atoi(query.Get("limit"))
	return n, err == nil && n >= 1 && n <= producer.MaxDeadPage
}

// showDead is GET /v1/dead/{id}.
func (g *gateway) showDead(x *exchange) reply {
	app, id, p := g.target(x)
	if p != nil {
		return p.reply()
	}
	ctx, cancel := x.within(callTimeout)
	defer cancel()
	letter, err := g.sender.DeadLetter(ctx, app, id)
	if errors.Is(err, producer.ErrNotFound) {
		return newProblem(http.StatusNotFound, "no dead letter has this id: the notification is not dead, or was dropped; GET /v1/notifications/{id} tells where it stands").reply()
	}
	if err != nil {
		return g.failed(x, app, id, err).reply()
	}
	return answer(http.StatusOK, letter)
}

// replayedDead and droppedDead are the answers to a run.
type replayedDead struct {
	App      string `json:"app"`
	DryRun   bool   `json:"dry_run"`
	Matched  int    `json:"matched"`
	Replayed int    `json:"replayed"`
	Expired  int    `json:"expired"`
	Skipped  int    `json:"skipped"`
	More     bool   `json:"more"`
}

type droppedDead struct {
	App     string `json:"app"`
	DryRun  bool   `json:"dry_run"`
	Matched int    `json:"matched"`
	Dropped int    `json:"dropped"`
	Skipped int    `json:"skipped"`
	More    bool   `json:"more"`
}

// replayDead is POST /v1/dead:replay.
func (g *gateway) replayDead(x *exchange) reply {
	return g.runDead(x, g.sender.ReplayDead, func(r deadRequest, n producer.DeadCounts) any {
		return replayedDead{
			App: r.filter.App, DryRun: r.run.DryRun, Matched: n.Matched, Replayed: n.Done,
			Expired: n.Expired, Skipped: n.Skipped, More: n.More,
		}
	})
}

// dropDead is POST /v1/dead:drop.
func (g *gateway) dropDead(x *exchange) reply {
	return g.runDead(x, g.sender.DropDead, func(r deadRequest, n producer.DeadCounts) any {
		return droppedDead{
			App: r.filter.App, DryRun: r.run.DryRun, Matched: n.Matched, Dropped: n.Done, Skipped: n.Skipped, More: n.More,
		}
	})
}

// runDead deals with a part of the letters and says whether others are left.
func (g *gateway) runDead(x *exchange, do func(context.Context, producer.DeadFilter, producer.DeadRun) (producer.DeadCounts, error),
	body func(deadRequest, producer.DeadCounts) any) reply {
	d, p := read(x, deadFields)
	if p != nil {
		return p.reply()
	}
	d.chooseApp(g, &d.v.filter.App)
	if !d.v.run.DryRun && !d.v.all && d.v.filter.Everything() && len(d.errs) == 0 {
		d.add("all", `choose by template, reason or older_than, or say "all": true for every dead letter of the app`)
	}
	if p := d.problem(); p != nil {
		return p.reply()
	}
	x.app = d.v.filter.App
	run := d.v.run
	if run.Limit == 0 {
		run.Limit = maxDeadRun
	}
	if run.Rate == 0 {
		run.Rate = deadRunRate
	}
	run.Within = deadRunFor
	ctx, cancel := x.within(deadRunWait)
	defer cancel()
	counts, err := do(ctx, d.v.filter, run)
	x.items = counts.Done
	if err != nil {
		return g.failed(x, "", "", err).reply()
	}
	return answer(http.StatusOK, body(d.v, counts))
}
