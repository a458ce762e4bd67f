package metrics

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// readyTimeout bounds one readiness check.
const readyTimeout = 2 * time.Second

// Handler serves the series in Prometheus's formats. A collector that fails
// costs its own series, not the scrape.
func (m *Metrics) Handler() http.Handler {
	if m == nil {
		return http.NotFoundHandler()
	}
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		Registry:      m.registry, // counts failed scrapes
		ErrorHandling: promhttp.ContinueOnError,
	})
}

// AdminMux is the admin port: /metrics, /healthz and /readyz, for GET and HEAD.
//
// /healthz answers 200 as long as the process serves HTTP. /readyz answers 200
// if ready returns nil, else 503 with the error's text as the body, one reason
// per line (see errors.Join). The port has no login and the text is shown as it
// is: ready must return reasons that are safe to read, such as "redis does not
// answer", and no error of a library. Its context ends after two seconds. A
// process that is ready once it runs passes nil.
func AdminMux(m *Metrics, ready func(context.Context) error) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.Handler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := checkReady(r.Context(), ready); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ok")
	})
	return mux
}

func checkReady(ctx context.Context, ready func(context.Context) error) error {
	if ready == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	return ready(ctx)
}

// answer writes a plain text that no cache keeps.
func answer(w http.ResponseWriter, code int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // a probe that hung up needs no answer
}
