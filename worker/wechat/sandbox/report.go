package sandbox

import (
	"slices"
	"time"
)

// Bounds of what is kept for each app.
const (
	maxArrivals = 1_000_000 // 8 bytes each, for each API that sends
	maxMessages = 1 << 20
)

// CallReport counts the calls of one API.
type CallReport struct {
	Received int64 `json:"received"`
	// Errcodes counts what was decided on each judged call, 0 for success, whether or not the answer arrived.
	Errcodes map[int]int64 `json:"errcodes"`
	// Faults counts what was inflicted.
	Faults map[Fault]int64 `json:"faults"`
	// HTTPPages counts the requests turned away with a page before anything was looked at, by status.
	HTTPPages map[int]int64 `json:"http_pages"`
}

// AppReport is what one app received.
type AppReport struct {
	Calls map[string]CallReport `json:"calls"`
	// Arrivals counts the sends that arrived, of every kind of message, Accepted those that were accepted.
	Arrivals int64 `json:"arrivals"`
	Accepted int64 `json:"accepted"`
	// Messages counts the different messages among all sends, AcceptedMessages those accepted at least once.
	Messages         int64 `json:"messages"`
	AcceptedMessages int64 `json:"accepted_messages"`
	// Duplicates are the messages accepted more than once, and how often.
	Duplicates map[string]int64 `json:"duplicates"`
	// MaxInFlightPerOpenID is the highest number of sends to one openid at the same time.
	MaxInFlightPerOpenID int `json:"max_in_flight_per_openid"`
	// BusiestSecond is the highest number of sends that arrived within any one second, wherever it begins.
	BusiestSecond int `json:"busiest_second"`
	// FirstArrivalNS and LastArrivalNS are Unix times in nanoseconds, 0 for none.
	FirstArrivalNS int64 `json:"first_arrival_unix_ns"`
	LastArrivalNS  int64 `json:"last_arrival_unix_ns"`
	// Rates is the same, and how evenly they came, for each API of which a send arrived.
	Rates map[string]RateReport `json:"rates"`
	// ArrivalsNotKept and MessagesNotKept count what came when the memory was full: with either, the figures above that
	// need single arrivals or messages are incomplete.
	ArrivalsNotKept int64 `json:"arrivals_not_kept"`
	MessagesNotKept int64 `json:"messages_not_kept"`
	// Pushes counts what was pushed, by event. PushesDropped counts what was not, because too much waited or the sandbox
	// went away.
	Pushes        map[string]PushReport `json:"pushes"`
	PushesDropped int64                 `json:"pushes_dropped"`

	// By message, on request only: sends received, sends accepted, first arrival in Unix nanoseconds.
	ReceivedByID  map[string]int64 `json:"received_by_id,omitempty"`
	AcceptedByID  map[string]int64 `json:"accepted_by_id,omitempty"`
	ArrivalUnixNS map[string]int64 `json:"arrival_unix_ns,omitempty"`
}

// Report is what the sandbox received since it started or was last reset.
type Report struct {
	// Calls are the totals of every API, with the calls that belong to no known app.
	Calls map[string]CallReport `json:"calls"`
	// Apps are the reports of the apps by AppID.
	Apps map[string]AppReport `json:"apps"`
}

// tally counts the calls of one API in one app.
type tally struct {
	received int64
	errcodes map[int]int64
	faults   map[Fault]int64
	pages    map[int]int64
}

func newTally() tally {
	return tally{errcodes: map[int]int64{}, faults: map[Fault]int64{}, pages: map[int]int64{}}
}

func (t *tally) count(h hit, ans answer) {
	t.received++
	if h.fault != "" {
		t.faults[h.fault]++
	}
	if ans.body != nil {
		t.errcodes[ans.code]++
	}
}

func (t *tally) addTo(total map[string]CallReport, api string) {
	r, ok := total[api]
	if !ok {
		r = CallReport{Errcodes: map[int]int64{}, Faults: map[Fault]int64{}, HTTPPages: map[int]int64{}}
	}
	r.Received += t.received
	addCounts(r.Errcodes, t.errcodes)
	addCounts(r.Faults, t.faults)
	addCounts(r.HTTPPages, t.pages)
	total[api] = r
}

func addCounts[K comparable](to, from map[K]int64) {
	for k, n := range from {
		to[k] += n
	}
}

// sends is what became of one message.
type sends struct{ received, accepted, first int64 }

// record is what an app remembers of single sends. The app's mutex guards it.
type record struct {
	count, accepted int64
	arrivals        map[string]*arrivals // by API
	last            int64                // Unix ns
	messages        map[string]sends
	messagesNotKept int64
	maxInFlight     int
}

func newRecord() record {
	r := record{messages: map[string]sends{}, arrivals: map[string]*arrivals{}}
	for _, api := range apis() {
		if isSend(api) {
			r.arrivals[api] = &arrivals{}
		}
	}
	return r
}

// arrive notes a send. An unreadable one has no id.
func (r *record) arrive(api, id string, now time.Time) {
	ns := now.UnixNano()
	r.count++
	r.last = ns
	r.arrivals[api].add(ns)
	if id == "" {
		return
	}
	m, ok := r.messages[id]
	if !ok {
		if len(r.messages) >= maxMessages {
			r.messagesNotKept++
			return
		}
		m.first = ns
	}
	m.received++
	r.messages[id] = m
}

// accept notes that a send which has arrived was accepted.
func (r *record) accept(id string) {
	r.accepted++
	if m, ok := r.messages[id]; ok {
		m.accepted++
		r.messages[id] = m
	}
}

// Report returns what was received; with ids also every message by name. Sends wait while it is made, so with hundreds
// of thousands of messages ask after the run.
func (s *Server) Report(ids bool) Report {
	s.mu.RLock()
	apps := slices.Clone(s.apps)
	s.mu.RUnlock()
	r := Report{Calls: map[string]CallReport{}, Apps: make(map[string]AppReport, len(apps))}
	for _, a := range apps {
		r.Apps[a.cfg.AppID] = a.report(ids, r.Calls)
	}
	s.stranger.report(false, r.Calls)
	return r
}

// report makes the report of one app and adds its calls to the total.
func (a *app) report(ids bool, total map[string]CallReport) AppReport {
	r, arrivals := a.snapshot(ids, total)
	r.addRates(arrivals)
	return r
}

func (a *app) snapshot(ids bool, total map[string]CallReport) (AppReport, map[string]arrivals) {
	a.mu.Lock()
	defer a.mu.Unlock()
	rec := &a.record
	r := AppReport{
		Calls: map[string]CallReport{}, Arrivals: rec.count, Accepted: rec.accepted,
		MaxInFlightPerOpenID: rec.maxInFlight, LastArrivalNS: rec.last,
		MessagesNotKept: rec.messagesNotKept,
	}
	for api, c := range a.calls {
		c.tally.addTo(r.Calls, api)
		c.tally.addTo(total, api)
	}
	r.Pushes, r.PushesDropped = a.courier.report()
	r.addMessages(rec.messages, ids)
	times := make(map[string]arrivals, len(rec.arrivals))
	for api, arrived := range rec.arrivals {
		times[api] = *arrived
	}
	return r, times
}

// addRates adds what follows from the single arrivals, of each API and of all together.
func (r *AppReport) addRates(byAPI map[string]arrivals) {
	r.Rates = map[string]RateReport{}
	var all []int64
	for api, arrived := range byAPI {
		if arrived.count == 0 {
			continue
		}
		r.Rates[api] = arrived.rate()
		r.ArrivalsNotKept += arrived.count - int64(len(arrived.times))
		if all == nil {
			all = arrived.times
		} else {
			all = slices.Concat(all, arrived.times)
		}
	}
	if all = inOrder(all); len(all) > 0 {
		r.FirstArrivalNS, r.BusiestSecond = all[0], busiestSecond(all)
	}
}

func (r *AppReport) addMessages(messages map[string]sends, ids bool) {
	r.Messages = int64(len(messages))
	r.Duplicates = map[string]int64{}
	if ids {
		r.ReceivedByID = make(map[string]int64, len(messages))
		r.AcceptedByID = make(map[string]int64, len(messages))
		r.ArrivalUnixNS = make(map[string]int64, len(messages))
	}
	for id, m := range messages {
		if m.accepted > 0 {
			r.AcceptedMessages++
		}
		if m.accepted > 1 {
			r.Duplicates[id] = m.accepted
		}
		if !ids {
			continue
		}
		r.ReceivedByID[id], r.ArrivalUnixNS[id] = m.received, m.first
		if m.accepted > 0 {
			r.AcceptedByID[id] = m.accepted
		}
	}
}

// Reset forgets what was received, begins the quotas' counts and the arrival numbers of the faults again, and keeps
// everything else: apps, tokens, users, quotas, faults.
func (s *Server) Reset() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, a := range append(slices.Clone(s.apps), s.stranger) {
		a.mu.Lock()
		a.restart()
		a.mu.Unlock()
	}
}
