package token

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// State is what is known about the token of an app, without the token. All
// times are of Redis's clock; the zero time means never.
type State struct {
	App        string    `json:"app"`
	Mode       Mode      `json:"mode"`
	Phase      Phase     `json:"phase"`
	Renewing   bool      `json:"renewing"`             // some process is asking WeChat now
	Generation int64     `json:"generation,omitempty"` // see Token.Generation
	FetchedAt  time.Time `json:"fetched_at,omitzero"`  // when this token was first stored
	CheckedAt  time.Time `json:"checked_at,omitzero"`  // when WeChat last gave it
	ExpiresAt  time.Time `json:"expires_at,omitzero"`
	RefusedAt  time.Time `json:"refused_at,omitzero"`
	// LastError is the latest failure of a renewal, older than CheckedAt if it is
	// over. Nil when none is remembered; a week without a renewal forgets it.
	LastError *Failure `json:"last_error,omitempty"`
}

// Failure is a renewal that brought no token.
type Failure struct {
	Class  errcode.Class `json:"class"`            // as Error.Class
	Code   int           `json:"errcode"`          // 0 when none was read
	Detail string        `json:"detail,omitempty"` // what WeChat said, such as the IP address it refuses
	At     time.Time     `json:"at"`
	// HeldUntil is until when only a manual renewal asks WeChat again.
	HeldUntil time.Time `json:"held_until,omitzero"`
}

// State reads what Redis knows about an app's token. The error is an *Error.
func (m *Manager) State(ctx context.Context, appID string) (State, error) {
	a, err := m.app(appID)
	if err != nil {
		return State{}, err
	}
	s, err := a.store.read(ctx)
	if err != nil {
		return State{}, unavailable(appID, err)
	}
	return a.state(s), nil
}

func (a *app) state(s snapshot) State {
	state := State{
		App: a.id, Mode: a.mode, Phase: s.phase(), Renewing: s.renewing, Generation: s.token.generation,
		FetchedAt: s.fetchedAt, CheckedAt: s.checkedAt, ExpiresAt: s.expiresAt, RefusedAt: s.refusedAt,
	}
	if !s.failure.At.IsZero() {
		state.LastError = &s.failure
	}
	return state
}

func (s snapshot) phase() Phase {
	switch {
	case s.token.Value() == "":
		return Missing
	case !s.refusedAt.IsZero():
		return Refused
	case s.usable <= 0:
		return Ended
	case s.nearEnd():
		return Ending
	}
	return Fresh
}
