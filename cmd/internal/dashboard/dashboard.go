package dashboard

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/hibiken/asynqmon"
	"github.com/redis/go-redis/v9"
)

// Config is what a dashboard needs.
type Config struct {
	// Redis is where the queues are. The caller closes it, after the last request.
	// Required.
	Redis redis.UniversalClient
	// User and Password are the login. Both empty: none is asked for.
	User, Password string
	// PrometheusURL is where the charts come from. Empty: there are none.
	PrometheusURL string
	// Metrics answers GET /metrics, behind the login. Required.
	Metrics http.Handler
	// Logger hears of refused logins. Required.
	Logger *slog.Logger
}

// New returns the handler of the dashboard, for the root of an address of its
// own. GET /healthz answers without a login.
func New(c Config) (http.Handler, error) {
	if (c.User == "") != (c.Password == "") {
		return nil, errors.New("dashboard: user and password: set both or none")
	}
	mon := asynqmon.New(asynqmon.Options{
		RedisConnOpt:      connOpt{c.Redis},
		PayloadFormatter:  asynqmon.PayloadFormatterFunc(formatPayload),
		ResultFormatter:   asynqmon.ResultFormatterFunc(formatResult),
		PrometheusAddress: c.PrometheusURL,
		ReadOnly:          true,
	})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", healthz)
	mux.Handle("GET /metrics", c.login(c.Metrics))
	mux.Handle("/", c.login(pages(mon, c.PrometheusURL)))
	return secured(readOnly(mux), policy(mon)), nil
}

// connOpt hands asynqmon a client that stays ours: its own Close is never called.
type connOpt struct{ rdb redis.UniversalClient }

// MakeRedisClient implements asynq.RedisConnOpt.
func (c connOpt) MakeRedisClient() any { return c.rdb }

var _ asynq.RedisConnOpt = connOpt{}

// chartTimeout bounds the questions to Prometheus, which asynqmon does not.
const chartTimeout = 10 * time.Second

func pages(mon http.Handler, prometheusURL string) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", mon)
	mux.Handle("/api/", maskErrors(mon))
	charts := http.NotFoundHandler()
	if prometheusURL != "" {
		charts = http.TimeoutHandler(hideFailure(mon), chartTimeout, noCharts)
	}
	mux.Handle("/api/metrics", charts)
	return mux
}

func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(w, "ok\n") // a probe that hung up needs no answer
}

// login asks for the configured user by HTTP Basic. Both sides are hashed, so
// that neither their content nor their length shows in the time it takes.
func (c Config) login(next http.Handler) http.Handler {
	if c.User == "" {
		return next
	}
	wantUser, wantPassword := sha256.Sum256([]byte(c.User)), sha256.Sum256([]byte(c.Password))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, given := r.BasicAuth()
		gotUser, gotPassword := sha256.Sum256([]byte(user)), sha256.Sum256([]byte(password))
		if subtle.ConstantTimeCompare(gotUser[:], wantUser[:])&subtle.ConstantTimeCompare(gotPassword[:], wantPassword[:]) == 1 {
			next.ServeHTTP(w, r)
			return
		}
		if given { // not the user: people type passwords into the wrong field
			c.Logger.Warn("dashboard: login refused", "from", host(r.RemoteAddr))
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="wxnotify", charset="UTF-8"`)
		http.Error(w, "a login is required", http.StatusUnauthorized)
	})
}

func host(remote string) string {
	if h, _, err := net.SplitHostPort(remote); err == nil {
		return h
	}
	return remote
}

// readOnly refuses every method that could change something, before asynqmon
// does so for the routes it knows.
func readOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "the dashboard is read-only", http.StatusMethodNotAllowed)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// secured adds to every answer what browsers should know about it: no other site may
// embed it or hear of it, and nothing but the page's own scripts and styles is kept.
func secured(next http.Handler, policy string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		if !strings.HasPrefix(r.URL.Path, "/static/") {
			h.Set("Cache-Control", "no-store")
		}
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Frame-Options", "DENY")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		next.ServeHTTP(w, r)
	})
}

var inlineScript = regexp.MustCompile(`(?s)<script>(.*?)</script>`)

// policy is the Content-Security-Policy of asynqmon's page: its own scripts, the
// inline ones by their hash, and nothing of any other host. That leaves out the
// Google fonts that the page asks for, which would tell Google of every visit and
// hold the page up where Google cannot be reached; it falls back to the system's.
func policy(mon http.Handler) string {
	var page answer
	mon.ServeHTTP(&page, &http.Request{Method: http.MethodGet, URL: rootURL()})
	scripts := "'self'"
	for _, m := range inlineScript.FindAllSubmatch(page.body.Bytes(), -1) {
		sum := sha256.Sum256(m[1])
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return strings.Join([]string{
		"default-src 'none'", "script-src " + scripts, "style-src 'self' 'unsafe-inline'", "img-src 'self' data:",
		"font-src 'self'", "connect-src 'self'", "manifest-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
	}, "; ")
}
