package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

type appStatusCmd struct {
	App  string `arg:"" optional:"" help:"AppID; all that workers serve if left out." name:"appid"`
	Lang string `help:"Language of reason and remedy: en or zh." enum:"en,zh" default:"en"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run shows the lanes of apps and what is held back.
func (a *appStatusCmd) Run(p *program) error {
	if a.App != "" {
		if _, err := scopeOf(a.App, nil, nil); err != nil {
			return err
		}
	}
	return withApps(p, func(t *appTools) error {
		states, err := t.states(a.App)
		switch {
		case err != nil:
			return err
		case a.JSON:
			return printJSON(t.stdout, states)
		case len(states) == 0:
			_, err := fmt.Fprintln(t.stdout, "No worker has served an app yet.")
			return err
		}
		for i, s := range states {
			if i > 0 {
				_, err = fmt.Fprintln(t.stdout)
			}
			if err := errors.Join(err, s.print(t.stdout, a.Lang)); err != nil {
				return err
			}
		}
		return nil
	})
}

// appState is where an app stands. Times are Redis's.
type appState struct {
	App string `json:"app"`
	// Credits and ConsentSource are how its users' consents are kept; empty before a
	// worker served it.
	Credits       tasks.CreditMode    `json:"credits,omitempty"`
	ConsentSource tasks.ConsentSource `json:"consent_source,omitempty"`
	Lanes         []laneState         `json:"lanes"`
	Pauses        []pauseState        `json:"pauses"`
	Quotas        []quotaState        `json:"quotas"`
}

type laneState struct {
	Lane        tasks.Priority `json:"lane"`
	Pending     int64          `json:"pending"`
	Active      int64          `json:"active"`
	Scheduled   int64          `json:"scheduled"`
	Retry       int64          `json:"retry"`
	Paused      bool           `json:"paused"`
	PausedSince time.Time      `json:"paused_since,omitzero"`
	// InDashboard: somebody paused it there, or through asynq; no pause of ours did.
	InDashboard bool `json:"paused_in_dashboard"`
}

type pauseState struct {
	Scope ledger.Scope `json:"scope"`
	Name  string       `json:"name,omitempty"`
	// By is hand or wechat.
	By string `json:"by"`
	// Began is when it began, Since when it was last prolonged.
	Began   time.Time `json:"began_at"`
	Since   time.Time `json:"since"`
	Until   time.Time `json:"until"`
	InForce bool      `json:"in_force"`
	// Probe: after Until one send finds out whether it is over.
	Probe     bool   `json:"probe"`
	Prolonged int    `json:"prolonged"`
	Errcode   int    `json:"errcode,omitempty"`
	Reason    string `json:"reason"`
	ReasonZH  string `json:"reason_zh"`
	Remedy    string `json:"remedy"`
	RemedyZH  string `json:"remedy_zh"`

	key  ledger.PauseKey
	left time.Duration
}

type quotaState struct {
	API    string    `json:"api"`
	Known  bool      `json:"known"`
	Limit  int64     `json:"limit,omitempty"`
	Used   int64     `json:"used,omitempty"`
	Remain int64     `json:"remain"`
	ReadAt time.Time `json:"read_at,omitzero"`
	// Detail is what check says of it.
	Detail string `json:"detail"`
}

// states reads where one app stands, or each that workers serve or that is paused.
func (t *appTools) states(app string) ([]appState, error) {
	served, err := t.served.All(t.ctx)
	if err != nil {
		return nil, err
	}
	list, err := t.pauses.List(t.ctx)
	if err != nil {
		return nil, err
	}
	known, now, err := t.quotas.Read(t.ctx)
	if err != nil {
		return nil, err
	}
	apps, err := chosen(app, served, list)
	if err != nil {
		return nil, err
	}
	states := make([]appState, len(apps))
	for i, app := range apps {
		lanes, err := t.queues.Lanes(t.ctx, app)
		if err != nil {
			return nil, err
		}
		pauses := of(app, list)
		states[i] = appState{
			App: app, Credits: served[app].Mode, ConsentSource: served[app].Source,
			Lanes: laneStates(lanes, pauses), Pauses: pauseStates(pauses, list.Now), Quotas: quotaStates(app, known, now),
		}
	}
	return states, nil
}

// chosen is the app that was named, or all there are.
func chosen(app string, served map[string]tasks.ConsentPolicy, list ledger.Paused) ([]string, error) {
	all := slices.Collect(maps.Keys(served))
	for _, p := range list.Pauses {
		all = append(all, p.App)
	}
	slices.Sort(all)
	all = slices.Compact(all)
	switch {
	case app == "":
		return all, nil
	case len(served) > 0 && !slices.Contains(all, app):
		return nil, producer.ErrUnknownApp
	}
	return []string{app}, nil
}

// of are the pauses of an app.
func of(app string, list ledger.Paused) []ledger.Pause {
	return slices.DeleteFunc(slices.Clone(list.Pauses), func(p ledger.Pause) bool { return p.App != app })
}

// pausedElsewhere lists the lanes that are paused and that no pause of ours explains:
// somebody did it in the dashboard, or through asynq. A pause whose time is over explains
// them until a worker has looked.
func pausedElsewhere(lanes []tasks.Lane, pauses []ledger.Pause) []tasks.Priority {
	i := slices.IndexFunc(pauses, func(p ledger.Pause) bool { return p.Scope == ledger.ScopeApp })
	var found []tasks.Priority
	for _, lane := range lanes {
		if lane.Paused && (i < 0 || slices.Contains(pauses[i].ByHand, lane.Priority)) {
			found = append(found, lane.Priority)
		}
	}
	return found
}

func laneStates(lanes []tasks.Lane, pauses []ledger.Pause) []laneState {
	elsewhere := pausedElsewhere(lanes, pauses)
	states := make([]laneState, len(lanes))
	for i, l := range lanes {
		states[i] = laneState{
			Lane: l.Priority, Pending: l.Pending, Active: l.Active, Scheduled: l.Scheduled, Retry: l.Retry,
			Paused: l.Paused, PausedSince: l.PausedSince.UTC(), InDashboard: slices.Contains(elsewhere, l.Priority),
		}
	}
	return states
}

func pauseStates(pauses []ledger.Pause, now time.Time) []pauseState {
	states := make([]pauseState, len(pauses))
	for i, p := range pauses {
		s := pauseState{
			Scope: p.Scope, Name: p.Name, By: "wechat", Began: p.Began.UTC(), Since: p.Since.UTC(), Until: p.Until.UTC(), InForce: p.InForce(now),
			Probe: p.By == ledger.PauseByProbe, Prolonged: p.Tries, Errcode: p.Errcode, key: p.PauseKey, left: p.Until.Sub(now),
		}
		if p.By == ledger.PauseByHand {
			s.By = "hand"
		}
		s.explain(p.Reason)
		states[i] = s
	}
	return states
}

// explain fills in why and what to do, as the status of a notification says it: our
// own reason first, then WeChat's.
func (s *pauseState) explain(r errcode.Reason) {
	own, _ := errcode.LookupReason(r)
	var answer errcode.Entry
	if s.Errcode != 0 {
		answer = errcode.LookupFor(r.API(), s.Errcode)
	}
	join := func(first, second string) string { return strings.TrimSpace(first + " " + second) }
	s.Reason, s.ReasonZH = join(own.Meaning, answer.Meaning), join(own.MeaningZH, answer.MeaningZH)
	s.Remedy, s.RemedyZH = join(own.Remedy, answer.Remedy), join(own.RemedyZH, answer.RemedyZH)
}

func quotaStates(app string, known map[tasks.QuotaKey]tasks.Quota, now time.Time) []quotaState {
	states := []quotaState{}
	for key, q := range known {
		if key.App != app {
			continue
		}
		said := &report{}
		checkQuota("", q, now, said)
		s := quotaState{API: key.API, Known: q.Known(now), Detail: said.findings[0].Detail}
		if s.Known {
			s.Limit, s.Used, s.Remain, s.ReadAt = q.Limit, q.Used, q.Remain, q.ReadAt.UTC()
		}
		states = append(states, s)
	}
	slices.SortFunc(states, func(a, b quotaState) int { return strings.Compare(a.API, b.API) })
	return states
}

func (s *appState) print(w io.Writer, lang string) error {
	rows := [][2]string{{"app", s.App}}
	if s.Credits != "" {
		rows = append(rows, [2]string{"consents", fmt.Sprintf("%s, source %s", s.Credits, s.ConsentSource)})
	}
	for _, q := range s.Quotas {
		rows = append(rows, [2]string{"quota of " + q.API, q.Detail})
	}
	if err := errors.Join(printRows(w, rows), printLanes(w, s.Lanes)); err != nil {
		return err
	}
	for _, p := range s.Pauses {
		if err := p.print(w, lang); err != nil {
			return err
		}
	}
	return nil
}

func printLanes(w io.Writer, lanes []laneState) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nLANE\tPENDING\tACTIVE\tSCHEDULED\tRETRY\tSENDS")
	for _, l := range lanes {
		fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%s\n", l.Lane, l.Pending, l.Active, l.Scheduled, l.Retry, l.sends())
	}
	return table.Flush()
}

func (l laneState) sends() string {
	switch {
	case !l.Paused:
		return "yes"
	case l.InDashboard:
		return strings.TrimSpace("PAUSED in the dashboard " + since(l.PausedSince))
	}
	return strings.TrimSpace("PAUSED " + since(l.PausedSince))
}

func since(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return "since " + when(t)
}

func (s *pauseState) print(w io.Writer, lang string) error {
	reason, remedy := s.Reason, s.Remedy
	if lang == "zh" {
		reason, remedy = s.ReasonZH, s.RemedyZH
	}
	by := "WeChat's answer"
	if s.By == "hand" {
		by = "hand"
	}
	if _, err := fmt.Fprintln(w); err != nil {
		return err
	}
	return printRows(w, [][2]string{
		{"PAUSED", named(s.key)}, {"by", by}, {"began", when(s.Began)}, {"until", s.end()}, {"prolonged", s.times()},
		{"errcode", number(s.Errcode)}, {"reason", reason}, {"remedy", remedy}, {"resume", resumeCommand(s.key)},
	})
}

// end is when a pause ends, and how.
func (s *pauseState) end() string {
	switch {
	case s.InForce && s.Probe:
		return fmt.Sprintf("%s (in %v); then one send finds out whether it is over", when(s.Until), s.left.Round(time.Second))
	case s.InForce:
		return fmt.Sprintf("%s (in %v)", when(s.Until), s.left.Round(time.Second))
	case s.Probe:
		return when(s.Until) + "; the next send finds out whether it is over"
	}
	return when(s.Until) + "; a worker is about to end it"
}

func (s *pauseState) times() string {
	switch s.Prolonged {
	case 0:
		return ""
	case 1:
		return "once, last " + when(s.Since)
	}
	return fmt.Sprintf("%d times, last %s", s.Prolonged, when(s.Since))
}
