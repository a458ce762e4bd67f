package metrics

import (
	"strconv"
	"time"
)

// Notification counts a notification that reached its outcome.
func (m *Metrics) Notification(app, kind, outcome string) {
	if m == nil {
		return
	}
	k := &m.known
	m.notifications.WithLabelValues(k.apps.label(app), k.kinds.label(kind), k.outcomes.label(outcome)).Inc()
}

// Attempt counts one attempt to send by the class of its result.
func (m *Metrics) Attempt(app, kind, class string) {
	if m == nil {
		return
	}
	k := &m.known
	m.attempts.WithLabelValues(k.apps.label(app), k.kinds.label(kind), k.classes.label(class)).Inc()
}

// WeChatAnswered records a call that WeChat answered with errcode (0 is success)
// after d. known tells whether the code is in our table; a code that is not is
// counted under Other, so that WeChat cannot grow the number of series.
func (m *Metrics) WeChatAnswered(app, api string, errcode int, known bool, d time.Duration) {
	label := Other
	if known {
		label = strconv.Itoa(errcode)
	}
	m.wechatCall(app, api, label, d)
}

// WeChatSilent records a call that brought no readable answer: not connected,
// cut, timed out after d, or a body that is not WeChat's.
func (m *Metrics) WeChatSilent(app, api string, d time.Duration) {
	m.wechatCall(app, api, NoAnswer, d)
}

func (m *Metrics) wechatCall(app, api, errcode string, d time.Duration) {
	if m == nil {
		return
	}
	api = m.known.apis.label(api)
	m.responses.WithLabelValues(m.known.apps.label(app), api, errcode).Inc()
	m.callSeconds.WithLabelValues(api).Observe(seconds(d))
}

// QueueWait records how long a notification waited, from when it was due until
// a worker took it up for the first time.
func (m *Metrics) QueueWait(app, lane string, d time.Duration) {
	if m == nil {
		return
	}
	m.queueWait.WithLabelValues(m.known.apps.label(app), m.known.lanes.label(lane)).Observe(seconds(d))
}

// EndToEnd records the time from when a notification was due until WeChat
// accepted it.
func (m *Metrics) EndToEnd(kind string, d time.Duration) {
	if m == nil {
		return
	}
	m.endToEnd.WithLabelValues(m.known.kinds.label(kind)).Observe(seconds(d))
}

// TokenRefresh counts one renewal of an app's access token.
func (m *Metrics) TokenRefresh(app, cause, result string) {
	if m == nil {
		return
	}
	k := &m.known
	m.tokenRefreshes.WithLabelValues(k.apps.label(app), k.tokenCauses.label(cause), k.tokenResults.label(result)).Inc()
}

// LimiterWait observes how long an attempt waited for a slot of its app's rate.
func (m *Metrics) LimiterWait(app string, d time.Duration) {
	if m == nil {
		return
	}
	m.limiterWait.WithLabelValues(m.known.apps.label(app)).Observe(seconds(d))
}

// Paused sets how much of an app is held back: the app itself, or its kinds or templates.
func (m *Metrics) Paused(app, scope string, n int) {
	if m == nil {
		return
	}
	m.paused.WithLabelValues(m.known.apps.label(app), m.known.scopes.label(scope)).Set(float64(n))
}

// TokenExpires sets when the app's access token expires; the zero time says
// that there is none.
func (m *Metrics) TokenExpires(app string, at time.Time) {
	if m == nil {
		return
	}
	m.tokenExpires.WithLabelValues(m.known.apps.label(app)).Set(unixSeconds(at))
}

// JobSucceeded sets when a scheduled job last succeeded, in whichever process
// that was.
func (m *Metrics) JobSucceeded(job string, at time.Time) {
	if m == nil {
		return
	}
	m.jobLastSuccess.WithLabelValues(m.known.jobs.label(job)).Set(unixSeconds(at))
}

// DeadLetters sets how many dead letters an app has.
func (m *Metrics) DeadLetters(app string, n int64) {
	if m == nil {
		return
	}
	m.deadLetters.WithLabelValues(m.known.apps.label(app)).Set(float64(n))
}

// Enqueued counts a notification offered to the gateway; result is one of the
// Enqueue constants.
func (m *Metrics) Enqueued(app, kind, result string) {
	if m == nil {
		return
	}
	k := &m.known
	m.enqueued.WithLabelValues(k.apps.label(app), k.kinds.label(kind), k.enqueueResults.label(result)).Inc()
}

// GatewayRequest records an HTTP request answered with the status code after d.
// route is the pattern that matched, such as "GET /v1/notifications/{id}", or
// empty if none did.
func (m *Metrics) GatewayRequest(route string, code int, d time.Duration) {
	if m == nil {
		return
	}
	route = m.known.routes.label(route)
	m.gatewayRequests.WithLabelValues(route, codeLabel(code)).Inc()
	m.gatewaySeconds.WithLabelValues(route).Observe(seconds(d))
}

// SetAside counts a task that this worker could not take up; reason is one of
// the SetAside constants.
func (m *Metrics) SetAside(reason string) {
	if m == nil {
		return
	}
	m.setAside.WithLabelValues(m.known.setAsideReasons.label(reason)).Inc()
}

// Admission counts an answer of the ledger to a worker that asked to send.
func (m *Metrics) Admission(verdict string) {
	if m == nil {
		return
	}
	m.admissions.WithLabelValues(m.known.verdicts.label(verdict)).Inc()
}

// SettleRetry counts a repeated try to record an outcome.
func (m *Metrics) SettleRetry() {
	if m == nil {
		return
	}
	m.settleRetries.Inc()
}

// Restored counts an outcome or a failed attempt that Redis had lost, and that was
// recorded once more.
func (m *Metrics) Restored() {
	if m == nil {
		return
	}
	m.restored.Inc()
}

// LateSettlement counts an outcome recorded after its attempt's lease had ended.
func (m *Metrics) LateSettlement() {
	if m == nil {
		return
	}
	m.lateSettlements.Inc()
}

// RedisUp sets whether Redis answered the last ping.
func (m *Metrics) RedisUp(up bool) {
	if m == nil {
		return
	}
	value := 0.0
	if up {
		value = 1
	}
	m.redisUp.Set(value)
}

// seconds is d for a histogram. Spans between two machines' clocks can come out
// negative, and a histogram's sum must never fall.
func seconds(d time.Duration) float64 {
	return max(d, 0).Seconds()
}

// unixSeconds is t as Unix time, and 0 for the zero time.
func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
