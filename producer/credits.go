package producer

import (
	"context"
	"errors"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// Credits is what one user allows an app to send.
type Credits struct {
	App    string `json:"app"`
	OpenID string `json:"-"` // whoever asks has it
	// Mode says whether the books decide: off, observe or enforce; Source whose word
	// counts: event or report. Both are empty until a worker has announced itself.
	Mode          tasks.CreditMode      `json:"mode"`
	Source        tasks.ConsentSource   `json:"source"`
	Subscriptions []SubscriptionCredits `json:"subscriptions"`
	// FormIDs are those that can be used, the one that is used next at the front.
	FormIDs []FormIDCredits `json:"form_ids"`
}

// SubscriptionCredits is what a user allows for one template.
type SubscriptionCredits struct {
	TemplateID string `json:"template_id"`
	// Type is one_time, long_term, or unknown.
	Type string `json:"type"`
	// Credits is how many messages are left, without those in flight.
	Credits int `json:"credits"`
	// Standing: any number of messages, until the user refuses.
	Standing bool `json:"standing"`
	// RefusedAt is when the user last refused, zero if never. Times are in UTC.
	RefusedAt time.Time `json:"refused_at,omitzero"`
	ChangedAt time.Time `json:"changed_at"`
}

// FormIDCredits is a stored form id.
type FormIDCredits struct {
	// FormID is its first and last four characters: more is nobody's to see.
	FormID string `json:"form_id"`
	// Uses is how many messages it still allows.
	Uses      int       `json:"uses"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Credits tells what a user allows. A user of whom nothing is known has empty
// lists. Errors: *ValidationError, ErrUnknownApp, ErrUnavailable, or ctx's.
func (c *Client) Credits(ctx context.Context, app, openID string) (Credits, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := checkUser(app, openID).err(); err != nil {
		return Credits{}, err
	}
	policy, err := c.policy(ctx, app)
	if err != nil && !errors.Is(err, ErrNoWorker) {
		return Credits{}, err
	}
	held, err := c.ledger.Credits(ctx, app, openID)
	if err != nil {
		return Credits{}, unavailable(ctx, err)
	}
	return Credits{
		App: app, OpenID: openID, Mode: policy.Mode, Source: policy.Source,
		Subscriptions: subscriptions(held.Subscriptions, c.templateTypes(ctx, app)),
		FormIDs:       formIDs(held.FormIDs),
	}, nil
}

func subscriptions(held []ledger.Subscription, types map[string]tasks.TemplateType) []SubscriptionCredits {
	list := make([]SubscriptionCredits, len(held))
	for i, s := range held {
		list[i] = SubscriptionCredits{
			TemplateID: s.TemplateID, Type: typeWord(types[s.TemplateID]), Credits: s.Credits,
			Standing:  types[s.TemplateID] == tasks.LongTerm && s.Credits > 0,
			RefusedAt: s.RefusedAt.UTC(), ChangedAt: s.ChangedAt.UTC(),
		}
	}
	return list
}

func typeWord(t tasks.TemplateType) string {
	switch t {
	case tasks.OneTime:
		return "one_time"
	case tasks.LongTerm:
		return "long_term"
	}
	return "unknown"
}

func formIDs(held []ledger.StoredFormID) []FormIDCredits {
	list := make([]FormIDCredits, len(held))
	for i, f := range held {
		list[i] = FormIDCredits{FormID: masked(f.FormID), Uses: f.Uses, ExpiresAt: f.ExpiresAt.UTC()}
	}
	return list
}

// masked keeps enough of a form id to recognise it by.
func masked(formID string) string {
	const shown = 4
	if len(formID) <= 2*shown {
		return "…"
	}
	return formID[:shown] + "…" + formID[len(formID)-shown:]
}
