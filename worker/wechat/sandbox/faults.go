package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"
)

// maxDelay bounds latency and jitter.
const maxDelay = 10 * time.Minute

// Fault is one way to misbehave.
type Fault string

// The faults. The first group stops a request before it is processed: it is neither judged nor accepted. With the second
// group it is judged, and accepted if nothing is wrong with it, and only its answer is lost.
const (
	FaultDrop        Fault = "drop"        // the connection is cut
	FaultHang        Fault = "hang"        // no answer until the client leaves
	FaultUnavailable Fault = "unavailable" // HTTP 503 page
	FaultBadGateway  Fault = "bad_gateway" // HTTP 502 page

	FaultLostCut        Fault = "lost_cut"         // the connection is cut
	FaultLostHang       Fault = "lost_hang"        // no answer until the client leaves
	FaultLostBadGateway Fault = "lost_bad_gateway" // HTTP 502 page
	FaultGarbled        Fault = "garbled"          // HTTP 200, the body is no JSON
	FaultTruncated      Fault = "truncated"        // the connection is cut in the middle of the body
	FaultHalfOpen       Fault = "half_open"        // half of the body, then silence until the client leaves

	// FaultErrcode answers a scripted errcode; the request is not judged. Shares and down do not take it: see Errcodes.
	FaultErrcode Fault = "errcode"
)

func faultsBefore() []Fault {
	return []Fault{FaultDrop, FaultHang, FaultUnavailable, FaultBadGateway}
}

func faultsAfter() []Fault {
	return []Fault{FaultLostCut, FaultLostHang, FaultLostBadGateway, FaultGarbled, FaultTruncated, FaultHalfOpen}
}

// processed tells whether WeChat judges a request that meets this fault, or none.
func (f Fault) processed() bool { return f == "" || slices.Contains(faultsAfter(), f) }

// Duration is a time.Duration that JSON holds as text, such as "250ms".
type Duration time.Duration

// MarshalJSON writes the duration as text.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(time.Duration(d).String()) }

// UnmarshalJSON reads what time.ParseDuration takes.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) != nil {
		return errors.New(`a duration is text such as "250ms"`)
	}
	v, err := time.ParseDuration(text)
	if err != nil {
		return errors.New(`a duration is text such as "250ms"`)
	}
	*d = Duration(v)
	return nil
}

// Faults says how the sandbox misbehaves.
type Faults struct {
	// Down is what every call meets: drop, hang, unavailable or bad_gateway. Empty: the sandbox is up.
	Down Fault `json:"down,omitempty"`
	// Calls are the faults of each API by name.
	Calls map[string]CallFaults `json:"calls,omitempty"`
	// QuotaAnswers are what get_quota answers as the quota of an API by name, in place of the truth: any JSON.
	QuotaAnswers map[string]json.RawMessage `json:"quota_answers,omitempty"`
	// Next are one-shot scripts. The calls of an API meet them in this order, before any share.
	Next []Script `json:"next,omitempty"`
}

// CallFaults are the standing faults of one API. A share is the part of all arrivals, from 0 to 1; together at most 1.
type CallFaults struct {
	// Latency delays every answer, Jitter by a further random part of it, up to all.
	Latency Duration `json:"latency,omitempty"`
	Jitter  Duration `json:"jitter,omitempty"`
	// Errcodes answers a code to a share of the calls.
	Errcodes map[int]float64 `json:"errcodes,omitempty"`
	// Shares inflicts a fault on a share of the calls.
	Shares map[Fault]float64 `json:"shares,omitempty"`
}

// Script is what the next Count calls of an API meet: either a fault or an errcode.
type Script struct {
	API     string `json:"api"`
	Do      Fault  `json:"do,omitempty"`
	Errcode int    `json:"errcode,omitempty"`
	Count   int    `json:"count,omitempty"` // 0 means 1
}

// hit is what one arrival meets.
type hit struct {
	fault   Fault // "" none
	errcode int   // of FaultErrcode
	delay   time.Duration
}

// portion is the part of [0,1) below upTo, and above the portion before it, in which a fault is met.
type portion struct {
	upTo float64
	hit  hit
}

// faultPlan is Faults made ready to choose from. It never changes.
type faultPlan struct {
	source   Faults
	portions map[string][]portion
}

// plan checks f. The error names the field.
func (f Faults) plan() (*faultPlan, error) {
	if f.Down != "" && !slices.Contains(faultsBefore(), f.Down) {
		return nil, fmt.Errorf("sandbox: down: unknown fault %q, known are %v", f.Down, faultsBefore())
	}
	p := &faultPlan{source: f.clone(), portions: map[string][]portion{}}
	for _, api := range slices.Sorted(maps.Keys(f.Calls)) {
		if !slices.Contains(apis(), api) {
			return nil, fmt.Errorf("sandbox: calls.%s: unknown call, known are %v", api, apis())
		}
		cut, err := f.Calls[api].cut()
		if err != nil {
			return nil, fmt.Errorf("sandbox: calls.%s.%w", api, err)
		}
		p.portions[api] = cut
	}
	for _, api := range slices.Sorted(maps.Keys(f.QuotaAnswers)) {
		if !slices.Contains(apis(), api) || !json.Valid(f.QuotaAnswers[api]) {
			return nil, fmt.Errorf("sandbox: quota_answers.%s: must be JSON for a known call, known are %v", api, apis())
		}
	}
	for i, script := range f.Next {
		if err := script.validate(); err != nil {
			return nil, fmt.Errorf("sandbox: next[%d].%w", i, err)
		}
	}
	return p, nil
}

// clone copies f, so that whoever holds the original may change it.
func (f Faults) clone() Faults {
	f.Next = slices.Clone(f.Next)
	f.QuotaAnswers = maps.Clone(f.QuotaAnswers)
	f.Calls = maps.Clone(f.Calls)
	for api, c := range f.Calls {
		c.Errcodes, c.Shares = maps.Clone(c.Errcodes), maps.Clone(c.Shares)
		f.Calls[api] = c
	}
	return f
}

// cut lays the shares end to end, always in the same order.
func (c CallFaults) cut() ([]portion, error) {
	if c.Latency < 0 || c.Jitter < 0 || time.Duration(c.Latency) > maxDelay || time.Duration(c.Jitter) > maxDelay {
		return nil, fmt.Errorf("latency, jitter: must lie between 0 and %s", maxDelay)
	}
	var all []portion
	end := 0.0
	add := func(field string, share float64, h hit) error {
		end += share
		if !(share >= 0 && share <= 1) || end > 1+1e-9 { // written so that NaN is refused too
			return fmt.Errorf("%s: shares must lie between 0 and 1 and be at most 1 together", field)
		}
		all = append(all, portion{end, h})
		return nil
	}
	for _, code := range slices.Sorted(maps.Keys(c.Errcodes)) {
		if code == 0 {
			return nil, errors.New("errcodes.0: is no error")
		}
		if err := add(fmt.Sprintf("errcodes.%d", code), c.Errcodes[code], hit{fault: FaultErrcode, errcode: code}); err != nil {
			return nil, err
		}
	}
	for _, f := range slices.Sorted(maps.Keys(c.Shares)) {
		if err := f.validate("shares." + string(f)); err != nil {
			return nil, err
		}
		if err := add("shares."+string(f), c.Shares[f], hit{fault: f}); err != nil {
			return nil, err
		}
	}
	return all, nil
}

func (f Fault) validate(field string) error {
	known := append(faultsBefore(), faultsAfter()...)
	if !slices.Contains(known, f) {
		return fmt.Errorf("%s: unknown fault, known are %v", field, known)
	}
	return nil
}

func (s Script) validate() error {
	switch {
	case !slices.Contains(apis(), s.API):
		return fmt.Errorf("api: unknown call %q, known are %v", s.API, apis())
	case (s.Do == "") == (s.Errcode == 0):
		return errors.New("do, errcode: exactly one must be given")
	case s.Count < 0:
		return errors.New("count: must not be negative")
	case s.Do != "":
		return s.Do.validate("do")
	}
	return nil
}

// choose decides what an arrival meets. It always draws twice, whatever stands in the plan. a.mu is held.
func (a *app) choose(api string) hit {
	dice := rand.New(a.calls[api].dice)
	share, spread := dice.Float64(), dice.Float64()
	standing := a.faults.source.Calls[api]
	h := a.pick(api, share)
	h.delay = time.Duration(standing.Latency) + time.Duration(spread*float64(standing.Jitter))
	return h
}

func (a *app) pick(api string, share float64) hit {
	if down := a.faults.source.Down; down != "" {
		return hit{fault: down}
	}
	if h, ok := a.nextScript(api); ok {
		return h
	}
	for _, s := range a.faults.portions[api] {
		if share < s.upTo {
			return s.hit
		}
	}
	return hit{}
}

// nextScript takes one use of the first script for the API.
func (a *app) nextScript(api string) (hit, bool) {
	i := slices.IndexFunc(a.scripts, func(s Script) bool { return s.API == api })
	if i < 0 {
		return hit{}, false
	}
	s := &a.scripts[i]
	h := hit{fault: s.Do}
	if s.Errcode != 0 {
		h = hit{fault: FaultErrcode, errcode: s.Errcode}
	}
	if s.Count--; s.Count <= 0 {
		a.scripts = slices.Delete(a.scripts, i, i+1)
	}
	return h, true
}

func (a *app) setFaults(p *faultPlan) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults, a.scripts = p, slices.Clone(p.source.Next)
}

// SetFaults replaces how an app misbehaves; an empty appID means every app, those added later too. Every app has its own
// copy of the one-shot scripts. The error names the field.
func (s *Server) SetFaults(appID string, f Faults) error {
	p, err := f.plan()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen, err := s.chosen(appID)
	if err != nil {
		return err
	}
	for _, a := range chosen {
		a.setFaults(p)
	}
	if appID == "" {
		s.faults = p
	}
	return nil
}

// Faults returns how an app misbehaves, with the one-shot scripts that are left; for an empty appID, what was last set for
// every app.
func (s *Server) Faults(appID string) (Faults, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if appID == "" {
		return s.faults.source.clone(), nil
	}
	a, ok := s.byID[appID]
	if !ok {
		return Faults{}, fmt.Errorf("%w: %s", ErrUnknownApp, appID)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	f := a.faults.source.clone()
	f.Next = slices.Clone(a.scripts)
	return f, nil
}
