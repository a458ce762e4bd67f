package sandbox

import (
	"errors"
	"fmt"
)

// maxUsers bounds the users, and the subscriptions, that are kept for each app.
const maxUsers = 1 << 20

// User says what one user allows, in all templates or in one.
type User struct {
	OpenID string `json:"openid"`
	// TemplateID empty: all templates for which nothing else was said.
	TemplateID string `json:"template_id,omitempty"`
	// Refused makes every send answer 43101.
	Refused bool `json:"refused,omitempty"`
	// Credits is how many more sends the user allows. Absent: as many as the app's Credits say from now on.
	Credits *int64 `json:"credits,omitempty"`
}

// subscription is who allows what.
type subscription struct{ openid, template string }

// consent is what is left of a subscription. A nil credits is without end.
type consent struct {
	refused bool
	credits *int64
}

// users knows the users of one app and what each allows. The app's mutex guards it.
type users struct {
	anyone   bool
	known    map[string]struct{}
	credits  int64 // of every subscription at first, 0 = without end
	consents map[subscription]*consent
}

func newUsers(cfg App) users {
	u := users{
		anyone: cfg.AllowAnyOpenID, credits: cfg.Credits,
		known: make(map[string]struct{}, len(cfg.OpenIDs)), consents: map[subscription]*consent{},
	}
	for _, openid := range cfg.OpenIDs {
		u.known[openid] = struct{}{}
	}
	return u
}

// exists tells whether an openid belongs to this app.
func (u *users) exists(openid string) bool {
	_, ok := u.known[openid]
	return ok || (u.anyone && openid != "")
}

// consent returns what the user allows for a template. It is nil when the sandbox cannot keep more subscriptions.
func (u *users) consent(openid, template string) *consent {
	for _, key := range []subscription{{openid, template}, {openid, ""}} {
		if c, ok := u.consents[key]; ok {
			return c
		}
	}
	if u.credits == 0 {
		return &consent{}
	}
	if len(u.consents) >= maxUsers {
		return nil
	}
	left := u.credits
	c := &consent{credits: &left}
	u.consents[subscription{openid, template}] = c
	return c
}

// allows tells whether one more message may be sent.
func (c *consent) allows() bool { return !c.refused && (c.credits == nil || *c.credits > 0) }

// spend uses up one message.
func (c *consent) spend() {
	if c.credits != nil {
		*c.credits--
	}
}

// SetUser replaces what a user allows, and makes the openid known to the app.
func (s *Server) SetUser(appID string, u User) error {
	switch {
	case u.OpenID == "":
		return errors.New("sandbox: openid: must not be empty")
	case u.Credits != nil && *u.Credits < 0:
		return errors.New("sandbox: credits: must not be negative")
	}
	a := s.appByID(appID)
	if a == s.stranger {
		return fmt.Errorf("%w: %s", ErrUnknownApp, appID)
	}
	return a.setUser(u)
}

func (a *app) setUser(u User) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.users.known) >= maxUsers || len(a.users.consents) >= maxUsers {
		return fmt.Errorf("sandbox: app %s: users: no room for more than %d", a.cfg.AppID, maxUsers)
	}
	a.users.known[u.OpenID] = struct{}{}
	key := subscription{u.OpenID, u.TemplateID}
	if !u.Refused && u.Credits == nil {
		delete(a.users.consents, key)
		return nil
	}
	c := &consent{refused: u.Refused}
	if u.Credits != nil {
		left := *u.Credits
		c.credits = &left
	}
	a.users.consents[key] = c
	return nil
}
