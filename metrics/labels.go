package metrics

import (
	"maps"
	"slices"
	"strconv"
	"sync/atomic"
)

// Label values that stand for more than one thing.
const (
	// Other is the label value of everything that was not announced.
	Other = "other"
	// NoAnswer is the errcode label of a call that brought no readable answer.
	NoAnswer = "none"
)

// Results of offering a notification to the gateway, for [Metrics.Enqueued].
const (
	EnqueueAccepted    = "accepted"    // stored, will be sent
	EnqueueDuplicate   = "duplicate"   // the same id with the same content was there already
	EnqueueConflict    = "conflict"    // the same id with other content was there already
	EnqueueInvalid     = "invalid"     // refused by validation
	EnqueueBusy        = "busy"        // Redis or the app's queue is full
	EnqueueUnavailable = "unavailable" // Redis did not take it in time
	EnqueueFailed      = "failed"      // any other reason
)

// Reasons to leave a task alone, for [Metrics.SetAside].
const (
	SetAsideGarbage    = "garbage"     // its payload cannot be read
	SetAsideForeign    = "foreign"     // its type is not ours
	SetAsideNewer      = "newer"       // written by a newer version than this worker
	SetAsideIDConflict = "id_conflict" // its id belongs to a notification with other content
)

// gatewayCodes are the statuses the gateway answers with as a rule; any other
// gets its series when it first occurs.
var gatewayCodes = []int{200, 202, 400, 401, 404, 409, 413, 415, 422, 429, 500, 503}

// Labels lists the label values a process is going to use. A process leaves out
// what it does not record: the series over an empty list are not created.
type Labels struct {
	Apps     []string // AppIDs served
	Kinds    []string // kinds of notification
	Lanes    []string // critical, default, bulk
	Outcomes []string // final outcomes
	Classes  []string // error classes of the outcome table
	Verdicts []string // the ledger's answers to an admission
	Scopes   []string // what a pause holds back

	APIs         []string // calls to WeChat, for example "subscribe/send"; never a URL with a query
	TokenCauses  []string // what asks for a new token
	TokenResults []string // how a renewal ends

	Routes []string // the gateway's route patterns
	Jobs   []string // scheduled jobs

	Events          []string // WeChat's names of the pushes that are acted on
	EventResults    []string // what becomes of an event
	CallbackResults []string // what becomes of a request to the callback
	ReceiptResults  []string // ReceiptResults()
	PurgedRecords   []string // PurgedRecords()
	GrantSources    []string // GrantSources()
	GrantResults    []string // GrantResults()
}

// InitializeFor announces label values and creates every counter and histogram
// over them at zero. The parts of a process may each call it with what they
// know: values add up. Call it before the first record of those values.
func (m *Metrics) InitializeFor(l Labels) {
	if m == nil {
		return
	}
	m.announcing.Lock()
	defer m.announcing.Unlock()
	m.known.add(l)
	m.createKnown()
}

// createKnown creates the series over all values announced so far.
func (m *Metrics) createKnown() {
	k := &m.known
	apps, kinds, apis := k.apps.all(), k.kinds.all(), k.apis.all()
	create(m.notifications, apps, kinds, k.outcomes.all())
	create(m.attempts, apps, kinds, k.classes.all())
	create(m.callSeconds, apis)
	create(m.responses, apps, apis, []string{"0", NoAnswer, Other})
	create(m.queueWait, apps, k.lanes.all())
	create(m.endToEnd, kinds)
	create(m.tokenRefreshes, apps, k.tokenCauses.all(), k.tokenResults.all())
	create(m.enqueued, apps, kinds, k.enqueueResults.all())
	create(m.gatewayRequests, k.routes.all(), codeLabels(gatewayCodes))
	create(m.gatewaySeconds, k.routes.all())
	create(m.receipts, apps, k.receiptResults.all())
	create(m.purged, k.purgedRecords.all())
	create(m.events, apps, k.events.all(), k.eventResults.all())
	create(m.grants, apps, k.grantSources.all(), k.grantResults.all())
	create(m.callbackRequests, apps, k.callbackResults.all())
	create(m.setAside, k.setAsideReasons.all())
	create(m.uncovered, apps)
	create(m.admissions, k.verdicts.all())
	create(m.limiterWait, apps)
	create(m.paused, apps, k.scopes.all())
}

// vector is what CounterVec and HistogramVec have in common.
type vector[T any] interface {
	WithLabelValues(values ...string) T
}

// create makes the series of v for every combination of one value of each list.
func create[T any](v vector[T], lists ...[]string) {
	combinations := [][]string{nil}
	for _, list := range lists {
		var longer [][]string
		for _, c := range combinations {
			for _, value := range list {
				longer = append(longer, append(slices.Clone(c), value))
			}
		}
		combinations = longer
	}
	for _, c := range combinations {
		v.WithLabelValues(c...)
	}
}

// vocabularies holds the known values of every closed label.
type vocabularies struct {
	apps, kinds, lanes, outcomes, classes, verdicts, scopes vocabulary
	apis, tokenCauses, tokenResults, routes, jobs           vocabulary
	events, eventResults, callbackResults                   vocabulary
	receiptResults, purgedRecords                           vocabulary
	grantSources, grantResults                              vocabulary

	// These two are fixed by this package.
	enqueueResults, setAsideReasons vocabulary
}

// init fills in the values that this package fixes.
func (k *vocabularies) init() {
	k.enqueueResults.add(EnqueueAccepted, EnqueueDuplicate, EnqueueConflict, EnqueueInvalid, EnqueueBusy, EnqueueUnavailable, EnqueueFailed)
	k.setAsideReasons.add(SetAsideGarbage, SetAsideForeign, SetAsideNewer, SetAsideIDConflict)
}

func (k *vocabularies) add(l Labels) {
	k.apps.add(l.Apps...)
	k.kinds.add(l.Kinds...)
	k.lanes.add(l.Lanes...)
	k.outcomes.add(l.Outcomes...)
	k.classes.add(l.Classes...)
	k.verdicts.add(l.Verdicts...)
	k.scopes.add(l.Scopes...)
	k.apis.add(l.APIs...)
	k.tokenCauses.add(l.TokenCauses...)
	k.tokenResults.add(l.TokenResults...)
	k.routes.add(l.Routes...)
	k.jobs.add(l.Jobs...)
	k.events.add(l.Events...)
	k.eventResults.add(l.EventResults...)
	k.callbackResults.add(l.CallbackResults...)
	k.receiptResults.add(l.ReceiptResults...)
	k.purgedRecords.add(l.PurgedRecords...)
	k.grantSources.add(l.GrantSources...)
	k.grantResults.add(l.GrantResults...)
}

// vocabulary is the set of values one label may take. It is read on every
// record and written at start, so readers share an immutable map.
type vocabulary struct {
	words atomic.Pointer[map[string]struct{}]
}

// add extends the set. Calls to add must not overlap; label may run meanwhile.
func (v *vocabulary) add(words ...string) {
	next := map[string]struct{}{}
	if old := v.words.Load(); old != nil {
		maps.Copy(next, *old)
	}
	for _, w := range words {
		next[w] = struct{}{}
	}
	v.words.Store(&next)
}

// label is the label value to record for word: itself if known, else Other.
func (v *vocabulary) label(word string) string {
	if words := v.words.Load(); words != nil {
		if _, ok := (*words)[word]; ok {
			return word
		}
	}
	return Other
}

// all returns the known values in no particular order.
func (v *vocabulary) all() []string {
	words := v.words.Load()
	if words == nil {
		return nil
	}
	return slices.Collect(maps.Keys(*words))
}

// codeLabel is the label value of an HTTP status.
func codeLabel(code int) string {
	if code < 100 || code > 599 {
		return Other
	}
	return strconv.Itoa(code)
}

func codeLabels(codes []int) []string {
	labels := make([]string, len(codes))
	for i, code := range codes {
		labels[i] = codeLabel(code)
	}
	return labels
}
