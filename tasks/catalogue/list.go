package catalogue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// List is an app's templates as they were at WeChat.
type List struct {
	// ReadAt is when WeChat was asked; zero if that was never.
	ReadAt    time.Time
	Templates []Template
	// Changes is how the last list that differed from the one before it did so, at
	// ChangedAt. Before is when that one was read.
	Changes   []Change
	ChangedAt time.Time
	Before    time.Time
}

// What became of a template from one list to the next.
const (
	ChangedNew    = "new"
	ChangedGone   = "gone"
	ChangedFields = "fields"
)

// Change is what became of one template.
type Change struct {
	ID    string `json:"id"`
	Title string `json:"title,omitempty"`
	// What is ChangedNew, ChangedGone or ChangedFields.
	What string `json:"what"`
	// Added and Removed are keys, with ChangedFields.
	Added   []string `json:"added,omitempty"`
	Removed []string `json:"removed,omitempty"`
}

// stored is a List as Redis holds it, times in Unix milliseconds.
type stored struct {
	V         int        `json:"v"`
	Read      int64      `json:"read"`
	Templates []Template `json:"templates"`
	Changes   []Change   `json:"changes,omitempty"`
	Changed   int64      `json:"changed,omitempty"`
	Before    int64      `json:"before,omitempty"`
}

// storedVersion is that of stored. A list of another version is as good as none: a
// worker of this version reads one of its own within a day.
const storedVersion = 1

func (l *List) encode() ([]byte, error) {
	s := stored{V: storedVersion, Read: millis(l.ReadAt), Templates: l.Templates, Changes: l.Changes, Changed: millis(l.ChangedAt), Before: millis(l.Before)}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("catalogue: encode: %w", err)
	}
	return text, nil
}

func decodeList(text string) *List {
	var s stored
	if json.Unmarshal([]byte(text), &s) != nil || s.V != storedVersion {
		return &List{}
	}
	for i := range s.Templates {
		for j := range s.Templates[i].Fields {
			f := &s.Templates[i].Fields[j]
			f.rule = ruleOf(f.Key)
		}
	}
	return &List{ReadAt: fromMillis(s.Read), Templates: s.Templates, Changes: s.Changes, ChangedAt: fromMillis(s.Changed), Before: fromMillis(s.Before)}
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// Find is the template of that id, nil if there is none.
func (l *List) Find(id string) *Template {
	i := slices.IndexFunc(l.Templates, func(t Template) bool { return t.ID == id })
	if i < 0 {
		return nil
	}
	return &l.Templates[i]
}

// since tells how l differs from the list before it. Where nothing did, what was told
// then is still true. The first list of all differs from none.
func (l *List) since(before *List) {
	l.Changes, l.ChangedAt, l.Before = before.Changes, before.ChangedAt, before.Before
	if before.ReadAt.IsZero() {
		return
	}
	if changes := compare(before, l); len(changes) > 0 {
		l.Changes, l.ChangedAt, l.Before = changes, l.ReadAt, before.ReadAt
	}
}

func compare(before, now *List) []Change {
	var changes []Change
	for i := range now.Templates {
		t := &now.Templates[i]
		was := before.Find(t.ID)
		if was == nil {
			changes = append(changes, Change{ID: t.ID, Title: t.Title, What: ChangedNew})
			continue
		}
		added, removed := without(t.keys(), was.keys()), without(was.keys(), t.keys())
		if len(added)+len(removed) > 0 {
			changes = append(changes, Change{ID: t.ID, Title: t.Title, What: ChangedFields, Added: added, Removed: removed})
		}
	}
	for _, t := range before.Templates {
		if now.Find(t.ID) == nil {
			changes = append(changes, Change{ID: t.ID, Title: t.Title, What: ChangedGone})
		}
	}
	return changes
}

func without(keys, others []string) []string {
	return slices.DeleteFunc(slices.Clone(keys), func(k string) bool { return slices.Contains(others, k) })
}

// The keys of an app: the types by template, which workers of every version read and
// write; the list; and when each template was first asked for that the list lacks.
func (c *Catalogue) typesKey(app string) string  { return c.ns.Key("templates:" + app) }
func (c *Catalogue) listKey(app string) string   { return c.ns.Key("catalogue:" + app) }
func (c *Catalogue) wantedKey(app string) string { return c.ns.Key("catalogue-wanted:" + app) }

// Store replaces the list of an app by what WeChat answered when it was asked at readAt.
func (c *Catalogue) Store(ctx context.Context, app string, readAt time.Time, templates []Template) error {
	before, err := c.List(ctx, app)
	if err != nil {
		return err
	}
	list := &List{ReadAt: readAt, Templates: templates}
	list.since(before)
	text, err := list.encode()
	if err != nil {
		return err
	}
	if err := c.storeTypes(ctx, app, templates); err != nil {
		return err
	}
	if err := c.rdb.Set(ctx, c.listKey(app), text, 0).Err(); err != nil {
		return fmt.Errorf("catalogue: store: %w", err)
	}
	c.forget(app)
	return nil
}

func (c *Catalogue) storeTypes(ctx context.Context, app string, templates []Template) error {
	fields := make([]any, 0, 2*len(templates))
	for _, t := range templates {
		fields = append(fields, t.ID, int(t.Type))
	}
	_, err := c.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Del(ctx, c.typesKey(app))
		if len(fields) > 0 {
			p.HSet(ctx, c.typesKey(app), fields...)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("catalogue: store types: %w", err)
	}
	return nil
}

// List reads an app's list from Redis. Without one ReadAt is zero.
func (c *Catalogue) List(ctx context.Context, app string) (*List, error) {
	text, err := c.rdb.Get(ctx, c.listKey(app)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("catalogue: read: %w", err)
	}
	return decodeList(text), nil
}

// Types reads the types of an app's templates from Redis. The map must not be changed.
func (c *Catalogue) Types(ctx context.Context, app string) (map[string]tasks.TemplateType, error) {
	v, err := c.read(ctx, app)
	if err != nil {
		return nil, err
	}
	c.keep(app, v)
	return v.types, nil
}

// read reads all that is known of an app's templates, in one round trip.
func (c *Catalogue) read(ctx context.Context, app string) (*view, error) {
	var list *redis.StringCmd
	var types, wanted *redis.MapStringStringCmd
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		list = p.Get(ctx, c.listKey(app))
		types, wanted = p.HGetAll(ctx, c.typesKey(app)), p.HGetAll(ctx, c.wantedKey(app))
		return nil
	})
	if errors.Is(err, redis.Nil) { // no list yet, which hides what else there may be
		err = errors.Join(types.Err(), wanted.Err())
	}
	if err != nil {
		return nil, fmt.Errorf("catalogue: read: %w", err)
	}
	v := &view{list: decodeList(list.Val()), seen: c.now(), templates: map[string]*Template{},
		types: make(map[string]tasks.TemplateType, len(types.Val())), wanted: make(map[string]time.Time, len(wanted.Val()))}
	for i := range v.list.Templates {
		v.templates[v.list.Templates[i].ID] = &v.list.Templates[i]
	}
	for id, text := range types.Val() {
		n, _ := strconv.Atoi(text) // unreadable is unknown
		v.types[id] = tasks.TemplateType(n)
	}
	for id, text := range wanted.Val() {
		ms, _ := strconv.ParseInt(text, 10, 64) // unreadable is long ago
		v.wanted[id] = time.UnixMilli(ms)
	}
	return v, nil
}
