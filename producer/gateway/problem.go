package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// problem is an RFC 9457 problem. As a rule it has no type: title is the status's
// own name then, as the RFC wants it. The detail tells the caller what to do, and
// neither it nor the errors hold a value of the request.
type problem struct {
	// Type tells apart what callers may treat differently: typeRedisFull,
	// typeQueueFull or typeRedisRefuses, else none.
	Type   string             `json:"type,omitempty"`
	Title  string             `json:"title"`
	Status int                `json:"status"`
	Detail string             `json:"detail"`
	Errors []tasks.FieldError `json:"errors,omitempty"`
	// Notification is where the notification stands, if that is why it failed.
	Notification *receipt `json:"notification,omitempty"`

	header map[string]string
}

func newProblem(status int, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

// with adds a header, which a problem inside a batch has no use for.
func (p *problem) with(name, value string) *problem {
	if p.header == nil {
		p.header = map[string]string{}
	}
	p.header[name] = value
	return p
}

func (p *problem) reply() reply {
	r := answer(p.Status, p)
	r.header = p.with("Content-Type", "application/problem+json").header
	return r
}

func invalid(fields ...tasks.FieldError) *problem {
	p := newProblem(http.StatusUnprocessableEntity, "nothing was done: correct the fields listed in errors")
	p.Errors = fields
	return p
}

func internalError() *problem {
	return newProblem(http.StatusInternalServerError,
		"the gateway failed; its log has the cause under this answer's X-Request-Id; repeating with the same id never sends twice")
}

func unavailable() *problem {
	return newProblem(http.StatusServiceUnavailable,
		"Redis does not answer, so nobody can tell whether this took effect: repeat it unchanged, with the same id if it has one, so that it counts once").
		with("Retry-After", "2")
}

// noWorker: nothing was lost by the caller, and starting a worker takes a while.
func noWorker() *problem {
	return newProblem(http.StatusServiceUnavailable,
		"no worker has announced itself yet, so nobody can tell whether reports count: start one, and repeat this with the same report_id").
		with("Retry-After", "10")
}

// The types of the problems that end by themselves once workers have drained a queue.
const (
	typeRedisFull = "urn:wxnotify:problem:redis-full"
	typeQueueFull = "urn:wxnotify:problem:queue-full"
)

// busy: unlike with a Redis that does not answer, it is certain that nothing was stored.
func busy(err error) *problem {
	p := newProblem(http.StatusServiceUnavailable,
		"nothing was stored, because Redis is near its maxmemory: repeat it later; if it stays so, see that workers run, or give Redis more memory")
	p.Type, p.Title = typeRedisFull, "Redis Is Full"
	if errors.Is(err, tasks.ErrQueueFull) {
		p.Type, p.Title = typeQueueFull, "Queue Is Full"
		p.Detail = "nothing was stored, because as many notifications of this app wait as may: repeat it later; " +
			"if it stays so, see that workers run, or raise WXNOTIFY_MAX_QUEUED"
	}
	return p.with("Retry-After", "5")
}

// typeRedisRefuses is the type of the problem that ends once a person gives Redis's
// user a right.
const typeRedisRefuses = "urn:wxnotify:problem:redis-refuses"

// forbidden is no outage, but as uncertain: a script may have been refused halfway.
func forbidden(refused *tasks.ForbiddenError) *problem {
	p := newProblem(http.StatusServiceUnavailable,
		"Redis refuses the gateway's user: "+refused.What()+" is forbidden to it. Nobody can tell whether this took effect: keep it and repeat it unchanged, "+
			"with the same id if it has one. An operator gives the user the rights of deploy/redis/users.acl; ACL LOG on the server says what was refused")
	p.Type, p.Title = typeRedisRefuses, "Redis Refuses"
	return p.with("Retry-After", "10")
}

func (p *problem) busy() bool { return p.Type == typeRedisFull || p.Type == typeQueueFull }

// failed turns an error of the Sender into an answer. app and id are those of the
// notification it is about, if it is about one.
func (g *gateway) failed(x *exchange, app, id string, err error) *problem {
	if refused, ok := errors.AsType[*tasks.ValidationError](err); ok {
		return invalid(refused.Fields...)
	}
	if late, ok := errors.AsType[*producer.NotCancelableError](err); ok {
		return tooLate(app, id, late.Status)
	}
	if refused, ok := errors.AsType[*tasks.ForbiddenError](err); ok {
		g.logger.LogAttrs(x.r.Context(), slog.LevelError, "redis refuses this gateway's user", slog.String("err", refused.Error()))
		return forbidden(refused)
	}
	switch {
	case errors.Is(err, producer.ErrUnknownApp):
		return invalid(tasks.FieldError{Field: "app", Detail: "no worker serves this app: check the AppID, or start a worker for it"})
	case errors.Is(err, producer.ErrConflict):
		return newProblem(http.StatusConflict, "this id belongs to a notification with other content: use another id, or leave it out")
	case errors.Is(err, producer.ErrNotFound):
		return newProblem(http.StatusNotFound, "nothing is known about this id in this app: it was never sent, or it ended so long ago that it is forgotten")
	case errors.Is(err, producer.ErrNoWorker):
		return noWorker()
	case errors.Is(err, producer.ErrBusy):
		return busy(err)
	case errors.Is(err, producer.ErrUnavailable), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return unavailable()
	}
	g.logger.LogAttrs(x.r.Context(), slog.LevelError, "request failed",
		slog.String("request_id", x.requestID), slog.String("err", err.Error()))
	return internalError()
}

func tooLate(app, id string, status tasks.Status) *problem {
	detail := "too late to cancel: it has ended"
	if !status.Final() {
		detail = "too late to cancel: an attempt is under way; its status will tell how it ended"
	}
	p := newProblem(http.StatusConflict, detail)
	p.Notification = &receipt{ID: id, App: app, Status: status}
	return p
}
