package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// defineEngine makes the series that tell whether tasks get through the queue at all.
func (m *Metrics) defineEngine(b builder) {
	m.stuckTasks = b.NewCounter(prometheus.CounterOpts{
		Name: "wxnotify_stuck_tasks_total",
		Help: "Active tasks that nobody had a lease on, found and given back to the queue.",
	})
	m.canaryAt = b.gauge("wxnotify_canary_timestamp_seconds",
		"When a canary last came through the lane to this worker, Unix time.", "app", "lane")
	m.canaryWait = b.gauge("wxnotify_canary_wait_seconds",
		"How long that canary had waited in the lane.", "app", "lane")
}

// StuckTask counts an active task that nobody had a lease on.
func (m *Metrics) StuckTask() {
	if m == nil {
		return
	}
	m.stuckTasks.Inc()
}

// Canary sets when a canary last came through an app's lane, and how long it had
// waited there.
func (m *Metrics) Canary(app, lane string, at time.Time, waited time.Duration) {
	if m == nil {
		return
	}
	app, lane = m.known.apps.label(app), m.known.lanes.label(lane)
	m.canaryAt.WithLabelValues(app, lane).Set(unixSeconds(at))
	m.canaryWait.WithLabelValues(app, lane).Set(seconds(waited))
}
