package catalogue

import (
	"context"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// Knowledge is what a notification was judged by.
type Knowledge string

// The kinds of knowledge.
const (
	// Listed: the template is in the list, so its keys and listed values were judged.
	Listed Knowledge = "listed"
	// Sought: the list lacks the template, and is to be read anew; the values were
	// judged by the types that their keys name.
	Sought Knowledge = "sought"
	// NoList: there is no list of the app, or none that the template belongs in; the
	// values were judged by the types that their keys name.
	NoList Knowledge = "no_list"
	// Unjudged: values of this kind of notification have no types.
	Unjudged Knowledge = "unjudged"
)

const (
	// settled is how old a list must be for a template that it lacks to be worth
	// another. WeChat is said to allow 300 of these calls a day.
	settled = 10 * time.Minute
	// clocksApart is how far ahead of this process's clock that of a worker may be.
	clocksApart = time.Minute
	// seekAgain is how often a template is looked for that a list read for its sake lacks.
	seekAgain = time.Hour
	// wantedFor is how long it is remembered who was looked for, and maxWanted how many:
	// templates can be mistyped in many ways.
	wantedFor = 24 * time.Hour
	maxWanted = 200
	// AskEvery is how often a worker can be asked to read an app's list.
	AskEvery = 5 * time.Minute
)

// Judge says what is wrong with what a notification would show, by field. With ask it
// has the list read anew if a template may have been added since. It costs no call to
// Redis as long as the list has the template.
func (c *Catalogue) Judge(ctx context.Context, n *tasks.Notification, ask bool) ([]tasks.FieldError, Knowledge) {
	if n.Kind == tasks.KindTemplate || len(n.Data) == 0 {
		return nil, Unjudged
	}
	v := c.find(ctx, n.App, n.TemplateID)
	if t := v.templates[n.TemplateID]; t != nil {
		return t.Check(n.Data), Listed
	}
	// Whether WeChat's list has the templates of other kinds, it does not say. An app
	// without any template says nothing about this one, either. And what has a type was
	// listed, if only by a worker of an earlier version, which keeps nothing but types.
	if _, typed := v.types[n.TemplateID]; typed || n.Kind != tasks.KindSubscribe || len(v.list.Templates) == 0 {
		return CheckTypes(n.Data), NoList
	}
	if c.lacks(ctx, n.App, n.TemplateID, v, ask) {
		return []tasks.FieldError{unknownTemplate(v.list)}, Listed
	}
	return CheckTypes(n.Data), Sought
}

// lacks reports whether it is certain that an app does not have a template.
func (c *Catalogue) lacks(ctx context.Context, app, template string, v *view, ask bool) bool {
	now := c.now()
	since, wanted := v.wanted[template]
	switch {
	case v.list.ReadAt.Sub(now) > clocksApart: // a wrong clock dated it, so nobody knows how old it is
	case wanted && v.list.ReadAt.After(since): // it was looked for in vain
		if ask && now.Sub(v.list.ReadAt) >= seekAgain {
			c.seek(ctx, app, now)
		}
		return true
	case now.Sub(v.list.ReadAt) < settled:
		return true
	}
	if ask {
		if !wanted {
			c.want(ctx, app, template, now)
		}
		c.seek(ctx, app, now)
	}
	return false
}

// want notes that a template is looked for. Without the note it is looked for again.
func (c *Catalogue) want(ctx context.Context, app, template string, now time.Time) {
	key := c.wantedKey(app)
	if n, err := c.rdb.HLen(ctx, key).Result(); err != nil || n >= maxWanted {
		return
	}
	if c.rdb.HSetNX(ctx, key, template, now.UnixMilli()).Err() == nil {
		_ = c.rdb.Expire(ctx, key, wantedFor).Err() // it only takes longer to go
	}
}

// seek asks once per slot, and tries again later what could not be asked.
func (c *Catalogue) seek(ctx context.Context, app string, now time.Time) {
	slot := now.Truncate(AskEvery).UnixMilli()
	c.mu.Lock()
	h := c.held(app)
	due := h.asked != slot
	h.asked = slot
	c.mu.Unlock()
	if due {
		_, _ = c.Ask(ctx, app)
	}
}

// Ask has a worker read an app's list from WeChat soon. It reports false if that was
// asked for within AskEvery.
func (c *Catalogue) Ask(ctx context.Context, app string) (bool, error) {
	slot := c.now().Truncate(AskEvery).UnixMilli()
	asked, err := c.jobs.EnqueueJob(ctx, tasks.JobTask{Job: tasks.JobReadTemplates, App: app, Slot: slot})
	if err != nil {
		return false, fmt.Errorf("catalogue: ask for a list: %w", err)
	}
	return asked, nil
}
