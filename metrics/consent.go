package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// What became of a receipt, for [Metrics.Receipt].
const (
	ReceiptDelivered   = "delivered"
	ReceiptUndelivered = "undelivered" // accepted by WeChat, and not delivered
	ReceiptRepeated    = "repeated"    // known already
)

// ReceiptResults lists the Receipt constants, for Labels.
func ReceiptResults() []string {
	return []string{ReceiptDelivered, ReceiptUndelivered, ReceiptRepeated}
}

// Records that the scheduled purge removes, for [Metrics.Purged].
const (
	PurgedFormID       = "form_id"
	PurgedSubscription = "subscription"
	PurgedSource       = "source" // the memory of a grant that was counted
	PurgedDeadLetter   = "dead_letter"
)

// PurgedRecords lists the Purged constants, for Labels.
func PurgedRecords() []string {
	return []string{PurgedFormID, PurgedSubscription, PurgedSource, PurgedDeadLetter}
}

// Who says that a user consented, for [Metrics.Grant].
const (
	GrantFromEvent  = "event"   // WeChat's push
	GrantFromReport = "report"  // the client's word
	GrantFromFormID = "form_id" // a form the user submitted
)

// GrantSources lists the GrantFrom constants, for Labels.
func GrantSources() []string {
	return []string{GrantFromEvent, GrantFromReport, GrantFromFormID}
}

// What became of a user's answer, for [Metrics.Grant].
const (
	GrantGranted  = "granted"
	GrantRefused  = "refused"  // the user said no
	GrantRepeated = "repeated" // counted already
	GrantIgnored  = "ignored"  // not from the source this app goes by, or of no use
)

// GrantResults lists the results of a grant, for Labels.
func GrantResults() []string {
	return []string{GrantGranted, GrantRefused, GrantRepeated, GrantIgnored}
}

// defineConsent makes the series of what users allow and of what WeChat pushes.
func (m *Metrics) defineConsent(b builder) {
	m.receipts = b.counter("wxnotify_receipts_total",
		"WeChat's reports on the delivery of messages it had accepted.", "app", "result")
	m.purged = b.counter("wxnotify_purged_total",
		"Expired records the scheduled purge removed.", "record")
	m.events = b.counter("wxnotify_events_total",
		"Events in WeChat's pushes, by what became of them.", "app", "event", "result")
	m.grants = b.counter("wxnotify_grants_total",
		"Users' answers to being asked for consent, by who reported them and what became of them.", "app", "source", "result")
	m.uncovered = b.counter("wxnotify_uncovered_attempts_total",
		"Attempts that nothing in the books covers, made because consent is only observed.", "app")
	m.callbackRequests = b.counter("wxnotify_callback_requests_total",
		"HTTP requests to the callback.", "app", "result")
	m.callbackSeconds = b.NewHistogram(prometheus.HistogramOpts{
		Name:    "wxnotify_callback_request_duration_seconds",
		Help:    "Time the callback took to answer; WeChat waits 5 s.",
		Buckets: gatewayBuckets,
	})
}

// Receipt counts WeChat's report on the delivery of a message; result is one of
// the Receipt constants.
func (m *Metrics) Receipt(app, result string) {
	if m == nil {
		return
	}
	m.receipts.WithLabelValues(m.known.apps.label(app), m.known.receiptResults.label(result)).Inc()
}

// Uncovered counts an attempt that enforcing consent would have held back.
func (m *Metrics) Uncovered(app string) {
	if m == nil {
		return
	}
	m.uncovered.WithLabelValues(m.known.apps.label(app)).Inc()
}

// Purged counts n records that the purge removed; record is one of the Purged
// constants. An n below zero counts nothing.
func (m *Metrics) Purged(record string, n int) {
	if m == nil {
		return
	}
	m.purged.WithLabelValues(m.known.purgedRecords.label(record)).Add(float64(max(n, 0)))
}

// Event counts one event of a push.
func (m *Metrics) Event(app, event, result string) {
	if m == nil {
		return
	}
	k := &m.known
	m.events.WithLabelValues(k.apps.label(app), k.events.label(event), k.eventResults.label(result)).Inc()
}

// CallbackRequest records an HTTP request to the callback, answered after d. app
// is empty where the request named none of ours.
func (m *Metrics) CallbackRequest(app, result string, d time.Duration) {
	if m == nil {
		return
	}
	m.callbackRequests.WithLabelValues(m.known.apps.label(app), m.known.callbackResults.label(result)).Inc()
	m.callbackSeconds.Observe(seconds(d))
}

// Grant counts a user's answer to being asked for consent; source is one of the
// GrantFrom constants, result one of [GrantResults].
func (m *Metrics) Grant(app, source, result string) {
	if m == nil {
		return
	}
	k := &m.known
	m.grants.WithLabelValues(k.apps.label(app), k.grantSources.label(source), k.grantResults.label(result)).Inc()
}
