package callback

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
	"github.com/wxnotify/wxnotify/tasks"
)

// Pattern is where the handler belongs in a http.ServeMux. The AppID follows it.
const Pattern = "/wechat/"

// App is one Mini Program as its message push page in the WeChat console has it.
type App struct {
	AppID string
	// Token is the page's Token, which signs every request.
	Token string
	// AESKey is the page's EncodingAESKey: only sealed pushes are taken then. Empty:
	// the app pushes plaintext.
	AESKey string
}

// Events stores what was pushed; tasks.Client does.
type Events interface {
	// EnqueueEvent stores an event once, however often it comes. Its error is
	// logged, so it must not hold what the event says.
	EnqueueEvent(ctx context.Context, e tasks.Event) error
}

// Config shapes a handler.
type Config struct {
	// Apps are the apps whose pushes are taken. At least one.
	Apps []App
	// Events stores them. Required.
	Events Events
	// Logger gets what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
	// Observe is told of every request: its app, or "" if it names none of ours; one
	// of Results; the time it took. Default: nobody.
	Observe func(app, result string, d time.Duration)
	// ObserveEvent is told what became of a genuine push: its app, one of EventNames
	// and one of EventResults. Default: nobody.
	ObserveEvent func(app, event, result string)
}

// handler holds what requests share.
type handler struct {
	apps         map[string]*app
	events       Events
	logger       *slog.Logger
	observe      func(app, result string, d time.Duration)
	observeEvent func(app, event, result string)
	refusals     seldom
	intake       intake
	now          func() time.Time
}

// app is an App, ready to check and open.
type app struct {
	id    string
	token string
	crypt *wxcrypt.Crypt // nil: the app pushes plaintext

	saidSealed atomic.Bool // that the app seems to seal was logged
}

// New returns the handler of GET and POST /wechat/{app}. The error never holds a
// token or a key.
func New(c Config) (http.Handler, error) { return newHandler(c) }

func newHandler(c Config) (*handler, error) {
	if c.Events == nil {
		return nil, errors.New("callback: nowhere to store events")
	}
	if len(c.Apps) == 0 {
		return nil, errors.New("callback: no app")
	}
	h := &handler{
		apps: map[string]*app{}, events: c.Events, now: time.Now,
		logger: c.Logger, observe: c.Observe, observeEvent: c.ObserveEvent,
	}
	h.fillHooks()
	for i, a := range c.Apps {
		if err := h.add(a); err != nil {
			return nil, fmt.Errorf("callback: app %d of %d: %w", i+1, len(c.Apps), err)
		}
	}
	return h, nil
}

func (h *handler) fillHooks() {
	if h.logger == nil {
		h.logger = slog.New(slog.DiscardHandler)
	}
	h.logger = h.logger.With("component", "callback")
	if h.observe == nil {
		h.observe = func(string, string, time.Duration) {}
	}
	if h.observeEvent == nil {
		h.observeEvent = func(string, string, string) {}
	}
}

func (h *handler) add(a App) error {
	if !tasks.ValidApp(a.AppID) {
		return errors.New("is no AppID")
	}
	if h.apps[a.AppID] != nil {
		return errors.New("is listed twice")
	}
	if a.Token == "" {
		return errors.New("has no callback token")
	}
	ready := &app{id: a.AppID, token: a.Token}
	if a.AESKey != "" {
		crypt, err := wxcrypt.New(a.AESKey, a.AppID)
		if err != nil {
			return err
		}
		ready.crypt = crypt
	}
	h.apps[a.AppID] = ready
	return nil
}

// ServeHTTP answers one request of WeChat's, or of whoever says so.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id, one := strings.CutPrefix(r.URL.Path, Pattern)
	if !one || id == "" || strings.Contains(id, "/") {
		http.NotFound(w, r)
		h.observe("", Refused, time.Since(start))
		return
	}
	a := h.apps[id]
	result := h.answer(w, r, a)
	h.observe(a.name(), result, time.Since(start))
}

func (h *handler) answer(w http.ResponseWriter, r *http.Request, a *app) string {
	switch r.Method {
	case http.MethodGet:
		return h.verify(w, r, a)
	case http.MethodPost:
		return h.receive(w, r, a)
	}
	w.Header().Set("Allow", "GET, POST")
	http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	return Refused
}

// verify answers WeChat's check of the address, in every mode the same: the
// echostr as it came.
func (h *handler) verify(w http.ResponseWriter, r *http.Request, a *app) string {
	q, reason := h.readQuery(r.URL)
	if reason == "" {
		reason = a.checkPlain(q)
	}
	if reason == "" && q.echo == "" {
		reason = reasonQuery
	}
	if reason != "" {
		return h.refuse(w, r, a, reason)
	}
	respond(w, http.StatusOK, q.echo)
	return Verified
}

// name is the AppID, or "" for an app that is none of ours.
func (a *app) name() string {
	if a == nil {
		return ""
	}
	return a.id
}
