package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// maxTemplates bounds the templates of each app.
const maxTemplates = 10_000

// The types of a template, as gettemplate answers them.
const (
	OneTime  = 2 // every acceptance allows one message
	LongTerm = 3 // one acceptance allows any number, until refused
)

// Template is a message template of an app.
type Template struct {
	ID string `json:"template_id"`
	// Keys are its placeholders, such as thing1; a subscribe message must fill these and no others, each with a value of its type.
	Keys []string `json:"keys"`
	// Type is OneTime or LongTerm. Default OneTime.
	Type int `json:"type,omitempty"`
	// Title, Content and Example are what gettemplate answers. By default a title made of the ID, and a line for each key.
	Title   string `json:"title,omitempty"`
	Content string `json:"content,omitempty"`
	Example string `json:"example,omitempty"`
	// Enums are the values that gettemplate names for a key, and the only ones it takes.
	Enums map[string][]string `json:"enums,omitempty"`
	// Blocked makes WeChat refuse every subscribe message of it with 43107.
	Blocked bool `json:"blocked,omitempty"`
}

// validate names the field that is wrong.
func (t Template) validate() error {
	switch {
	case t.ID == "":
		return errors.New("template_id: must not be empty")
	case len(t.Keys) == 0:
		return errors.New("keys: must not be empty")
	case t.Type != 0 && t.Type != OneTime && t.Type != LongTerm:
		return fmt.Errorf("type: must be %d (one-time) or %d (long-term)", OneTime, LongTerm)
	}
	for key := range t.Enums {
		if !slices.Contains(t.Keys, key) {
			return errors.New("enums: has a key that keys lacks")
		}
	}
	return nil
}

// longTerm tells whether one acceptance allows any number of messages. a.mu is held.
func (a *app) longTerm(templateID string) bool { return a.templates[templateID].Type == LongTerm }

// SetTemplate adds a template to an app, or replaces the one with its ID.
func (s *Server) SetTemplate(appID string, t Template) error {
	if err := t.validate(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	return a.setTemplate(t)
}

func (a *app) setTemplate(t Template) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.templates[t.ID]; !ok && len(a.templates) >= maxTemplates {
		return fmt.Errorf("sandbox: app %s: templates: no room for more than %d", a.cfg.AppID, maxTemplates)
	}
	a.templates[t.ID] = t
	return nil
}

// SetRetired says whether WeChat has retired the app's template messages: each is then answered 45103.
func (s *Server) SetRetired(appID string, retired bool) error {
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.retired = retired
	return nil
}

// serveGetTemplates answers GET /wxaapi/newtmpl/gettemplate.
func (s *Server) serveGetTemplates(w http.ResponseWriter, r *http.Request) {
	token := r.URL.Query().Get("access_token")
	a := s.appByToken(token)
	c := call{api: APIGetTemplates, app: a, caller: callerOf(r)}
	c.judge = func(now time.Time) answer {
		code := a.tokens.check(token, now)
		if code == 0 && r.Method != http.MethodGet {
			code = http.StatusNotFound // an errcode here: what the table of this call says of a wrong method
		}
		if code == 0 {
			state := a.calls[c.api]
			code = state.meter.take(now, state.quota)
		}
		if code != 0 {
			return refusal(now, c.api, code, c.caller)
		}
		return a.listTemplates()
	}
	s.handle(w, r, c)
}

// listedTemplate is a template as gettemplate answers it.
type listedTemplate struct {
	ID      string        `json:"priTmplId"`
	Title   string        `json:"title"`
	Content string        `json:"content"`
	Example string        `json:"example"`
	Type    int           `json:"type"`
	Enums   []keywordEnum `json:"keywordEnumValueList,omitempty"`
}

type keywordEnum struct {
	Code   string   `json:"keywordCode"`
	Values []string `json:"enumValueList"`
}

// listTemplates is the answer that lists the app's templates, by ID. a.mu is held.
func (a *app) listTemplates() answer {
	list := make([]listedTemplate, 0, len(a.templates))
	for _, id := range slices.Sorted(maps.Keys(a.templates)) {
		list = append(list, a.templates[id].listed())
	}
	body, err := json.Marshal(struct {
		Errcode int              `json:"errcode"`
		Errmsg  string           `json:"errmsg"`
		Data    []listedTemplate `json:"data"`
	}{0, "ok", list})
	if err != nil { // texts and numbers always encode
		panic(err)
	}
	return answer{body: body}
}

func (t Template) listed() listedTemplate {
	l := listedTemplate{ID: t.ID, Title: t.Title, Content: t.Content, Example: t.Example, Type: t.Type}
	if l.Type == 0 {
		l.Type = OneTime
	}
	if l.Title == "" {
		l.Title = "Template " + t.ID
	}
	if l.Content == "" {
		l.Content = t.lines(func(key string) string { return "{{" + key + ".DATA}}" })
	}
	if l.Example == "" {
		l.Example = t.lines(func(string) string { return "example" })
	}
	for _, key := range slices.Sorted(maps.Keys(t.Enums)) {
		l.Enums = append(l.Enums, keywordEnum{Code: key + ".DATA", Values: t.Enums[key]})
	}
	return l
}

// lines is a line "key:value" for each key.
func (t Template) lines(value func(key string) string) string {
	var b strings.Builder
	for _, key := range t.Keys {
		b.WriteString(key + ":" + value(key) + "\n")
	}
	return b.String()
}
