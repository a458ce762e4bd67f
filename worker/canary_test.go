package worker

import (
	"log/slog"
	"math"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
)

// A canary needs nothing of a delivery, and sets its lane's gauges.
func TestCanaryComesThrough(t *testing.T) {
	t.Parallel()
	m := metrics.New(metrics.Info{})
	m.InitializeFor(metrics.Labels{Apps: []string{"wx1"}, Lanes: []string{"bulk"}})
	b := &binder{app: "wx1", lane: tasks.Bulk, metrics: m, log: slog.New(slog.DiscardHandler)}
	page := func() string {
		w := httptest.NewRecorder()
		metrics.AdminMux(m, nil).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	if strings.Contains(page(), "\nwxnotify_canary") {
		t.Error("there is a series before the first canary")
	}
	for _, payload := range []string{"garbage", `{"at":1700000000000}`} {
		if err := b.ProcessTask(t.Context(), asynq.NewTask("wxnotify-canary:1", []byte(payload))); err != nil {
			t.Errorf("%s: %v, want it done", payload, err)
		}
	}
	now := float64(time.Now().Unix())
	for name, want := range map[string]float64{"wxnotify_canary_timestamp_seconds": now, "wxnotify_canary_wait_seconds": now - 1700000000} {
		found := regexp.MustCompile(name + `\{app="wx1",lane="bulk"\} (\S+)`).FindStringSubmatch(page())
		if found == nil {
			t.Fatalf("no %s", name)
		}
		if have, err := strconv.ParseFloat(found[1], 64); err != nil || math.Abs(have-want) > 60 {
			t.Errorf("%s is %s, %v, want about %v", name, found[1], err, want)
		}
	}
}
