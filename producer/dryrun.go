package producer

import (
	"context"
	"fmt"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
)

// Would is what would become of a notification at first.
type Would string

// What would become of it.
const (
	WouldSend Would = "send" // at once, as far as anybody can tell
	WouldWait Would = "wait" // for its time, or for what is paused
	// WouldLackCredit: it would end as no_credit, unless the consent comes in time.
	WouldLackCredit Would = "no_credit"
	WouldDuplicate  Would = "duplicate" // nothing new would be stored
)

// DryRun is what would happen to a notification.
type DryRun struct {
	App string `json:"app"`
	// ID is the notification's, empty if it has none.
	ID string `json:"id,omitempty"`
	// Valid is true: what is not valid is an error.
	Valid bool  `json:"valid"`
	Would Would `json:"would"`
	// Reason and Remedy say why it would not be sent at once.
	Reason string `json:"reason,omitempty"`
	Remedy string `json:"remedy,omitempty"`
	// Status is that of the earlier one, with WouldDuplicate.
	Status tasks.Status `json:"status,omitempty"`
	// Template is what the values were judged by.
	Template catalogue.Knowledge `json:"template"`
	// Credits is what the recipient allows; nil where nobody can tell: the recipient is
	// a login code, the kind needs no consent that is on the books, or none are kept.
	Credits *DryCredits `json:"credits,omitempty"`
	// Truncated lists the keys of data whose values would be shortened.
	Truncated []string `json:"truncated,omitempty"`
}

// DryCredits is what a recipient allows for one template, or by form ids.
type DryCredits struct {
	// Mode says whether it decides: observe or enforce.
	Mode tasks.CreditMode `json:"mode"`
	// Covered reports whether this message is allowed; Left is how many messages are,
	// without those in flight, 1 for any number.
	Covered bool `json:"covered"`
	Left    int  `json:"left"`
}

// DryRun tells what Send would do, and does nothing: it stores nothing, enqueues
// nothing, and takes no id. Errors: as Send, but for ErrBusy, which nobody can
// foretell.
func (c *Client) DryRun(ctx context.Context, n Notification) (DryRun, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	given := n.ID != ""
	n, truncated := shortened(n)
	e, err := c.tasks.Seal(n)
	if err != nil {
		return DryRun{}, err
	}
	d := DryRun{App: e.App, Valid: true, Would: WouldSend, Truncated: truncated}
	if err := c.serves(ctx, e.App); err != nil {
		return DryRun{}, err
	}
	if given {
		d.ID = e.ID
		earlier, found, err := c.earlier(ctx, e)
		if err != nil {
			return DryRun{}, err
		}
		if found {
			d.Would, d.Status, d.Template = WouldDuplicate, earlier.Status, catalogue.Unjudged
			d.Reason = "this id was enqueued before; nothing new would be stored"
			return d, nil
		}
	}
	wrong, known := c.catalogue.Judge(ctx, &e.Notification, false)
	if len(wrong) > 0 {
		return DryRun{}, refusal(wrong).err()
	}
	d.Template = known
	return d, c.foresee(ctx, e, &d)
}

// foresee says what would hold a new notification back.
func (c *Client) foresee(ctx context.Context, e tasks.Envelope, d *DryRun) error {
	if err := c.foreseeCredits(ctx, e, d); err != nil {
		return err
	}
	lanes, err := c.tasks.Lanes(ctx, e.App)
	if err != nil {
		return unavailable(ctx, err)
	}
	state := State{App: e.App, Kind: e.Kind}
	c.explainPause(ctx, &state, &e)
	switch {
	case d.Would != WouldSend:
	case state.Reason != "":
		d.Would, d.Reason, d.Remedy = WouldWait, state.Reason, state.Remedy
	case laneClosed(lanes, e.Priority):
		d.Would = WouldWait
		d.Reason = fmt.Sprintf("the lane %s of the app is paused", e.Priority)
		d.Remedy = "resume it on the dashboard, or with wxnotify app resume " + e.App
	case !e.SendAt.IsZero():
		d.Would, d.Reason = WouldWait, "send_at lies ahead"
	}
	return nil
}

func laneClosed(lanes []tasks.Lane, p tasks.Priority) bool {
	for _, l := range lanes {
		if l.Priority == p {
			return l.Paused
		}
	}
	return false
}

// foreseeCredits says whether what the recipient allows covers a notification.
func (c *Client) foreseeCredits(ctx context.Context, e tasks.Envelope, d *DryRun) error {
	books := e.Kind == tasks.KindSubscribe || e.Kind == tasks.KindTemplate && e.FormID == ""
	if !books || e.To.Code != "" {
		return nil
	}
	allowed, err := c.Credits(ctx, e.App, e.To.OpenID)
	if err != nil {
		return err
	}
	switch {
	case e.Kind == tasks.KindTemplate:
		d.Credits = &DryCredits{Mode: tasks.CreditsEnforce, Left: formUses(allowed.FormIDs)}
	case allowed.Mode == "" || allowed.Mode == tasks.CreditsOff:
		return nil
	default:
		d.Credits = &DryCredits{Mode: allowed.Mode, Left: creditsLeft(allowed.Subscriptions, e.TemplateID)}
	}
	d.Credits.Covered = d.Credits.Left > 0
	if !d.Credits.Covered && d.Credits.Mode == tasks.CreditsEnforce {
		d.Would = WouldLackCredit
		d.Reason, d.Remedy = lacking(e.Kind)
	}
	return nil
}

func lacking(k tasks.Kind) (reason, remedy string) {
	if k == tasks.KindTemplate {
		return "no stored form id of the recipient can be used", "pass the form ids that the Mini Program gets (POST /v1/form-ids), or name one in form_id"
	}
	return "the recipient has no subscription left that covers it", "have the Mini Program ask with wx.requestSubscribeMessage"
}

func formUses(forms []FormIDCredits) int {
	n := 0
	for _, f := range forms {
		n += f.Uses
	}
	return n
}

func creditsLeft(held []SubscriptionCredits, template string) int {
	for _, s := range held {
		if s.TemplateID == template {
			return s.Credits
		}
	}
	return 0
}

// DryResult is one item's part of DryRunMany: what would happen, or why nothing would.
type DryResult struct {
	DryRun
	Err error
}

// DryRunMany tells of each notification on its own, in order, what Send would do.
// Each is looked at as if the others did not exist.
func (c *Client) DryRunMany(ctx context.Context, list []Notification) []DryResult {
	results := make([]DryResult, len(list))
	inParallel(len(list), func(i int) error {
		results[i].DryRun, results[i].Err = c.DryRun(ctx, list[i])
		return results[i].Err
	}, func(i int, err error) { results[i].Err = err })
	return results
}
