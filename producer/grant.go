package producer

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// FormID is a form id, or a payment's prepay_id, that a user's action gave the app:
// the right to send that user template messages.
type FormID struct {
	// App is the AppID. Required.
	App string
	// OpenID is the user who submitted the form. Required: it works for nobody else.
	OpenID string
	// FormID is the formId of the submit event, or the prepay_id. Required.
	FormID string
	// Uses is how many messages it allows: 1, or up to 3 for a prepay_id. Default 1.
	Uses int
	// SubmittedAt is when the user submitted; 7 days later it ends. Default now.
	SubmittedAt time.Time
}

// FormIDGrant is the answer to GrantFormID.
type FormIDGrant struct {
	App string `json:"app"`
	// Result is granted, or repeated: it is stored already, or was used.
	Result ledger.FormIDResult `json:"result"`
	// ExpiresAt is when it ends, in UTC. Zero if repeated: what was said first holds.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Subscription is what a user answered when the Mini Program asked for
// subscriptions, as the Mini Program reports it.
type Subscription struct {
	// App is the AppID. Required.
	App string
	// OpenID is the user. Required; take it from the session, not from the report.
	OpenID string
	// ReportID names this answer, 1 to 128 characters of [A-Za-z0-9._~-]. Required:
	// the same one is counted once for its user, however often it comes in a week.
	ReportID string
	// Results is what wx.requestSubscribeMessage resolved with: accept, reject, ban
	// or filter by template id, at most 20 of them. Its errMsg is ignored.
	Results map[string]string
}

// SubscriptionGrant is the answer to GrantSubscription.
type SubscriptionGrant struct {
	App string `json:"app"`
	// Counted is false if reports do not count in this app; Note says why then.
	Counted bool   `json:"counted"`
	Note    string `json:"note,omitempty"`
	// Repeated: a report with this id was counted before, and nothing was changed.
	Repeated bool `json:"repeated"`
	// Accepted counts the credits added, Refused the templates refused.
	Accepted int `json:"accepted"`
	Refused  int `json:"refused"`
}

// GrantFormID stores a form id, for the user's next notifications of kind template.
// It may be repeated. Errors: *ValidationError, also for one that has expired,
// ErrUnknownApp, ErrBusy, ErrUnavailable, or ctx's.
func (c *Client) GrantFormID(ctx context.Context, f FormID) (FormIDGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	now := time.Now()
	if err := f.Validate(now); err != nil {
		return FormIDGrant{}, err
	}
	if err := c.serves(ctx, f.App); err != nil {
		return FormIDGrant{}, err
	}
	expires := f.submitted(now).Add(ledger.FormIDLife)
	var result ledger.FormIDResult
	err := c.room.ForConsent(ctx, func() (err error) {
		result, err = c.ledger.GrantFormID(ctx, ledger.FormID{
			App: f.App, OpenID: f.OpenID, FormID: f.FormID, Uses: max(f.Uses, 1), ExpiresAt: expires,
		})
		return err
	})
	switch {
	case err != nil:
		return FormIDGrant{}, unavailable(ctx, err)
	case result == ledger.FormIDExpired: // by Redis's clock, which decides
		return FormIDGrant{}, refusal{{Field: "submitted_at", Detail: detailExpired}}.err()
	case result == ledger.FormIDRepeated:
		return FormIDGrant{App: f.App, Result: result}, nil
	}
	return FormIDGrant{App: f.App, Result: result, ExpiresAt: expires.UTC()}, nil
}

// GrantSubscription counts what a user answered, if the app goes by such reports
// (WXNOTIFY_APP_…_CONSENT_SOURCE is report); otherwise the answer says so, and
// that is no error. It may be repeated. Errors: *ValidationError, ErrUnknownApp,
// ErrNoWorker, ErrBusy, ErrUnavailable, or ctx's.
func (c *Client) GrantSubscription(ctx context.Context, s Subscription) (SubscriptionGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := s.Validate(); err != nil {
		return SubscriptionGrant{}, err
	}
	policy, err := c.policy(ctx, s.App)
	if err != nil {
		return SubscriptionGrant{}, err
	}
	if note := uncounted(policy); note != "" {
		return SubscriptionGrant{App: s.App, Note: note}, nil
	}
	return c.grant(ctx, ledger.Answers{
		App: s.App, OpenID: s.OpenID, Source: "report:" + s.ReportID, Answers: s.answers(c.templateTypes(ctx, s.App)),
	})
}

// HandGrant is the answer to GrantByHand.
type HandGrant struct {
	SubscriptionGrant
	// Source is the fresh id under which the ledger remembers this grant.
	Source string
}

// GrantByHand adds one credit for each template id, one that stands there twice
// gets two. It is for an operator who knows that the user agreed, and counts
// whatever the app's consent source is. Errors: as GrantSubscription.
func (c *Client) GrantByHand(ctx context.Context, app, openID string, templateIDs []string) (HandGrant, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := checkTemplates(app, openID, templateIDs); err != nil {
		return HandGrant{}, err
	}
	policy, err := c.policy(ctx, app)
	if err != nil {
		return HandGrant{}, err
	}
	if policy.Mode == tasks.CreditsOff {
		return HandGrant{SubscriptionGrant: SubscriptionGrant{App: app, Note: noteOff}}, nil
	}
	id, err := tasks.NewID()
	if err != nil {
		return HandGrant{}, fmt.Errorf("producer: %w", err)
	}
	types := c.templateTypes(ctx, app)
	answers := make([]ledger.Answer, len(templateIDs))
	for i, template := range templateIDs {
		answers[i] = ledger.Answer{TemplateID: template, Accepted: true, Type: types[template]}
	}
	source := "hand:" + id
	granted, err := c.grant(ctx, ledger.Answers{App: app, OpenID: openID, Source: source, Answers: answers})
	return HandGrant{SubscriptionGrant: granted, Source: source}, err
}

// EraseUser deletes what a user allowed and stops what is queued for them, both at
// once; a worker deletes the records of what was sent to them within minutes. It
// may be repeated. Errors: *ValidationError, ErrUnknownApp, ErrUnavailable, or ctx's.
func (c *Client) EraseUser(ctx context.Context, app, openID string) error {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := checkUser(app, openID).err(); err != nil {
		return err
	}
	if err := c.serves(ctx, app); err != nil {
		return err
	}
	if err := c.ledger.Erase(ctx, app, openID); err != nil {
		return unavailable(ctx, err)
	}
	return nil
}

func (c *Client) grant(ctx context.Context, a ledger.Answers) (SubscriptionGrant, error) {
	if len(a.Answers) == 0 { // ban and filter alone: the user was never asked
		return SubscriptionGrant{App: a.App, Counted: true}, nil
	}
	var g ledger.Granted
	err := c.room.ForConsent(ctx, func() (err error) {
		g, err = c.ledger.Grant(ctx, a)
		return err
	})
	if err != nil {
		return SubscriptionGrant{}, unavailable(ctx, err)
	}
	return SubscriptionGrant{App: a.App, Counted: true, Repeated: g.Repeated, Accepted: g.Accepted, Refused: g.Refused}, nil
}

// policy is how the app's workers keep its users' consent.
func (c *Client) policy(ctx context.Context, app string) (tasks.ConsentPolicy, error) {
	policy, announced, err := c.served.Consent(ctx, app)
	if err != nil {
		return tasks.ConsentPolicy{}, unavailable(ctx, err)
	}
	if announced {
		return policy, nil
	}
	if err := c.serves(ctx, app); err != nil {
		return tasks.ConsentPolicy{}, err
	}
	return tasks.ConsentPolicy{}, ErrNoWorker
}

// Why a grant was not counted.
const (
	noteOff = "this app keeps no books of consent (its WXNOTIFY_APP_…_CREDITS is off), so nothing was counted"
	// noteEvent: counting the report too would count one acceptance twice.
	noteEvent = "this app goes by WeChat's own push (its WXNOTIFY_APP_…_CONSENT_SOURCE is event), so the report was not counted"
)

// uncounted says why reports do not count under a policy, "" if they do.
func uncounted(p tasks.ConsentPolicy) string {
	switch {
	case p.Mode == tasks.CreditsOff:
		return noteOff
	case p.Source != tasks.ConsentReport:
		return noteEvent
	}
	return ""
}

func (c *Client) templateTypes(ctx context.Context, app string) map[string]tasks.TemplateType {
	if c.types == nil {
		return nil
	}
	return c.types(ctx, app)
}

// accepts is what each result of wx.requestSubscribeMessage says, as its page and
// the guide on subscription messages list them: the last two are an acceptance with
// a voice reminder and with a strong one.
var accepts = map[string]answer{
	"accept": yes, "acceptWithAudio": yes, "acceptWithAlert": yes,
	"reject": no,
	"ban":    neither, "filter": neither, // the app or the template may not ask
}

type answer int

const (
	neither answer = iota
	yes
	no
)

// errMsg stands beside the templates in what the front end got.
const errMsg = "errMsg"

// templates lists the ids that have a result.
func (s Subscription) templates() []string {
	ids := slices.Sorted(maps.Keys(s.Results))
	return slices.DeleteFunc(ids, func(id string) bool { return id == errMsg })
}

func (s Subscription) answers(types map[string]tasks.TemplateType) []ledger.Answer {
	var list []ledger.Answer
	for _, id := range s.templates() {
		if said := accepts[s.Results[id]]; said != neither {
			list = append(list, ledger.Answer{TemplateID: id, Accepted: said == yes, Type: types[id]})
		}
	}
	return list
}
