package ledger

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Admission asks to let one attempt call WeChat.
type Admission struct {
	Ref
	Kind tasks.Kind
	// Attempt is the attempt's own id, from NewAttempt.
	Attempt string
	// Lease is how long the attempt may take, settlement included. The caller
	// must not write its request unless it fits into what is left.
	Lease            time.Duration
	CreatedAt        time.Time
	SendAt, NotAfter time.Time
	DropAfterUnknown bool
	// Need is what the recipient must have allowed.
	Need       Need
	TemplateID string
	// Type is the template's, for NeedObserved and NeedSubscription.
	Type tasks.TemplateType
	// FormID is the form id that came with the notification, for NeedFormID.
	FormID string
	// GraceFrom is when the notification could first be sent: for a short time
	// after it what it needs may still be on its way.
	GraceFrom time.Time
	// LateReason is why it expires after NotAfter. Default errcode.ReasonNotAfter.
	LateReason errcode.Reason
	// Forgotten says that every recipient was erased since it was made; see Ledger.Forgotten.
	Forgotten bool
	// Harmless says that the call sends nothing: an attempt that died leaves no doubt.
	Harmless bool
}

// Need is what an admission demands of the recipient's consent.
type Need string

const (
	// NeedNothing: no books are kept.
	NeedNothing Need = ""
	// NeedObserved: a credit is held if there is one; without, the attempt may call all the same.
	NeedObserved Need = "observe"
	// NeedSubscription: no call without a credit or a standing subscription.
	NeedSubscription Need = "enforce"
	// NeedFormID: a form id is held, without one there is no call to make.
	NeedFormID Need = "form"
)

// NewAttempt makes the id of an attempt.
func NewAttempt() string {
	var b [9]byte
	_, _ = rand.Read(b[:]) // never fails: it aborts the program instead
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// Verdict is what an admission ends with.
type Verdict string

const (
	// Go: the attempt is recorded and may call.
	Go Verdict = "go"
	// Ended: an outcome stands; the task is over.
	Ended Verdict = "ended"
	// Busy: another attempt is alive.
	Busy Verdict = "busy"
	// Turn: another notification to the same recipient is being sent.
	Turn Verdict = "turn"
	// Wait: send_at, or the time of the next attempt, has not come.
	Wait Verdict = "wait"
	// Credit: nothing the recipient allowed covers it, but that may be on its way.
	Credit Verdict = "credit"
)

// Verdicts lists every verdict.
func Verdicts() []Verdict { return []Verdict{Go, Ended, Busy, Turn, Wait, Credit} }

// Admitted is the answer to an admission.
type Admitted struct {
	Verdict Verdict
	// Status is the record's state afterwards.
	Status tasks.Status
	// Attempts counts this attempt too, if it was admitted.
	Attempts int
	// Unknowns counts earlier attempts nobody knows the end of.
	Unknowns int
	// Wait is how long to wait with Busy, Turn, Wait and Credit.
	Wait time.Duration
	// Changed says that this very admission wrote the outcome.
	Changed bool
	// Died says that this very admission found an earlier attempt dead with its
	// worker: nobody knows what became of it.
	Died   bool
	Reason errcode.Reason
	// FormID is the form id the attempt holds, with NeedFormID and Go.
	FormID string
	// Uncovered says that nothing the recipient allowed covers the attempt, which
	// NeedSubscription would have held back; with NeedObserved and Go.
	Uncovered bool
}

// Admit decides, in one step on Redis's clock, whether the attempt may call. The
// same attempt may ask again and gets the same answer.
func (l *Ledger) Admit(ctx context.Context, a Admission) (Admitted, error) {
	r, err := l.run(ctx, admitScript, l.attemptKeys(a.Ref),
		a.Attempt, a.Lease.Milliseconds(), kindLetter[a.Kind], unixMilli(a.CreatedAt),
		unixMilli(a.SendAt), unixMilli(a.NotAfter), flag(a.DropAfterUnknown),
		openTTL.Milliseconds(), l.o.DedupeWindow.Milliseconds(),
		string(a.Need), a.TemplateID, int(a.Type), a.FormID, a.GraceFrom.Add(l.o.Grace).UnixMilli(), flag(a.Harmless),
		string(cmp.Or(a.LateReason, errcode.ReasonNotAfter)), flag(a.Forgotten))
	if err != nil {
		return Admitted{}, fmt.Errorf("ledger: admit: %w", err)
	}
	status, err := r.status(1)
	if err != nil {
		return Admitted{}, err
	}
	answer := Admitted{
		Verdict: Verdict(r.text(0)), Status: status, Attempts: int(r.number(2)), Unknowns: int(r.number(3)),
		Wait: r.millis(4), Changed: r.number(5) == 1, Reason: errcode.Reason(r.text(6)), Died: r.number(7) == 1,
		FormID: r.text(8), Uncovered: r.number(9) == 1,
	}
	if answer.Changed || a.Exchanged && answer.Verdict == Ended { // ClaimCode just prolonged it
		l.keep(ctx, a.Ref, status)
	}
	if a.Exchanged && answer.Reason == errcode.ReasonForgotten {
		// The pointer holds the openid. If this fails it is gone with the outcome.
		_ = l.eraseAgain(ctx, a.App, []string{a.OpenID}, a.CreatedAt)
	}
	return answer, nil
}

// attemptKeys are the keys of an attempt: record, turn, consent, form ids.
func (l *Ledger) attemptKeys(ref Ref) []string {
	tag := Tag(ref.App, ref.OpenID)
	return []string{l.recordKey(tag, recordName(ref.App, ref.ID)), l.turnKey(tag), l.consentKey(tag), l.formIDsKey(tag)}
}

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func flag(b bool) string {
	if b {
		return "1"
	}
	return "0"
}
