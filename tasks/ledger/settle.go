package ledger

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Next says how a settled attempt goes on.
type Next string

const (
	// End: Outcome stands from now on.
	End Next = "end"
	// Retry: the attempt failed, another follows, unless the horizon is over.
	Retry Next = "retry"
	// Hold: the attempt failed for a reason that holds for others too. It does not count,
	// and no horizon ends it.
	Hold Next = "hold"
	// Doubt: nobody knows whether WeChat accepted it.
	Doubt Next = "unknown"
	// Release: the attempt was admitted and wrote no request.
	Release Next = "release"
)

// Settlement says what became of an attempt.
type Settlement struct {
	Ref
	Kind      tasks.Kind
	CreatedAt time.Time
	Attempt   string
	// Admitted is false for an attempt that failed before it could ask, because
	// no token was to be had.
	Admitted bool
	Next     Next
	// Outcome is where End leads.
	Outcome tasks.Outcome
	MsgID   string
	// Receipt is what a receipt names the message by, if not by MsgID; see CardReceipt.
	Receipt string
	Errcode int
	Reason  errcode.Reason
	Detail  string
	// DropAfterUnknown makes Doubt an end.
	DropAfterUnknown bool
	// HorizonBase is when the notification could first be sent; Horizon is how
	// long after it a failed attempt is the last. 0: none is.
	HorizonBase time.Time
	Horizon     time.Duration
	// Delay is how long the next attempt has to wait, on Redis's clock.
	Delay      time.Duration
	TemplateID string
	// FormID is the form id that came with the notification, if one did.
	FormID string
	// Revoked says that WeChat answered 43101: the recipient allows nothing any
	// more of what was granted before the attempt was admitted.
	Revoked bool
	// Discarded says that WeChat refused the form id: it is deleted.
	Discarded bool
	// UnlistedLimit ends the notification with its n-th failure of this sort. 0: no limit.
	UnlistedLimit int
	// LimitReason is why it is dead then. "": the failure's own errcode says it.
	LimitReason errcode.Reason
}

// Settled is the record after a settlement.
type Settled struct {
	// Applied says that the settlement is what the record says now.
	Applied bool
	// At is when the record last changed, on Redis's clock.
	At time.Time
	// Late says that the attempt's lease had ended and somebody else had gone on.
	Late     bool
	Status   tasks.Status
	Attempts int
	Unknowns int
	Reason   errcode.Reason
}

// Settle records what became of an attempt. It may be repeated. An error means
// that nobody can tell whether it was recorded.
func (l *Ledger) Settle(ctx context.Context, s Settlement) (Settled, error) {
	settled, _, err := l.settle(ctx, s, 0, time.Time{})
	return settled, err
}

// Resettle records once more what Settle did record, for a Redis that may have forgotten
// it: a replica that took over, or one that began anew. attempt is the number that the
// admission gave, at the Settled.At of Settle; the settlement must be that of an admitted
// attempt. It changes nothing where the settlement is known or was overtaken, and reports
// whether it changed anything.
func (l *Ledger) Resettle(ctx context.Context, s Settlement, attempt int, at time.Time) (bool, error) {
	_, changed, err := l.settle(ctx, s, attempt, at)
	return changed, err
}

func (l *Ledger) settle(ctx context.Context, s Settlement, again int, at time.Time) (settled Settled, changed bool, err error) {
	keys := l.attemptKeys(s.Ref)
	if receipt := cmp.Or(s.MsgID, s.Receipt); receipt != "" {
		keys = append(keys, l.msgIDKey(Tag(s.App, s.OpenID), receipt))
	}
	args := []any{
		s.Attempt, flag(s.Admitted), string(s.Next), letterOf[s.Outcome],
		s.MsgID, errcodeField(s.Errcode), string(s.Reason), cleanDetail(s.Detail),
		kindLetter[s.Kind], unixMilli(s.CreatedAt), flag(s.DropAfterUnknown),
		unixMilli(s.HorizonBase), s.Horizon.Milliseconds(), s.UnlistedLimit, s.Delay.Milliseconds(),
		openTTL.Milliseconds(), l.o.DedupeWindow.Milliseconds(), l.o.DeadRetention.Milliseconds(),
		s.TemplateID, s.FormID, flag(s.Revoked), flag(s.Discarded),
		recordName(s.App, s.ID), min(l.o.DedupeWindow, msgIDFor).Milliseconds(), string(s.LimitReason), again, unixMilli(at),
	}
	r, err := l.run(ctx, settleScript, keys, args...)
	if err != nil {
		return Settled{}, false, fmt.Errorf("ledger: settle: %w", err)
	}
	status, err := r.status(2)
	if err != nil {
		return Settled{}, false, err
	}
	if status == tasks.Status(tasks.Dead) || status == tasks.Status(tasks.Canceled) || s.Exchanged && status.Final() {
		l.keep(ctx, s.Ref, status)
	}
	return Settled{
		Applied: r.number(0) == 1, At: time.UnixMilli(r.number(7)), Late: r.number(1) == 1, Status: status,
		Attempts: int(r.number(3)), Unknowns: int(r.number(4)), Reason: errcode.Reason(r.text(5)),
	}, r.number(6) == 1, nil
}

// msgIDFor is how long a receipt finds its notification: WeChat pushes it within
// seconds, and what it pushed may lie in the queue while workers are away.
const msgIDFor = 6 * time.Hour

func errcodeField(code int) string {
	if code == 0 {
		return ""
	}
	return fmt.Sprint(code)
}
