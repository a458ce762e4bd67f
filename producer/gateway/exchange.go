package gateway

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"time"

	"github.com/google/uuid"
)

// exchange is one request and what the log will say about it.
type exchange struct {
	w         http.ResponseWriter
	r         *http.Request
	requestID string
	key       string // name of the caller's key, once known
	app, id   string // of the notification, once judged
	items     int    // of a batch

	allowance *allowance // of the caller's key; nil: any number of requests
	intake    *intake
	held      int64 // of intake
}

// reply is an answer not yet written. Endpoints return it instead of writing
// it, so that a panic never cuts an answer in two.
type reply struct {
	status int
	header map[string]string
	body   []byte
}

// answer is a reply with v as its JSON body. It panics if v cannot be encoded,
// which none of ours does; the caller gets a 500 then.
func answer(status int, v any) reply {
	body, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return reply{status: status, body: append(body, '\n')}
}

// handler wraps an endpoint in what every request gets: an id, an answer even
// after a panic, a line in the log, a metric.
func (g *gateway) handler(path string, next endpoint) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		x := &exchange{w: w, r: r, requestID: requestID(r), intake: g.intake}
		defer func() { g.intake.giveBack(x.held) }()
		reply := g.guarded(x, next)
		w.Header().Set("X-Request-Id", x.requestID)
		reply.write(w)
		took := time.Since(start)
		g.observe(path, reply.status, took)
		g.log(x, path, reply.status, took)
	})
}

// log writes the line of a request; of those that are refused for their key or its
// rate, some.
func (g *gateway) log(x *exchange, path string, status int, took time.Duration) {
	attrs := x.attrs(path, status, took)
	if s := g.refusals[status]; s != nil {
		leftOut, write := s.take(time.Now())
		if !write {
			return
		}
		if leftOut > 0 {
			attrs = append(attrs, slog.Int("left_out", leftOut))
		}
	}
	g.logger.LogAttrs(x.r.Context(), slog.LevelInfo, "request", attrs...)
}

// guarded turns a panic into a 500. What was panicked with may hold anything,
// so only Go's own runtime errors are logged by their text.
func (g *gateway) guarded(x *exchange, next endpoint) (result reply) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		attrs := []slog.Attr{slog.String("request_id", x.requestID), slog.String("stack", string(debug.Stack()))}
		if err, ok := v.(runtime.Error); ok {
			attrs = append(attrs, slog.String("err", err.Error()))
		}
		g.logger.LogAttrs(x.r.Context(), slog.LevelError, "request panicked", attrs...)
		result = internalError().reply()
	}()
	return next(x)
}

// attrs says who asked for what and what came of it: no query, no openid, no
// path other than our own patterns.
func (x *exchange) attrs(path string, status int, took time.Duration) []slog.Attr {
	attrs := []slog.Attr{
		slog.String("request_id", x.requestID), slog.String("method", knownMethod(x.r.Method)), slog.String("route", path),
		slog.Int("status", status), slog.Duration("took", took),
	}
	for _, a := range []slog.Attr{slog.String("key", x.key), slog.String("app", x.app), slog.String("id", x.id)} {
		if a.Value.String() != "" {
			attrs = append(attrs, a)
		}
	}
	if x.items > 0 {
		attrs = append(attrs, slog.Int("items", x.items))
	}
	return attrs
}

// within returns the request's context with a time limit.
func (x *exchange) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(x.r.Context(), d)
}

func knownMethod(method string) string {
	known := []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions}
	if slices.Contains(known, method) {
		return method
	}
	return "other"
}

const maxRequestID = 64

// requestID is the caller's X-Request-Id if it fits into a log line, else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	if len(id) <= maxRequestID && usable(id) {
		return id
	}
	return uuid.NewString()
}

// write sends a reply that no cache keeps and no page can embed.
func (r reply) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	for name, value := range r.header {
		h.Set(name, value)
	}
	w.WriteHeader(r.status)
	_, _ = w.Write(r.body) // a caller that hung up needs no answer
}
