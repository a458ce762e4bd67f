package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/limit"
	"github.com/wxnotify/wxnotify/worker/token"
)

// tokens is what a delivery needs of the token manager.
type tokens interface {
	Get(ctx context.Context, app string) (token.Token, error)
	Invalidate(ctx context.Context, app string, t token.Token) error
}

// caller sends a notification of one kind and returns WeChat's id of it.
type caller func(ctx context.Context, accessToken string, e tasks.Envelope) (msgID string, err error)

// delivery brings the notifications of one app from the queue to an outcome.
type delivery struct {
	app     string
	callers map[tasks.Kind]caller
	// exchange turns a login code into an openid.
	exchange func(ctx context.Context, code string) (openID string, err error)
	consent  *consent
	gate     *gate
	limiter  *limit.Limiter
	ledger   *ledger.Ledger
	recent   *recent
	tally    *tally
	tokens   tokens
	turns    *turns
	metrics  *metrics.Metrics
	log      *slog.Logger
	// httpTimeout bounds a call; the lease is built on it.
	httpTimeout time.Duration
	horizon     time.Duration
	// life ends when the process gives up what is unfinished. Settlements go on
	// until then, whatever became of the run they belong to.
	life context.Context
	// stopping ends when the worker takes nothing up any more.
	stopping context.Context
}

// turnWait is how long a handler waits for the recipient's turn before it lets
// the task go.
const turnWait = 300 * time.Millisecond

// attempt is one run for one notification.
type attempt struct {
	tasks.Envelope
	ref ledger.Ref
	id  string
	// began is when the lease was asked for, on this process's monotonic clock.
	began    time.Time
	admitted ledger.Admitted
	// present are those of several recipients who were not erased since.
	present []string
	// exchanging: the attempt exchanges the login code and sends nothing.
	exchanging bool
	// templateType is what was known of the template when the attempt asked.
	templateType tasks.TemplateType
	// probe is the pause that this attempt finds out about, if it does.
	probe *ledger.Pause
	// slot is when it may call.
	slot *limit.Slot
	// caughtUp: no push waits that may hold the consent it needs.
	caughtUp bool
}

func newAttempt(e tasks.Envelope) *attempt {
	a := &attempt{Envelope: e, id: ledger.NewAttempt(), ref: ledger.Ref{App: e.App, ID: e.ID, OpenID: e.To.Key()}}
	if e.To.Code != "" {
		a.ref.OpenID, a.ref.Exchanged, a.exchanging = ledger.CodeRecipient(e.To.Code), true, true
	}
	return a
}

// deliver runs one attempt. The error tells asynq what to do with the task.
func (d *delivery) deliver(ctx context.Context, e tasks.Envelope) error {
	a := newAttempt(e)
	err := d.claim(ctx, a)
	if errors.Is(err, ledger.ErrConflict) {
		return d.conflict(a)
	}
	if err != nil {
		return redisAway(err)
	}
	if a.exchanging { // before anything that may take long: login codes do not last
		if over, err := d.resolve(ctx, a); over {
			return err
		}
	}
	if over, err := d.overdue(ctx, a); over {
		return err
	}
	waiting, cancel := context.WithTimeout(ctx, d.patience())
	defer cancel()
	defer context.AfterFunc(d.stopping, cancel)() // what only waits goes back to its queue
	if a.probe, err = d.gate.pass(waiting, &a.Envelope); err != nil {
		return err
	}
	defer d.unjudged(a)
	t, err := d.tokens.Get(ctx, d.app)
	if err != nil {
		return d.finish(a, noTokenAnswer(err))
	}
	return d.send(ctx, waiting, a, t)
}

// patience is how long a handler waits for a slot, or for a pause to end, so that the
// call and its settlement fit into what is left of its run.
func (d *delivery) patience() time.Duration {
	return max(tasks.TaskTimeout-d.lease()-time.Second, time.Second)
}

// unjudged gives a probe back whose attempt ended without an answer that decides.
func (d *delivery) unjudged(a *attempt) {
	if a.probe != nil {
		d.gate.undecided(*a.probe)
	}
}

// send waits for its slot and its recipient's turn, and makes the attempt.
func (d *delivery) send(ctx, waiting context.Context, a *attempt, t token.Token) error {
	giveBack, err := d.place(waiting, a)
	if err != nil {
		return err
	}
	defer giveBack()
	if held, err := d.heldNow(a); held {
		a.slot.GiveBack()
		return err
	}
	failpoint("before-admission")
	if err := d.admit(ctx, a); err != nil || a.admitted.Verdict != ledger.Go {
		a.slot.GiveBack()
		return err
	}
	failpoint("admitted")
	if err := d.punctual(ctx, a); err != nil {
		return err
	}
	defer failpoint("settled")
	result := d.call(ctx, a, t)
	failpoint("answered")
	return d.finish(a, result)
}

// place gets a slot of the app's rate and the recipient's turn. Who has to wait for the
// turn lets others have the slot meanwhile, and comes first afterwards.
func (d *delivery) place(ctx context.Context, a *attempt) (giveBack func(), err error) {
	if err := d.takeSlot(ctx, a, false); err != nil {
		return nil, err
	}
	tag := ledger.Tag(a.App, a.ref.OpenID)
	if giveBack, ok := d.turns.take(ctx, tag, 0); ok {
		return giveBack, nil
	}
	a.slot.GiveBack()
	giveBack, ok := d.turns.take(ctx, tag, turnWait)
	if !ok {
		return nil, turnLater()
	}
	if err := d.takeSlot(ctx, a, true); err != nil {
		giveBack()
		return nil, err
	}
	return giveBack, nil
}

func (d *delivery) takeSlot(ctx context.Context, a *attempt, ahead bool) error {
	slot, err := d.limiter.Take(ctx, limitLane(a.Priority), ahead)
	if err != nil {
		return &later{after: jitter(time.Second, 0.5), why: "waits for a slot of the app's rate"}
	}
	a.slot = slot
	return nil
}

func limitLane(p tasks.Priority) limit.Lane {
	switch p {
	case tasks.Critical:
		return limit.Critical
	case tasks.Bulk:
		return limit.Bulk
	default:
		return limit.Default
	}
}

// heldNow looks once more, after a wait. A probe, too, is held by what began since.
func (d *delivery) heldNow(a *attempt) (bool, error) {
	p, inForce, found := d.gate.covering(&a.Envelope)
	if !found || !inForce {
		return false, nil
	}
	return true, heldBack(d.gate, p)
}

// punctual waits for the attempt's slot. If the admission took so long that it went by,
// the next one is taken, as long as the call fits into the lease.
func (d *delivery) punctual(ctx context.Context, a *attempt) error {
	for !a.slot.Await(ctx) {
		if err := d.nextSlot(ctx, a); err != nil {
			d.release(a)
			return err
		}
	}
	return d.fits(a)
}

// nextSlot gets another slot for an attempt that is admitted, before its call no longer
// fits into its lease.
func (d *delivery) nextSlot(ctx context.Context, a *attempt) error {
	fitting, cancel := context.WithDeadline(ctx, a.began.Add(d.lease()-d.httpTimeout))
	defer cancel()
	return d.takeSlot(fitting, a, true)
}

// claim ties the id to its content, and learns the recipient of a login code that
// was exchanged before. While Redis is away it waits for it, as long as
// the run may last: a task that is let go then cannot be written back by asynq
// and stays away until asynq finds it, which takes up to two minutes.
func (d *delivery) claim(ctx context.Context, a *attempt) error {
	for {
		err := d.claimOnce(ctx, a)
		if err == nil || errors.Is(err, ledger.ErrConflict) || !pause(ctx, jitter(redisPause, 0.5)) {
			return err
		}
	}
}

func (d *delivery) claimOnce(ctx context.Context, a *attempt) error {
	if a.To.Code == "" {
		return d.ledger.Claim(ctx, a.ref, a.Hash)
	}
	openID, err := d.ledger.ClaimCode(ctx, a.App, a.ID, a.To.Code, a.Hash)
	if err != nil {
		return err
	}
	a.knows(openID)
	return nil
}

// overdue ends what has expired without waiting for a token, which may not come.
// This process's clock only raises the question; Redis's answers it. If it is not
// over there, the attempt goes on under another id.
func (d *delivery) overdue(ctx context.Context, a *attempt) (bool, error) {
	if end, _ := a.ends(); end.IsZero() || time.Now().Before(end) {
		return false, nil
	}
	if err := d.admit(ctx, a); err != nil || a.admitted.Verdict != ledger.Go {
		return true, err
	}
	d.release(a)
	a.again()
	return false, nil
}

// again makes a new attempt of one that ended without a call.
func (a *attempt) again() { a.id, a.admitted = ledger.NewAttempt(), ledger.Admitted{} }

// conflict deals with an id that belongs to other content: two requests raced
// through different lanes. The first one's record stands; this one is archived
// where a person can see it.
func (d *delivery) conflict(a *attempt) error {
	d.metrics.SetAside(metrics.SetAsideIDConflict)
	d.log.Warn("notification set aside: its id belongs to another one", "app", d.app, "id", a.ID)
	return bury("id_conflict: another notification with other content has this id")
}

// admit asks the ledger until the attempt may call or must go. A nil error with
// another verdict than Go means that an outcome stands.
func (d *delivery) admit(ctx context.Context, a *attempt) error {
	deadline := time.Now().Add(turnWait)
	for {
		if err := d.askLedger(ctx, a); err != nil {
			return err
		}
		d.metrics.Admission(string(a.admitted.Verdict))
		if a.admitted.Died {
			d.metrics.Attempt(d.app, string(a.Kind), string(errcode.Unknown))
		}
		switch v := a.admitted; v.Verdict {
		case ledger.Go:
			d.observeStart(a)
			if v.Uncovered {
				d.metrics.Uncovered(d.app)
			}
			return d.fits(a)
		case ledger.Ended:
			return d.ended(a)
		case ledger.Wait:
			if v.Wait > time.Second {
				return &later{after: v.Wait, why: "its time has not come"}
			}
			if !pause(ctx, v.Wait) {
				return &later{after: time.Second, why: "its time has not come"}
			}
		case ledger.Credit:
			if d.consent.catchUp(ctx, a) {
				continue
			}
			return &later{after: min(v.Wait, jitter(time.Second, 0.3)), why: "waits for its recipient's consent"}
		case ledger.Turn:
			if time.Now().After(deadline) || !pause(ctx, 20*time.Millisecond+rand.N(30*time.Millisecond)) {
				return turnLater()
			}
		default: // Busy
			return &later{after: v.Wait + jitter(time.Second, 0.5), why: "another attempt is in flight"}
		}
	}
}

// redisPause is about how long a handler waits before it asks Redis again.
const redisPause = 300 * time.Millisecond

// askLedger repeats an admission whose answer got lost, like claim; the attempt's
// id makes that safe. If it stays lost, the attempt may be recorded as admitted:
// it is released, so that its lease does not end as an unknown outcome.
func (d *delivery) askLedger(ctx context.Context, a *attempt) error {
	if err := d.leaveOut(ctx, a); err != nil {
		return err
	}
	a.began = time.Now()
	end, late := a.ends()
	a.templateType = d.consent.templateType(ctx, a)
	var err error
	for {
		a.admitted, err = d.ledger.Admit(ctx, ledger.Admission{
			Ref: a.ref, Kind: a.Kind, Attempt: a.id, Lease: d.lease(),
			CreatedAt: a.EnqueuedAt, SendAt: a.SendAt, NotAfter: end, LateReason: late,
			Forgotten:        len(a.To.OpenIDs) > 0 && len(a.present) == 0,
			DropAfterUnknown: a.OnUnknown == tasks.Drop && !a.exchanging,
			Need:             d.consent.need(a), TemplateID: a.TemplateID, Type: a.templateType,
			FormID: a.FormID, GraceFrom: d.consent.graceFrom(a), Harmless: a.exchanging,
		})
		if err == nil {
			return nil
		}
		if errors.Is(err, ledger.ErrNewer) {
			return d.newer(err)
		}
		if !pause(ctx, jitter(redisPause, 0.5)) {
			d.release(a)
			return redisAway(err)
		}
	}
}

func (d *delivery) lease() time.Duration { return d.httpTimeout + tasks.LeaseMargin }

// fits refuses to start a call that could outlive its lease: after that, another
// worker may go on.
func (d *delivery) fits(a *attempt) error {
	if time.Since(a.began)+d.httpTimeout <= d.lease() {
		return nil
	}
	d.release(a)
	return &later{after: time.Second, why: "the admission took too long"}
}

func (d *delivery) release(a *attempt) {
	s := d.settlement(a, answer{}, rule{next: ledger.Release})
	s.Admitted = true
	// What cannot be recorded ends with the lease and is judged then.
	_, _ = d.record(s, a.admitted.Attempts)
}

// ended acknowledges a task whose notification has its outcome.
func (d *delivery) ended(a *attempt) error {
	if a.admitted.Changed {
		d.observeEnd(a, a.admitted.Status.Outcome(), answer{reason: a.admitted.Reason})
	}
	return nil
}

// call sends the notification. A token that WeChat refuses is reported, renewed
// and tried once more, if that still fits into the lease.
func (d *delivery) call(ctx context.Context, a *attempt, t token.Token) answer {
	result := d.callOnce(ctx, a, t)
	if result.class != errcode.Token {
		return result
	}
	if err := d.tokens.Invalidate(ctx, d.app, t); err != nil {
		return result
	}
	fresh, err := d.tokens.Get(ctx, d.app)
	if err != nil || d.nextSlot(ctx, a) != nil || !a.slot.Await(ctx) || time.Since(a.began)+d.httpTimeout > d.lease() {
		return result
	}
	d.metrics.Attempt(d.app, string(a.Kind), string(result.class))
	return d.callOnce(ctx, a, fresh)
}

// callOnce makes the HTTP call. It is not bound to the run's context: a call
// that is cut off half-way is one that nobody knows the end of. The client's own
// timeout bounds it.
func (d *delivery) callOnce(ctx context.Context, a *attempt, t token.Token) (result answer) {
	defer func() {
		if x := recover(); x != nil {
			logPanic(d.log, x)
			result = answer{class: errcode.Unknown, reason: errcode.ReasonPanic}
		}
	}()
	e := a.Envelope
	e.FormID = a.admitted.FormID // the one that is held, whether it came along or was stored
	if len(a.To.OpenIDs) > 0 {
		e.To.OpenIDs = a.present
	}
	return answerOf(d.callers[a.Kind](context.WithoutCancel(ctx), t.Value(), e))
}

// newer leaves a notification alone that a later version has dealt with.
func (d *delivery) newer(err error) error {
	d.metrics.SetAside(metrics.SetAsideNewer)
	return &later{after: jitter(setAsideFor, 0.3), why: err.Error()}
}

// notRecorded lets a task go whose outcome could not be written down.
func notRecorded(err error) error {
	if errors.Is(err, ledger.ErrNewer) {
		return &later{after: jitter(setAsideFor, 0.3), why: err.Error()}
	}
	return redisAway(err)
}

func turnLater() error {
	return &later{after: jitter(1500*time.Millisecond, 0.5), why: "waits for its recipient's turn"}
}

// redisAway lets the task go. asynq cannot write that down while Redis is away;
// then the task comes back when its lease is over.
func redisAway(err error) error {
	return &later{after: jitter(3*time.Second, 0.5), why: fmt.Sprintf("redis: %v", err)}
}

// pause waits for d and reports false if ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
