package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// Sender is what the gateway needs of a producer.Client.
type Sender interface {
	Send(ctx context.Context, n producer.Notification) (producer.Receipt, error)
	// SendMany answers with one result per notification, in order.
	SendMany(ctx context.Context, ns []producer.Notification) []producer.Result
	Status(ctx context.Context, app, id string) (producer.State, error)
	Cancel(ctx context.Context, app, id string) (producer.State, error)
	Consents
	DeadLetters
	Counts
	Templates
}

// Consents is what the gateway needs of a producer.Client about what users allow.
type Consents interface {
	GrantFormID(ctx context.Context, f producer.FormID) (producer.FormIDGrant, error)
	GrantSubscription(ctx context.Context, s producer.Subscription) (producer.SubscriptionGrant, error)
	Credits(ctx context.Context, app, openID string) (producer.Credits, error)
	EraseUser(ctx context.Context, app, openID string) error
}

// Config shapes a gateway.
type Config struct {
	// Sender stores the notifications. Required.
	Sender Sender
	// Keys are the keys that callers may show. At least one.
	Keys []Key
	// Apps are the AppIDs callers may name; with exactly one, they may leave it
	// out. Default none: every request names its app, and the Sender judges it.
	Apps []string
	// KeyRate is how many requests a second each key may make of this gateway, a batch
	// counting as its notifications; one second's worth can be saved up. Beyond, the
	// answer is 429. Default 0: any number.
	KeyRate float64
	// Logger gets one line per request; of those with a wrong key, or beyond its
	// rate, a few a second. Default: nothing is logged.
	Logger *slog.Logger
	// Observe is told of every request: the route's pattern (see Routes) or
	// "other", the status and the time it took. Default: nobody.
	Observe func(route string, code int, d time.Duration)
	// ObserveEnqueue is told of every notification offered: app and kind as far as
	// they could be read (they may be nonsense), and accepted, duplicate, conflict,
	// invalid, busy, unavailable or failed. Default: nobody.
	ObserveEnqueue func(app, kind, result string)
	// ObserveGrant is told what became of a form id or of one template of a report:
	// app, metrics.GrantFromFormID or GrantFromReport, and one of metrics.GrantResults.
	// Default: nobody.
	ObserveGrant func(app, source, result string)
}

// How long a call to the Sender may take.
const (
	callTimeout  = 2 * time.Second
	batchTimeout = 10 * time.Second
)

// otherRoute is the route of requests that match none.
const otherRoute = "other"

// gateway holds what the endpoints share. After New only what it counts changes.
type gateway struct {
	sender         Sender
	keys           keyring
	allowances     map[string]*allowance // by the key's name; nil: there is no limit
	intake         *intake
	refusals       map[int]*sparse // by status
	apps           []string
	logger         *slog.Logger
	observe        func(route string, code int, d time.Duration)
	observeEnqueue func(app, kind, result string)
	observeGrant   func(app, source, result string)
}

// endpoint answers one method of one route.
type endpoint func(x *exchange) reply

// route is a path pattern of http.ServeMux, without method, and its methods.
type route struct {
	path    string
	methods map[string]endpoint
}

// New returns the handler of all /v1 routes. It refuses to start without a key:
// whoever reaches an open gateway could write to every user. The error never
// holds a key.
func New(c Config) (http.Handler, error) {
	if c.Sender == nil {
		return nil, errors.New("gateway: no sender")
	}
	keys, err := newKeyring(c.Keys)
	if err != nil {
		return nil, err
	}
	if err := checkApps(c.Apps); err != nil {
		return nil, err
	}
	g := &gateway{
		sender: c.Sender, keys: keys, allowances: newAllowances(keys, c.KeyRate), apps: slices.Clone(c.Apps), intake: newIntake(),
		refusals: map[int]*sparse{http.StatusUnauthorized: {}, http.StatusTooManyRequests: {}},
		logger:   c.Logger, observe: c.Observe, observeEnqueue: c.ObserveEnqueue, observeGrant: c.ObserveGrant,
	}
	g.fillHooks()
	return g.mux(), nil
}

func (g *gateway) fillHooks() {
	if g.logger == nil {
		g.logger = slog.New(slog.DiscardHandler)
	}
	g.logger = g.logger.With("component", "gateway")
	if g.observe == nil {
		g.observe = func(string, int, time.Duration) {}
	}
	if g.observeEnqueue == nil {
		g.observeEnqueue = func(string, string, string) {}
	}
	if g.observeGrant == nil {
		g.observeGrant = func(string, string, string) {}
	}
}

func checkApps(apps []string) error {
	for i, app := range apps {
		if !tasks.ValidApp(app) {
			return fmt.Errorf("gateway: app %d of %d is no AppID", i+1, len(apps))
		}
		if slices.Contains(apps[:i], app) {
			return fmt.Errorf("gateway: app %d of %d is listed twice", i+1, len(apps))
		}
	}
	return nil
}

func (g *gateway) routes() []route {
	return []route{
		{"/v1/notifications", map[string]endpoint{http.MethodPost: g.withKey(g.create)}},
		{"/v1/notifications:batch", map[string]endpoint{http.MethodPost: g.withKey(g.createBatch)}},
		{"/v1/notifications/{id}", map[string]endpoint{
			http.MethodGet:    g.withKey(g.show),
			http.MethodDelete: g.withKey(g.cancel),
		}},
		{"/v1/form-ids", map[string]endpoint{http.MethodPost: g.withKey(g.grantFormID)}},
		{"/v1/subscriptions", map[string]endpoint{http.MethodPost: g.withKey(g.grantSubscription)}},
		{"/v1/credits", map[string]endpoint{http.MethodGet: g.withKey(g.credits)}},
		{"/v1/templates", map[string]endpoint{http.MethodGet: g.withKey(g.templates)}},
		{"/v1/users/{openid}", map[string]endpoint{http.MethodDelete: g.withKey(g.eraseUser)}},
		{"/v1/dead", map[string]endpoint{http.MethodGet: g.withKey(g.listDead)}},
		{"/v1/dead/{id}", map[string]endpoint{http.MethodGet: g.withKey(g.showDead)}},
		{"/v1/dead:replay", map[string]endpoint{http.MethodPost: g.withKey(g.replayDead)}},
		{"/v1/dead:drop", map[string]endpoint{http.MethodPost: g.withKey(g.dropDead)}},
		{"/v1/stats", map[string]endpoint{http.MethodGet: g.withKey(g.stats)}},
		{"/v1/openapi.json", map[string]endpoint{http.MethodGet: document}},
	}
}

// Routes lists the patterns that Config.Observe is called with, apart from "other".
func Routes() []string {
	var paths []string
	for _, rt := range (&gateway{}).routes() {
		paths = append(paths, rt.path)
	}
	return paths
}

// mux registers paths without methods, because ServeMux answers a wrong method
// or path with plain text and we with a problem.
func (g *gateway) mux() http.Handler {
	mux := http.NewServeMux()
	for _, rt := range g.routes() {
		mux.Handle(rt.path, g.handler(rt.path, rt.choose))
	}
	mux.Handle("/", g.handler(otherRoute, func(*exchange) reply {
		return newProblem(http.StatusNotFound, "no such route: see /v1/openapi.json for those there are").reply()
	}))
	return mux
}

// choose calls the endpoint of the request's method.
func (rt route) choose(x *exchange) reply {
	method := x.r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http leaves the body out
	}
	if next, ok := rt.methods[method]; ok {
		return next(x)
	}
	allowed := rt.allow()
	return newProblem(http.StatusMethodNotAllowed, "this route takes "+allowed).with("Allow", allowed).reply()
}

func (rt route) allow() string {
	var methods []string
	for method := range rt.methods {
		methods = append(methods, method)
		if method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}
