package producer

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
)

// TemplateList is an app's templates as a worker last read them from WeChat.
type TemplateList struct {
	App string `json:"app"`
	// ReadAt is when, in UTC; zero if that was never.
	ReadAt    time.Time  `json:"read_at,omitzero"`
	Templates []Template `json:"templates"`
	// Changes is how the last list that differed from the one before it did so. That
	// one was read at ChangedAt, the one before at Before.
	Changes   []catalogue.Change `json:"changes"`
	ChangedAt time.Time          `json:"changed_at,omitzero"`
	Before    time.Time          `json:"before,omitzero"`
}

// Template is one template of an app.
type Template struct {
	TemplateID string `json:"template_id"`
	Title      string `json:"title"`
	// Type is one_time, long_term, or unknown.
	Type string `json:"type"`
	// Fields are in the order of the card.
	Fields []TemplateField `json:"fields"`
	// Example is WeChat's, a line for each field.
	Example string `json:"example"`
}

// TemplateField is one value of a template.
type TemplateField struct {
	// Key is its name in data; its type is what it begins with.
	Key   string `json:"key"`
	Type  string `json:"type"`
	Label string `json:"label"`
	// Limit is in characters, digits with number and amount; 0 where that is not how
	// it is limited. Allowed says all of it in words, "" where nothing is known.
	Limit   int    `json:"limit"`
	Allowed string `json:"allowed"`
	// Enum lists the only values there are, if there is such a list.
	Enum []string `json:"enum,omitempty"`
	// Placeholder is a value that passes.
	Placeholder string `json:"placeholder"`
}

// Templates tells an app's templates. An app whose templates were never read has an
// empty list and no ReadAt. Errors: *ValidationError, ErrUnknownApp, ErrUnavailable,
// or ctx's.
func (c *Client) Templates(ctx context.Context, app string) (TemplateList, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := c.checkApp(ctx, app); err != nil {
		return TemplateList{}, err
	}
	list, err := c.catalogue.List(ctx, app)
	if err != nil {
		return TemplateList{}, unavailable(ctx, err)
	}
	return templateList(app, list), nil
}

// RefreshTemplates has a worker read an app's templates from WeChat soon; Templates
// shows by ReadAt when it has. False: that was asked for less than five minutes ago,
// and WeChat allows few of these calls a day. Errors: as Templates.
func (c *Client) RefreshTemplates(ctx context.Context, app string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if err := c.checkApp(ctx, app); err != nil {
		return false, err
	}
	asked, err := c.catalogue.Ask(ctx, app)
	if err != nil {
		return false, unavailable(ctx, err)
	}
	return asked, nil
}

func (c *Client) checkApp(ctx context.Context, app string) error {
	var r refusal
	r.check(tasks.ValidApp(app), "app", detailApp)
	if err := r.err(); err != nil {
		return err
	}
	return c.serves(ctx, app)
}

func templateList(app string, l *catalogue.List) TemplateList {
	out := TemplateList{
		App: app, ReadAt: utc(l.ReadAt), Templates: make([]Template, len(l.Templates)),
		Changes: l.Changes, ChangedAt: utc(l.ChangedAt), Before: utc(l.Before),
	}
	if out.Changes == nil {
		out.Changes = []catalogue.Change{}
	}
	for i, t := range l.Templates {
		out.Templates[i] = Template{TemplateID: t.ID, Title: t.Title, Type: typeWord(t.Type), Fields: templateFields(t.Fields), Example: t.Example}
	}
	return out
}

func templateFields(fields []catalogue.Field) []TemplateField {
	out := make([]TemplateField, len(fields))
	for i, f := range fields {
		out[i] = TemplateField{
			Key: f.Key, Type: catalogue.Type(f.Key), Label: f.Label, Limit: f.Limit(), Allowed: f.Allowed(),
			Enum: f.Enum, Placeholder: f.Placeholder(),
		}
	}
	return out
}

// utc keeps the zero time, which JSON leaves out.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.UTC()
}
