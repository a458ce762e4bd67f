package producer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// DeadFilter chooses dead letters of one app. What is left empty chooses all.
type DeadFilter struct {
	// App is the AppID. Required.
	App string
	// TemplateID chooses one template's.
	TemplateID string
	// Reason chooses those that died for one of errcode.Reasons, such as horizon, or
	// with this errcode of WeChat's, in decimal.
	Reason string
	// OlderThan chooses those that died at least so long ago.
	OlderThan time.Duration
	// IDs chooses these notifications alone.
	IDs []string
}

// Everything reports whether it chooses all dead letters of the app.
func (f DeadFilter) Everything() bool {
	return len(f.IDs) == 0 && f.TemplateID == "" && f.Reason == "" && f.OlderThan == 0
}

// DeadLetter is a notification that only a person can help.
type DeadLetter struct {
	ID         string         `json:"id"`
	App        string         `json:"app"`
	Kind       tasks.Kind     `json:"kind"`
	Priority   tasks.Priority `json:"priority"`
	TemplateID string         `json:"template_id"`
	// ReasonCode is why it died, in a word or as an errcode: what DeadFilter takes.
	ReasonCode string `json:"reason_code"`
	// Errcode is WeChat's last errcode, 0 if there was none. Reason, Remedy and their
	// Chinese are those of State.
	Errcode  int    `json:"errcode"`
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy"`
	ReasonZH string `json:"-"`
	RemedyZH string `json:"-"`
	Attempts int    `json:"attempts"`
	// Times are in UTC. NotAfter is zero if it never expires.
	CreatedAt time.Time `json:"created_at"`
	NotAfter  time.Time `json:"not_after,omitzero"`
	DiedAt    time.Time `json:"died_at"`
	// Expired says that NotAfter is over: it cannot be replayed, only dropped.
	Expired bool `json:"expired"`
}

// DeadContent is a dead letter with what may be shown of its content.
type DeadContent struct {
	DeadLetter
	// The fields from here on are empty if a newer version wrote the notification.

	SendAt           time.Time       `json:"send_at,omitzero"`
	MiniprogramState string          `json:"miniprogram_state"`
	Lang             string          `json:"lang"`
	OnUnknown        tasks.OnUnknown `json:"on_unknown"`
	// DataLengths is how many characters each value of the template has.
	DataLengths map[string]int `json:"data_lengths"`
}

// DeadPage is a part of a list of dead letters.
type DeadPage struct {
	Letters []DeadLetter `json:"letters"`
	// Next is the cursor of what follows, empty at the end.
	Next string `json:"next"`
}

// Bounds of a page of dead letters.
const (
	MaxDeadPage     = 1000
	DefaultDeadPage = 100
)

// listWithin bounds a listing, which may have to look at many for a few.
const listWithin = 10 * time.Second

// DeadLetters lists an app's dead letters, those that died first at the front, at
// most limit of them, 0 meaning DefaultDeadPage. cursor is "" or the page's Next
// before. A page may be short, even empty, with others following. IDs of the filter are not
// looked at. Errors: *ValidationError, ErrUnknownApp, ErrUnavailable, or ctx's.
func (c *Client) DeadLetters(ctx context.Context, f DeadFilter, cursor string, limit int) (DeadPage, error) {
	ctx, cancel := context.WithTimeout(ctx, listWithin)
	defer cancel()
	r := f.check()
	r.check(limit >= 0 && limit <= MaxDeadPage, "limit", detailDeadPage)
	if err := r.err(); err != nil {
		return DeadPage{}, err
	}
	if err := c.serves(ctx, f.App); err != nil {
		return DeadPage{}, err
	}
	if limit == 0 {
		limit = DefaultDeadPage
	}
	found, next, err := c.ledger.DeadLetters(ctx, f.App, f.ledger(), cursor, limit)
	if errors.Is(err, ledger.ErrCursor) {
		r.check(false, "cursor", detailCursor)
		return DeadPage{}, r.err()
	}
	if err != nil {
		return DeadPage{}, unavailable(ctx, err)
	}
	page := DeadPage{Letters: make([]DeadLetter, len(found)), Next: next}
	for i, d := range found {
		page.Letters[i] = shownLetter(d)
	}
	return page, nil
}

// DeadLetter tells of one dead letter. Errors: *ValidationError, ErrUnknownApp,
// ErrNotFound if the notification is not dead or its letter was dropped,
// ErrUnavailable, or ctx's.
func (c *Client) DeadLetter(ctx context.Context, app, id string) (DeadContent, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := (DeadFilter{App: app, IDs: []string{id}}).check().err(); err != nil {
		return DeadContent{}, err
	}
	if err := c.serves(ctx, app); err != nil {
		return DeadContent{}, err
	}
	d, err := c.ledger.DeadLetter(ctx, app, id)
	switch {
	case errors.Is(err, ledger.ErrNotFound):
		return DeadContent{}, ErrNotFound
	case err != nil:
		return DeadContent{}, unavailable(ctx, err)
	}
	shown := DeadContent{DeadLetter: shownLetter(d), DataLengths: map[string]int{}}
	if e, err := d.Envelope(); err == nil { // else a newer version's
		shown.SendAt, shown.MiniprogramState, shown.Lang, shown.OnUnknown = e.SendAt.UTC(), e.MiniprogramState, e.Lang, e.OnUnknown
		for key, value := range e.Data {
			shown.DataLengths[key] = utf8.RuneCountInString(value)
		}
	}
	return shown, nil
}

// shownLetter leaves out what is nobody's to see.
func shownLetter(d ledger.DeadLetter) DeadLetter {
	var s State
	s.explain(ledger.Record{Status: tasks.Status(tasks.Dead), Errcode: d.Errcode, Reason: d.Reason, Detail: d.Detail})
	shown := DeadLetter{
		ID: d.ID, App: d.App, Kind: d.Kind, Priority: d.Lane, TemplateID: d.TemplateID,
		ReasonCode: string(d.Reason), Errcode: d.Errcode,
		Reason: s.Reason, Remedy: s.Remedy, ReasonZH: s.ReasonZH, RemedyZH: s.RemedyZH,
		Attempts: d.Attempts, CreatedAt: d.CreatedAt.UTC(), NotAfter: d.NotAfter.UTC(), DiedAt: d.DiedAt.UTC(),
		Expired: expired(d),
	}
	if shown.ReasonCode == "" {
		shown.ReasonCode = strconv.Itoa(d.Errcode)
	}
	return shown
}

func expired(d ledger.DeadLetter) bool { return !d.NotAfter.IsZero() && d.NotAfter.Before(time.Now()) }

func (f DeadFilter) ledger() ledger.DeadFilter {
	return ledger.DeadFilter{TemplateID: f.TemplateID, Reason: f.Reason, OlderThan: f.OlderThan}
}

// covers is the filter's word on a letter that was named by its id.
func (f DeadFilter) covers(d ledger.DeadLetter) bool {
	return f.ledger().Covers(d) && time.Since(d.DiedAt) >= f.OlderThan
}

var (
	detailDeadPage   = fmt.Sprintf("must be from 1 to %d", MaxDeadPage)
	detailTemplate   = "must be the template's id as the WeChat console shows it: letters, digits, '_' or '-'"
	detailCursor     = "is no cursor of this list: use the next of the page before, or leave it out for the first"
	detailDeadReason = "there is no such reason: use an errcode of WeChat's, such as 47003, or one of " + reasonWords()
	detailOlderThan  = "must not be negative"
	detailDeadID     = "no id looks like this: 1 to 128 characters of A-Z a-z 0-9 . _ ~ -"
)

func reasonWords() string {
	var words []string
	for _, e := range errcode.Reasons() {
		words = append(words, string(e.Reason))
	}
	return strings.Join(words, ", ")
}

func (f DeadFilter) check() refusal {
	var r refusal
	_, noNumber := strconv.Atoi(f.Reason)
	_, word := errcode.LookupReason(errcode.Reason(f.Reason))
	r.check(tasks.ValidApp(f.App), "app", detailApp)
	r.check(f.TemplateID == "" || tasks.ValidTemplateID(f.TemplateID), "template", detailTemplate)
	r.check(f.Reason == "" || noNumber == nil || word, "reason", detailDeadReason)
	r.check(f.OlderThan >= 0, "older_than", detailOlderThan)
	r.check(!slices.ContainsFunc(f.IDs, func(id string) bool { return !tasks.ValidID(id) }), "id", detailDeadID)
	return r
}
