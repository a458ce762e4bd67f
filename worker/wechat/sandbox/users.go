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
	// Credits is how many more sends the user allows. Absent: as many as the app's Credits say from now on. A long-term
	// template needs one and uses none up.
	Credits *int64 `json:"credits,omitempty"`
	// HighRisk makes every login of the user answer 40226. It holds for the user as a whole: without a TemplateID.
	HighRisk bool `json:"high_risk,omitempty"`
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
	needed   bool  // nothing is allowed at first
	credits  int64 // of every one-time subscription at first, 0 = without end
	consents map[subscription]*consent
	risky    map[string]bool  // openids that may not log in
	answered map[string]int64 // Unix time of each user's last answer
}

func newUsers(cfg App) users {
	u := users{
		anyone: cfg.AllowAnyOpenID, needed: cfg.ConsentNeeded, credits: cfg.Credits,
		known: make(map[string]struct{}, len(cfg.OpenIDs)), consents: map[subscription]*consent{},
		risky: map[string]bool{}, answered: map[string]int64{},
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
func (u *users) consent(openid, template string, longTerm bool) *consent {
	if c := u.said(openid, template); c != nil {
		return c
	}
	switch {
	case u.needed:
		return &consent{credits: new(int64)}
	case u.credits == 0, longTerm:
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

// said returns what was said about a user's subscription to a template, or to all of them; nil for nothing.
func (u *users) said(openid, template string) *consent {
	for _, key := range []subscription{{openid, template}, {openid, ""}} {
		if c, ok := u.consents[key]; ok {
			return c
		}
	}
	return nil
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
	case u.HighRisk && u.TemplateID != "":
		return errors.New("sandbox: high_risk: holds for the whole user, not for one template")
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	return a.setUser(u)
}

func (a *app) setUser(u User) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.admitUser(u.OpenID); err != nil {
		return err
	}
	if u.TemplateID == "" {
		a.users.setRisky(u.OpenID, u.HighRisk)
	}
	key := subscription{u.OpenID, u.TemplateID}
	if !u.Refused && u.Credits == nil {
		delete(a.users.consents, key)
		return nil
	}
	if len(a.users.consents) >= maxUsers {
		return a.noRoom()
	}
	c := &consent{refused: u.Refused}
	if u.Credits != nil {
		left := *u.Credits
		c.credits = &left
	}
	a.users.consents[key] = c
	return nil
}

func (u *users) setRisky(openid string, risky bool) {
	if risky {
		u.risky[openid] = true
	} else {
		delete(u.risky, openid)
	}
}

// admitUser makes an openid known to the app. a.mu is held.
func (a *app) admitUser(openid string) error {
	if _, ok := a.users.known[openid]; ok {
		return nil
	}
	if len(a.users.known) >= maxUsers {
		return a.noRoom()
	}
	a.users.known[openid] = struct{}{}
	return nil
}

func (a *app) noRoom() error {
	return fmt.Errorf("sandbox: app %s: users: no room for more than %d", a.cfg.AppID, maxUsers)
}
