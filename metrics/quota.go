package metrics

// defineQuota makes the series of what WeChat still allows.
func (m *Metrics) defineQuota(b builder) {
	m.quotaRemaining = b.gauge("wxnotify_quota_remaining",
		"Calls that WeChat still allows today, as it said within the last hour; absent where that is not known.", "app", "api")
}

// QuotaRemaining sets how many calls to an API WeChat still allows an app today.
func (m *Metrics) QuotaRemaining(app, api string, n int64) {
	if m == nil {
		return
	}
	m.quotaRemaining.WithLabelValues(m.known.apps.label(app), m.known.apis.label(api)).Set(float64(n))
}

// QuotaUnknown takes back what QuotaRemaining set: a number that is no longer known
// must not look like one that is.
func (m *Metrics) QuotaUnknown(app, api string) {
	if m == nil {
		return
	}
	m.quotaRemaining.DeleteLabelValues(m.known.apps.label(app), m.known.apis.label(api))
}
