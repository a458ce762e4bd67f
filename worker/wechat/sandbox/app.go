package sandbox

import (
	"hash/fnv"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"
)

// app is the state of one Mini Program. What cfg holds never changes; mu guards the rest.
type app struct {
	cfg     App
	seed    int64
	courier *courier // has a mutex of its own, which may be taken while mu is held

	mu        sync.Mutex
	templates map[string]Template
	retired   bool
	tokens    *tokenBook
	faults    *faultPlan
	scripts   []Script // what is left of faults.source.Next
	calls     map[string]*callState
	users     users
	formIDs   formBook
	codes     codeBook
	cards     cardBook
	devices   map[string]string // model by sn
	target    *target           // of the pushes, nil for none
	receipts  Receipts
	pushDice  *rand.PCG
	flights   map[string]int // sends in flight by openid
	clears    window         // of the quotas, by month
	record    record
}

// callState is what an app keeps for one API.
type callState struct {
	dice  *rand.PCG
	quota Quota
	meter meter
	tally tally
}

// newApp makes the state of an app that nobody else knows yet. s.mu is held, or s is not yet in use.
func (s *Server) newApp(cfg App, number int) *app {
	a := &app{
		cfg: cfg, seed: s.seed, courier: newCourier(s.pushes, s.now), retired: cfg.Retired,
		templates: make(map[string]Template, len(cfg.Templates)),
		tokens:    newTokenBook(number, time.Duration(cfg.TokenLifetime)),
		calls:     map[string]*callState{},
		users:     newUsers(cfg),
		formIDs:   formBook{any: cfg.AnyFormID, ids: map[string]*formID{}},
		codes:     codeBook{any: cfg.AnyCode, codes: map[string]*loginCode{}},
		cards:     newCardBook(cfg.AnyCardCode),
		devices:   map[string]string{},
		flights:   map[string]int{},
	}
	for _, t := range cfg.Templates {
		a.templates[t.ID] = t
	}
	for _, api := range apis() {
		a.calls[api] = &callState{quota: s.quotas[api]}
	}
	a.setFaults(s.faults)
	a.restart()
	return a
}

// restart forgets what was received and begins the arrival numbers again. The caller holds mu, or is the only one yet.
func (a *app) restart() {
	a.record = newRecord()
	a.courier.restart()
	a.clears = window{}
	a.pushDice = newDice(a.seed, a.cfg.AppID, "push")
	for api, c := range a.calls {
		c.dice = newDice(a.seed, a.cfg.AppID, api)
		c.meter = meter{}
		c.tally = newTally()
	}
}

// newDice returns the source of an app's choices for one API. Every arrival draws exactly twice from it, so what the n-th
// arrival meets depends on the seed and on n alone.
func newDice(seed int64, appID, api string) *rand.PCG {
	h := fnv.New64a()
	_, _ = h.Write([]byte(appID + "/" + api)) // a hash never fails
	return rand.NewPCG(uint64(seed), h.Sum64())
}

// call is one API call on its way through the sandbox.
type call struct {
	api    string
	app    *app
	caller string // address of the client, for the errmsg of 40164
	openid string // whom a readable send is for
	id     string // which message a readable send is
	judge  func(now time.Time) answer
}

// handle takes a call from its arrival to its answer, or to what a fault makes of it.
func (s *Server) handle(w http.ResponseWriter, r *http.Request, c call) {
	h, ans := c.app.admit(s.now, c)
	pause(r.Context(), h.delay)
	receipt := ans.receipt
	if receipt != nil && (receipt.early || h.fault != "") { // a fault leaves no answer that could come before it
		c.app.courier.post(*receipt)
		receipt.await(r.Context(), s.pushes.timeout)
		receipt = nil
	}
	c.app.depart(c.openid) // before the answer: its reader may send to this openid again at once
	s.deliver(w, r, h.fault, ans)
	if receipt != nil {
		_ = http.NewResponseController(w).Flush() // a client that left has no use for the error
		c.app.courier.post(*receipt)
	}
}

// admit notes the arrival, chooses its fault and judges it.
func (a *app) admit(clock func() time.Time, c call) (hit, answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := clock()
	if isSend(c.api) {
		a.record.arrive(c.api, c.id, now)
	}
	h := a.choose(c.api)
	ans := a.judge(c, h, now)
	if c.openid != "" {
		a.flights[c.openid]++
		a.record.maxInFlight = max(a.record.maxInFlight, a.flights[c.openid])
	}
	a.calls[c.api].tally.count(h, ans)
	return h, ans
}

// judge gives the answer WeChat decides on, or none when the fault stops the call before.
func (a *app) judge(c call, h hit, now time.Time) answer {
	if h.fault == FaultErrcode {
		return refusal(now, c.api, h.errcode, c.caller)
	}
	if !h.fault.processed() {
		return answer{}
	}
	ans := c.judge(now)
	if isSend(c.api) && ans.code == 0 {
		a.record.accept(c.id)
	}
	return ans
}

// depart ends the flight of a send.
func (a *app) depart(openid string) {
	if openid == "" {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.flights[openid]--; a.flights[openid] <= 0 {
		delete(a.flights, openid)
	}
}

// page counts a request that the front turned away with an HTTP page.
func (a *app) page(api string, status int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := &a.calls[api].tally
	t.received++
	t.pages[status]++
}
