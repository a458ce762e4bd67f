package callback

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// storeTimeout bounds the storing of an event. WeChat hangs up after 5 seconds.
const storeTimeout = 3 * time.Second

// success is the answer that keeps WeChat from pushing again.
const success = "success"

// receive takes a push: prove, open, store, answer.
func (h *handler) receive(w http.ResponseWriter, r *http.Request, a *app) string {
	body, held, reason := h.intake.read(r.Body)
	defer h.intake.giveBack(held)
	if reason == reasonCrowded {
		return h.turnAway(w, r)
	}
	var push reading
	if reason == "" {
		push, reason = h.read(r.URL, body, a)
	}
	if reason != "" {
		return h.refuse(w, r, a, reason)
	}
	if push.result == EventQueued {
		if err := h.store(r.Context(), push.event); err != nil {
			return h.fail(w, r, a, push, err)
		}
	}
	h.count(r.Context(), a, push)
	respond(w, http.StatusOK, success)
	if push.result == EventQueued {
		return Accepted
	}
	return Ignored // what is malformed would be no better the second time
}

// read returns what a request pushes, or why it is refused.
func (h *handler) read(u *url.URL, body []byte, a *app) (reading, string) {
	q, reason := h.readQuery(u)
	if reason != "" {
		return reading{}, reason
	}
	opened, reason := a.open(q, body)
	if reason != "" {
		return reading{}, reason
	}
	push, err := readPush(a.id, opened)
	if err != nil {
		return reading{}, reasonUnreadable
	}
	// What claims to come from the future would outlast every answer until then.
	if now := h.now(); push.event.At.After(now.Add(window)) {
		push.event.At = now.Truncate(time.Second)
	}
	return push, ""
}

// store goes on if WeChat hangs up: a push that is stored need not come again.
func (h *handler) store(ctx context.Context, e tasks.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return h.events.EnqueueEvent(ctx, e)
}

// count tells what became of a push, and of the items left out of it.
func (h *handler) count(ctx context.Context, a *app, push reading) {
	h.observeEvent(a.id, push.label, push.result)
	for range push.leftOut {
		h.observeEvent(a.id, push.label, EventMalformed)
	}
	what := ""
	switch {
	case push.result == EventMalformed:
		what = "push left out: no openid, no time or no usable item in it"
	case push.leftOut > 0:
		what = "items of a push left out: their shape is wrong"
	default:
		return
	}
	h.logger.LogAttrs(ctx, slog.LevelWarn, what, slog.String("app", a.id), slog.String("event", push.label))
}

// fail lets WeChat push again.
func (h *handler) fail(w http.ResponseWriter, r *http.Request, a *app, push reading, err error) string {
	if refused := tasks.Forbidden(err); refused != nil {
		err = refused
	}
	h.logger.LogAttrs(r.Context(), slog.LevelWarn, "push not stored: WeChat will push it again",
		slog.String("app", a.id), slog.String("event", push.label), slog.String("err", err.Error()))
	h.observeEvent(a.id, push.label, EventFailed)
	respond(w, http.StatusInternalServerError, "not stored\n")
	return Failed
}
