package producer

import (
	"context"
	"errors"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// Status tells where a notification stands. Errors: ErrNotFound, also once the
// outcome is forgotten (WXNOTIFY_DEDUPE_WINDOW), ErrUnavailable, or ctx's.
func (c *Client) Status(ctx context.Context, app, id string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	known, err := c.ledger.Lookup(ctx, app, id)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return State{}, unavailable(ctx, err)
	}
	if known.Record != nil {
		state := recorded(app, id, *known.Record)
		switch {
		case state.Status.Final():
			return state, c.replayed(ctx, &state)
		case c.abandoned(ctx, app, id, *known.Record):
			return recorded(app, id, known.Record.Abandoned()), nil
		}
		c.explainPause(ctx, &state, nil)
		return state, nil
	}
	task, err := c.find(ctx, app, id)
	if err != nil {
		return State{}, err
	}
	state := queued(task)
	if !state.Status.Final() {
		c.explainPause(ctx, &state, &task.Envelope)
	}
	return state, nil
}

// recovery is how long asynq may take to bring a dead worker's task back, with room to
// spare for clocks that differ.
const recovery = 5 * time.Minute

// abandoned reports whether an attempt ended, and the task with it, without a word in the
// record: Redis lost what the worker wrote, and the worker did not live to write it again.
func (c *Client) abandoned(ctx context.Context, app, id string, r ledger.Record) bool {
	if r.LeaseEnd.IsZero() || time.Since(r.LeaseEnd) < recovery {
		return false
	}
	_, err := c.find(ctx, app, id)
	return errors.Is(err, ErrNotFound)
}

// explainPause says what holds a notification back, if something does. It is no reason
// to fail that this cannot be read.
func (c *Client) explainPause(ctx context.Context, s *State, e *tasks.Envelope) {
	list, err := c.pauses.List(ctx)
	if err != nil {
		return
	}
	for _, p := range list.Pauses {
		if p.App == s.App && c.covers(ctx, p, s, e) {
			*s = State{
				ID: s.ID, App: s.App, Kind: s.Kind, Status: s.Status, Errcode: p.Errcode,
				Attempts: s.Attempts, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
			}
			s.explain(ledger.Record{Status: s.Status, Errcode: p.Errcode, Reason: p.Reason})
			return
		}
	}
}

func (c *Client) covers(ctx context.Context, p ledger.Pause, s *State, e *tasks.Envelope) bool {
	switch p.Scope {
	case ledger.ScopeApp:
		return true
	case ledger.ScopeKind:
		return p.Name == string(s.Kind)
	}
	if e == nil { // its record does not know the template
		task, err := c.tasks.Find(ctx, s.App, s.ID)
		if err != nil {
			return false
		}
		e = &task.Envelope
	}
	return p.Name == e.PauseName()
}

// replayed corrects the state of a dead notification that waits in its queue again.
func (c *Client) replayed(ctx context.Context, s *State) error {
	if s.Status != tasks.Status(tasks.Dead) {
		return nil
	}
	task, err := c.find(ctx, s.App, s.ID)
	switch {
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrUnreadable):
		return nil
	case err != nil:
		return err
	}
	// An active one is about to be archived, and an archived one is.
	if task.State != asynq.TaskStateActive && task.State != asynq.TaskStateArchived {
		s.Status, s.Remedy, s.RemedyZH = tasks.StatusQueued, "", ""
	}
	return nil
}

func (c *Client) find(ctx context.Context, app, id string) (tasks.Task, error) {
	task, err := c.tasks.Find(ctx, app, id)
	switch {
	case errors.Is(err, tasks.ErrNoTask):
		return tasks.Task{}, ErrNotFound
	case err != nil:
		return tasks.Task{}, unavailable(ctx, err)
	}
	return task, nil
}

func recorded(app, id string, r ledger.Record) State {
	s := State{
		App: app, ID: id, Kind: r.Kind, Status: r.Status, MsgID: r.MsgID, Errcode: r.Errcode,
		Attempts: r.Attempts, CreatedAt: r.CreatedAt.UTC(), UpdatedAt: r.UpdatedAt.UTC(),
	}
	s.explain(r)
	return s
}

// explain fills in why: our own reason first, else what WeChat's errcode means.
func (s *State) explain(r ledger.Record) {
	if e, ok := errcode.LookupReason(r.Reason); ok {
		s.Reason, s.ReasonZH, s.Remedy, s.RemedyZH = e.Meaning, e.MeaningZH, e.Remedy, e.RemedyZH
	}
	if r.Status == tasks.StatusRetrying && r.Unknowns > 0 {
		s.Remedy, s.RemedyZH = "", "" // those are for the end; now it is sent once more by itself
	}
	if r.Status == tasks.StatusUndelivered { // its errcode comes from the push, which has numbers of its own
		s.Reason, s.ReasonZH = detailed(s.Reason, s.ReasonZH, r.Detail)
		return
	}
	if r.Errcode == 0 {
		return
	}
	e := errcode.LookupFor(r.Reason.API(), r.Errcode)
	meaning, meaningZH := detailed(e.Meaning, e.MeaningZH, r.Detail)
	s.Reason, s.ReasonZH = join(s.Reason, meaning), join(s.ReasonZH, meaningZH)
	s.Remedy, s.RemedyZH = join(s.Remedy, e.Remedy), join(s.RemedyZH, e.RemedyZH)
}

func detailed(meaning, meaningZH, detail string) (string, string) {
	if detail == "" {
		return meaning, meaningZH
	}
	return meaning + " (" + detail + ")", meaningZH + "（" + detail + "）"
}

func join(first, second string) string {
	if first == "" {
		return second
	}
	return first + " " + second
}

// queued is the state of a notification that no attempt was recorded for.
func queued(t tasks.Task) State {
	e := t.Envelope
	enqueued := e.EnqueuedAt.UTC()
	s := State{App: e.App, ID: e.ID, Kind: e.Kind, Status: tasks.StatusQueued, CreatedAt: enqueued, UpdatedAt: enqueued}
	switch {
	case t.State == asynq.TaskStateArchived:
		s.Status = tasks.Status(tasks.Dead)
	case t.State == asynq.TaskStateScheduled && e.SendAt.After(time.Now()):
		s.Status = tasks.StatusScheduled
	case t.Failed:
		s.Status = tasks.StatusRetrying
	}
	return s
}

// Cancel withdraws a notification that has not been sent; canceling it again is
// fine. Errors: *NotCancelableError with the status that stands in the way,
// ErrNotFound, ErrUnavailable, or ctx's.
func (c *Client) Cancel(ctx context.Context, app, id string) (State, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	for range 2 {
		canceled, status, err := c.cancel(ctx, app, id)
		if err != nil {
			return State{}, err
		}
		if !canceled {
			return State{}, &NotCancelableError{Status: status}
		}
		state, err := c.Status(ctx, app, id)
		if err != nil || state.Status.Final() {
			return state, err
		}
		// A worker exchanged its login code in between: what was canceled is no longer
		// its record. That happens to an id once.
	}
	return State{}, unavailable(ctx, errors.New("producer: cancel: the record keeps changing"))
}

func (c *Client) cancel(ctx context.Context, app, id string) (bool, tasks.Status, error) {
	known, err := c.ledger.Lookup(ctx, app, id)
	if err != nil && !errors.Is(err, ledger.ErrNotFound) {
		return false, "", unavailable(ctx, err)
	}
	if r := known.Record; r != nil {
		ok, status, err := c.ledger.CancelKnown(ctx, app, id, r.Kind, r.CreatedAt)
		if err != nil {
			return false, "", unavailable(ctx, err)
		}
		return ok, status, nil
	}
	task, err := c.find(ctx, app, id)
	if err != nil {
		return false, "", err
	}
	ok, status, err := c.cancelTask(ctx, task.Envelope)
	if errors.Is(err, ledger.ErrConflict) {
		return false, "", ErrConflict
	}
	if err != nil {
		return false, "", unavailable(ctx, err)
	}
	return ok, status, nil
}

// cancelTask withdraws a notification that no attempt was recorded for.
func (c *Client) cancelTask(ctx context.Context, e tasks.Envelope) (bool, tasks.Status, error) {
	if e.To.Code == "" {
		ref := ledger.Ref{App: e.App, ID: e.ID, OpenID: e.To.Key()}
		return c.ledger.Cancel(ctx, ref, e.Hash, e.Kind, e.EnqueuedAt)
	}
	// The id may lead to the openid by now, which a claim of its own finds out.
	if _, err := c.ledger.ClaimCode(ctx, e.App, e.ID, e.To.Code, e.Hash); err != nil {
		return false, "", err
	}
	return c.ledger.CancelKnown(ctx, e.App, e.ID, e.Kind, e.EnqueuedAt)
}
