package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// finish records what an attempt ended with and tells asynq what follows.
func (d *delivery) finish(a *attempt, result answer) error {
	d.metrics.Attempt(d.app, string(a.Kind), string(result.class))
	r := ruleFor(&result, a)
	set := d.settlement(a, result, r)
	if r.delay != nil && set.Admitted {
		set.Delay = r.delay(a.admitted.Attempts)
	}
	s, err := d.record(set, a.admitted.Attempts)
	if err != nil {
		return notRecorded(err)
	}
	if s.Late {
		d.metrics.LateSettlement()
	}
	d.judge(a, result, r)
	return d.follow(a, result, r, set.Delay, s)
}

// judge draws the conclusion for others: what the answer holds back, and whether what
// was held back is over.
func (d *delivery) judge(a *attempt, result answer, r rule) {
	ctx, cancel := context.WithTimeout(d.life, settleTimeout)
	defer cancel()
	var held ledger.PauseKey
	if r.pause != nil {
		held = d.gate.hold(ctx, &a.Envelope, result, r.pause)
	}
	if p := a.probe; p != nil && decides(result) && !wider(held, p.PauseKey) {
		a.probe = nil
		if held != p.PauseKey {
			d.gate.over(ctx, *p)
		}
	}
}

// wider reports whether what an answer holds back is more than a probe asked about: then
// it says nothing about that.
func wider(held, asked ledger.PauseKey) bool {
	scopes := ledger.Scopes() // the widest first
	return held != (ledger.PauseKey{}) && slices.Index(scopes, held.Scope) < slices.Index(scopes, asked.Scope)
}

// decides reports whether an answer tells anything about a pause: one of WeChat's that
// is not about the moment.
func decides(a answer) bool {
	switch a.class {
	case errcode.Transient, errcode.Unknown, errcode.Token:
		return false
	}
	return true
}

// follow maps the recorded state to asynq's terms.
func (d *delivery) follow(a *attempt, result answer, r rule, delay time.Duration, s ledger.Settled) error {
	if s.Status.Final() {
		if s.Reason != "" {
			result.reason = s.Reason
		}
		if s.Applied {
			d.observeEnd(a, s.Status.Outcome(), result)
		}
		if s.Status == tasks.Status(tasks.Dead) {
			if s.Applied {
				d.keepLetter(a, result, s)
			}
			return bury("dead: " + explain(result))
		}
		return nil
	}
	if delay == 0 && r.delay != nil {
		delay = r.delay(s.Attempts)
	}
	d.log.Log(context.Background(), failureLevel(result), "notification waits after a failed attempt",
		"app", d.app, "id", a.ID, "kind", a.Kind, "class", result.class, "errcode", result.errcode, "reason", result.reason,
		"attempts", s.Attempts, "after", delay.Round(time.Millisecond), requestID(a))
	return &later{after: delay, failure: r.failure, why: "retrying: " + explain(result)}
}

// failureLevel keeps a storm out of the log: what a person must mend warns, and what
// only waits with others says nothing.
func failureLevel(a answer) slog.Level {
	switch a.class {
	case errcode.Misconfigured, errcode.Exhausted, errcode.Throttled: // the pause says it, once
		return slog.LevelDebug
	case errcode.Unlisted, errcode.Unknown:
		return slog.LevelWarn
	default:
		return slog.LevelInfo
	}
}

func (d *delivery) settlement(a *attempt, result answer, r rule) ledger.Settlement {
	s := ledger.Settlement{
		Ref: a.ref, Kind: a.Kind, CreatedAt: a.EnqueuedAt, Attempt: a.id,
		Admitted: a.admitted.Verdict == ledger.Go,
		Next:     r.next, Outcome: r.outcome,
		MsgID: result.msgID, Receipt: a.receiptName(), Errcode: result.errcode, Reason: result.reason, Detail: result.detail,
		DropAfterUnknown: a.OnUnknown == tasks.Drop,
		HorizonBase:      d.horizonBase(a), Horizon: d.horizon,
		UnlistedLimit: r.limit, LimitReason: r.limitReason,
		TemplateID: a.TemplateID, FormID: a.FormID,
		Revoked: r.revokes, Discarded: r.discards,
	}
	return s
}

// horizonBase is when the horizon begins: what was held back has its whole time left.
func (d *delivery) horizonBase(a *attempt) time.Time {
	base := firstSend(a.Envelope)
	if resumed := d.gate.resumedAt(a.App); resumed.After(base) {
		return resumed
	}
	return base
}

func firstSend(e tasks.Envelope) time.Time {
	if e.SendAt.After(e.EnqueuedAt) {
		return e.SendAt
	}
	return e.EnqueuedAt
}

// settleTimeout bounds one try to record.
const settleTimeout = 3 * time.Second

// record writes down what became of an attempt, which has a number. Until that is done
// nobody else may know it.
func (d *delivery) record(s ledger.Settlement, attempt int) (ledger.Settled, error) {
	var settled ledger.Settled
	err := d.insist("outcome", func(ctx context.Context) error {
		var err error
		settled, err = d.ledger.Settle(ctx, s)
		return err
	})
	if err == nil {
		d.recent.add(s, attempt, settled.At)
	}
	return settled, err
}

// insist writes something down, again and again until Redis has it or the process
// ends. What a newer version wrote ends it, too.
func (d *delivery) insist(what string, write func(context.Context) error) error {
	for wait := 50 * time.Millisecond; ; wait = min(2*wait, 2*time.Second) {
		ctx, cancel := context.WithTimeout(d.life, settleTimeout)
		err := write(ctx)
		cancel()
		if err == nil || errors.Is(err, ledger.ErrNewer) {
			return err
		}
		d.metrics.SettleRetry()
		d.log.Warn(what+" not recorded yet, trying again", "app", d.app, "error", err)
		if !pause(d.life, jitter(wait, 0.3)) {
			return fmt.Errorf("worker: ended before redis answered: %w", err)
		}
	}
}

func (d *delivery) observeStart(a *attempt) {
	if !a.exchanging && a.admitted.Attempts == 1 && a.admitted.Unknowns == 0 {
		d.metrics.QueueWait(d.app, string(a.Priority), time.Since(firstSend(a.Envelope)))
	}
}

// observeEnd counts and logs an outcome: one line for each.
func (d *delivery) observeEnd(a *attempt, o tasks.Outcome, result answer) {
	d.metrics.Notification(d.app, string(a.Kind), string(o))
	d.tally.count(d.app, tasks.StatsField{Kind: a.Kind, TemplateID: a.PauseName(), Outcome: string(o)})
	if o == tasks.Accepted {
		d.metrics.EndToEnd(string(a.Kind), time.Since(firstSend(a.Envelope)))
	}
	level := slog.LevelInfo
	if o == tasks.Dead || o == tasks.Unknown {
		level = slog.LevelWarn
	}
	d.log.LogAttrs(context.Background(), level, "notification ended",
		slog.String("app", d.app), slog.String("id", a.ID), slog.String("kind", string(a.Kind)),
		slog.String("outcome", string(o)), slog.Int("errcode", result.errcode), slog.String("reason", string(result.reason)),
		slog.String("msgid", result.msgID), slog.Int("attempts", a.admitted.Attempts), requestID(a))
}

// requestID says for the log which request a notification came with. What came with
// none has no such attribute: handlers leave an empty one out.
func requestID(a *attempt) slog.Attr {
	if a.RequestID == "" {
		return slog.Attr{}
	}
	return slog.String("request_id", a.RequestID)
}

// explain says in a few words why an attempt failed, for the dashboard.
func explain(a answer) string {
	text := string(a.class)
	if a.reason != "" {
		text = string(a.reason)
	}
	if a.errcode == 0 {
		return text
	}
	entry := errcode.LookupFor(a.reason.API(), a.errcode)
	if a.detail != "" {
		return fmt.Sprintf("%s: errcode %d: %s (%s)", text, a.errcode, entry.Meaning, a.detail)
	}
	return fmt.Sprintf("%s: errcode %d: %s", text, a.errcode, entry.Meaning)
}
