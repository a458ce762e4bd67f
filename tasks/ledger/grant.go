package ledger

import (
	"context"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// FormIDLife is how long a form id can be used, from the submission that made it
// (WeChat's guide on template messages).
const FormIDLife = 7 * 24 * time.Hour

// MaxUses is how many messages a prepay_id allows, more than any form id.
const MaxUses = 3

// maxFormIDs is how many form ids are kept for one user; beyond it those go that
// expire first.
const maxFormIDs = 128

// Answers is what one user answered when asked for subscriptions.
type Answers struct {
	App, OpenID string
	// Source names the push or report this came with: a second one with the same
	// source changes nothing.
	Source string
	// At is when the user answered, by WeChat's clock, in whole seconds. Zero: now.
	At      time.Time
	Answers []Answer
}

// Answer is what a user said about one template.
type Answer struct {
	TemplateID string
	// Accepted adds a credit; otherwise all are gone that were granted up to then.
	Accepted bool
	// Type tells a standing subscription from one more credit.
	Type tasks.TemplateType
}

// Granted says what a grant changed.
type Granted struct {
	// Repeated: the source was known, and nothing was changed.
	Repeated bool
	// Accepted counts the credits added, Refused the templates refused. An
	// acceptance older than a refusal known already is in neither.
	Accepted, Refused int
}

// Grant records what a user answered.
func (l *Ledger) Grant(ctx context.Context, a Answers) (Granted, error) {
	var at int64
	if !a.At.IsZero() {
		at = a.At.Unix()
	}
	args := []any{digest(a.Source), at}
	for _, one := range a.Answers {
		args = append(args, one.TemplateID, flag(one.Accepted), flag(one.Type == tasks.LongTerm))
	}
	r, err := l.run(ctx, grantScript, []string{l.consentKey(Tag(a.App, a.OpenID))}, args...)
	if err != nil {
		return Granted{}, fmt.Errorf("ledger: grant: %w", err)
	}
	return Granted{Repeated: r.number(0) == 1, Accepted: int(r.number(1)), Refused: int(r.number(2))}, nil
}

// FormID is a form id, or a payment's prepay_id, that its user submitted.
type FormID struct {
	App, OpenID, FormID string
	// Uses is how many messages it allows, 1 to MaxUses.
	Uses int
	// ExpiresAt is when it ends: FormIDLife after its submission.
	ExpiresAt time.Time
}

// errFormID guards the stored forms, which take nothing else.
var errFormID = fmt.Errorf("ledger: grant form id: its text or the number of its uses is impossible (1 to %d)", MaxUses)

// FormIDResult says what became of a form id that was offered.
type FormIDResult string

const (
	FormIDGranted  FormIDResult = "granted"
	FormIDRepeated FormIDResult = "repeated" // it is stored already, or was used
	FormIDExpired  FormIDResult = "expired"
)

// GrantFormID stores a form id.
func (l *Ledger) GrantFormID(ctx context.Context, f FormID) (FormIDResult, error) {
	if !tasks.ValidFormID(f.FormID) || f.Uses < 1 || f.Uses > MaxUses {
		return "", errFormID
	}
	tag := Tag(f.App, f.OpenID)
	result, err := l.runText(ctx, grantFormIDScript, []string{l.consentKey(tag), l.formIDsKey(tag)},
		f.FormID, f.Uses, f.ExpiresAt.UnixMilli(), maxFormIDs)
	if err != nil {
		return "", fmt.Errorf("ledger: grant form id: %w", err)
	}
	return FormIDResult(result), nil
}
