package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// fate is what became of one notification.
type fate struct {
	id        string
	onUnknown tasks.OnUnknown
	record    *ledger.Record // nil: the ledger knows nothing
	accepted  int64          // how often the sandbox accepted it
	forgot    gap
	// early: it arrived at the sandbox before its send_at.
	early bool
}

// verdict is what became of all.
type verdict struct {
	enqueued int
	outcomes map[tasks.Status]int
	// unknown counts the attempts nobody knew the end of.
	unknown int
	// repeats counts those sent twice as promised: once more after an unknown attempt.
	repeats int
	// forgotten counts those of which Redis had lost something.
	forgotten int
	// lost, doubled and early name those with which a promise was broken.
	lost, doubled, early []string
}

// judgeFates compares what the ledger says with what the sandbox counted.
func judgeFates(fates []fate) verdict {
	v := verdict{enqueued: len(fates), outcomes: map[tasks.Status]int{}}
	for _, f := range fates {
		if f.record != nil {
			v.outcomes[f.record.Status]++
			v.unknown += f.record.Unknowns
		}
		if f.forgot != (gap{}) {
			v.forgotten++
		}
		if f.early {
			v.early = append(v.early, f.id)
		}
		if why := f.lost(); why != "" {
			v.lost = append(v.lost, f.id+": "+why)
		}
		switch why := f.doubled(); {
		case why != "":
			v.doubled = append(v.doubled, f.id+": "+why)
		case f.accepted > 1:
			v.repeats++
		}
	}
	return v
}

// lost says why a notification counts as lost, "" if it does not.
func (f fate) lost() string {
	if f.forgot.task {
		return ""
	}
	if f.record == nil {
		return "nothing is recorded"
	}
	switch r := *f.record; r.Status {
	case tasks.Status(tasks.Accepted), tasks.StatusDelivered, tasks.StatusUndelivered:
		if f.accepted == 0 {
			return "recorded as accepted, and never was"
		}
	case tasks.Status(tasks.Unknown):
		if r.Unknowns == 0 || f.onUnknown == tasks.Resend && r.Unknowns < 2 {
			return fmt.Sprintf("recorded as unknown after %d unknown attempts", r.Unknowns)
		}
	default:
		return fmt.Sprintf("recorded as %s (%s %d), which nothing justifies", r.Status, r.Reason, r.Errcode)
	}
	return ""
}

// doubled says why a notification counts as doubled, "" if it does not.
func (f fate) doubled() string {
	allowed := int64(1)
	if f.onUnknown == tasks.Resend && f.record != nil && f.record.Unknowns > 0 {
		allowed++
	}
	if f.forgot.send {
		allowed++
	}
	if f.accepted <= allowed {
		return ""
	}
	return fmt.Sprintf("accepted %d times, at most %d were allowed", f.accepted, allowed)
}

// judge reads ledger and sandbox, once everything has ended.
func (w *world) judge(ctx context.Context) error {
	sent := w.client.sent()
	records, err := w.records(ctx, sent)
	if err != nil {
		return err
	}
	report, err := w.sandbox.Report(ctx, true)
	if err != nil {
		return err
	}
	w.report = report.Apps[chaosApp]
	for _, n := range w.report.Calls[sandbox.APISubscribeSend].Faults {
		w.otherFaults.Add(n)
	}
	fates := make([]fate, len(sent))
	for i, n := range sent {
		r, forgot := records[n.id], w.forgot[n.id]
		if w.row.mayForget && r != nil && w.report.ReceivedByID[n.id] > int64(r.Attempts) {
			forgot.send = true // the survey came too late to see it
		}
		arrived, came := w.report.ArrivalUnixNS[n.id]
		fates[i] = fate{
			id: n.id, onUnknown: n.onUnknown, record: r, accepted: w.report.AcceptedByID[n.id],
			forgot: forgot, early: came && n.delayed && arrived < n.sendAt.UnixNano(),
		}
	}
	w.verdict = judgeFates(fates)
	for _, complaint := range w.result().faults(w.plan) {
		w.complain("%s", complaint)
	}
	if w.row.check == nil {
		return nil
	}
	complaints, err := w.row.check(ctx, w)
	for _, c := range complaints {
		w.complain("%s", c)
	}
	return err
}

// faults are what is wrong with a row's figures.
func (r result) faults(p plan) []string {
	var list []string
	complain := func(wrong bool, format string, args ...any) {
		if wrong {
			list = append(list, fmt.Sprintf(format, args...))
		}
	}
	complain(r.enqueued != p.n, "%d of %d notifications were enqueued", r.enqueued, p.n)
	complain(len(r.lost) > 0, "%d lost: %s", len(r.lost), some(r.lost))
	complain(len(r.doubled) > 0, "%d doubled: %s", len(r.doubled), some(r.doubled))
	complain(len(r.early) > 0, "%d sent before their time: %s", len(r.early), some(r.early))
	complain(r.forgotten > 0 && !r.mayForget, "Redis forgot something of %d notifications, and should not have", r.forgotten)
	complain(!r.rateKept(), "%d sends arrived within a second, at most %d were allowed", r.busiest, r.rate)
	complain(r.killed < p.of(r.kills), "only %d processes were killed, want %d", r.killed, p.of(r.kills))
	complain(r.redisFaulted < p.of(r.redisFaults), "only %d faults of Redis, want %d", r.redisFaulted, p.of(r.redisFaults))
	complain(r.otherFaulted < p.of(r.otherFaults), "only %d other faults, want %d", r.otherFaulted, p.of(r.otherFaults))
	complain(r.unknownPerKill && r.unknown < p.of(r.kills), "only %d attempts ended unknown, but at least %d kills should have left one each", r.unknown, p.of(r.kills))
	return list
}

// rateKept allows for the jitter of arrivals: two sends, or five per cent.
func (r result) rateKept() bool {
	return r.rate == 0 || r.busiest <= r.rate+max(2, r.rate/20)
}

// some names the first few.
func some(list []string) string {
	list = slices.Sorted(slices.Values(list))
	const few = 5
	if len(list) > few {
		return strings.Join(list[:few], ", ") + ", …"
	}
	return strings.Join(list, ", ")
}

// The long form is worth its name only from here on.
const (
	wantEnqueued    = 20_000
	wantKilled      = 200
	wantRedisFaults = 20
)

// sum adds up what the rows came to.
func sum(results []result) result {
	total := result{verdict: verdict{outcomes: map[tasks.Status]int{}}}
	for _, r := range results {
		total.enqueued += r.enqueued
		for _, status := range slices.Sorted(maps.Keys(r.outcomes)) {
			total.outcomes[status] += r.outcomes[status]
		}
		total.unknown += r.unknown
		total.repeats += r.repeats
		total.forgotten += r.forgotten
		total.lost = append(total.lost, r.lost...)
		total.doubled = append(total.doubled, r.doubled...)
		total.killed += r.killed
		total.redisFaulted += r.redisFaulted
		total.otherFaulted += r.otherFaulted
	}
	return total
}

// judgeRun returns an error if a row failed or, of the whole long form, if it was too
// little to prove anything.
func judgeRun(results []result, whole bool) error {
	var errs []error
	for _, r := range results {
		if !r.passed() {
			errs = append(errs, errors.New(r.String()))
		}
	}
	total := sum(results)
	if whole && (total.enqueued < wantEnqueued || total.killed < wantKilled || total.redisFaulted < wantRedisFaults) {
		errs = append(errs, fmt.Errorf("chaos: too little: %d notifications, %d kills, %d faults of Redis; want %d, %d, %d",
			total.enqueued, total.killed, total.redisFaulted, wantEnqueued, wantKilled, wantRedisFaults))
	}
	return errors.Join(errs...)
}
