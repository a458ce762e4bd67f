package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// maxCards bounds the service cards kept for each app.
const maxCards = 1 << 20

// How long a card's code is good, as WeChat's guide says: for the activation, and from then on for updates.
const (
	paymentLife    = 24 * time.Hour
	paymentUpdates = 30 * 24 * time.Hour
	buttonLife     = 5 * time.Minute
	buttonUpdates  = 24 * time.Hour
)

// Card makes the code of a service card known, as if a user had paid or tapped a button, or changes it.
type Card struct {
	OpenID     string `json:"openid"`
	NotifyType int    `json:"notify_type"`
	NotifyCode string `json:"notify_code"`
	// KnownIn is how long WeChat's card service does not know the code yet (85437).
	KnownIn Duration `json:"known_in,omitempty"`
	// ExpiresIn is what is left of its life; negative: it has expired (85438). Default 24h for a payment, 5m for a button.
	ExpiresIn Duration `json:"expires_in,omitempty"`
	// Banned makes every call answer 85436, Locked 85449.
	Banned bool `json:"banned,omitempty"`
	Locked bool `json:"locked,omitempty"`
	// Denied makes every card of this type answer 85461, of this app.
	Denied bool `json:"denied,omitempty"`
	// CodeState is what get_user_notify answers. Default 0, normal.
	CodeState int `json:"code_state,omitempty"`
}

type cardKey struct {
	notifyType int
	code       string
}

// card is what became of a code.
type card struct {
	openid         string
	known, expires time.Time
	banned, locked bool
	codeState      int
	active         bool
	status         int64
	content        string // the last that took effect
}

// cardBook knows the service cards of one app. The app's mutex guards it.
type cardBook struct {
	any    bool // a code that is not known is a fresh one
	cards  map[cardKey]*card
	denied map[int]bool // types
}

func newCardBook(any bool) cardBook {
	return cardBook{any: any, cards: map[cardKey]*card{}, denied: map[int]bool{}}
}

// payment tells whether the codes of a type are numbers of payments.
func payment(notifyType int) bool { return notifyType/1000 == 2 }

// goodNotifyType tells whether WeChat's guide lists the type.
func goodNotifyType(t int) bool {
	return t >= 2001 && t <= 2011 || t == 1001 || t >= 1003 && t <= 1005
}

func lifeOf(notifyType int) time.Duration {
	if payment(notifyType) {
		return paymentLife
	}
	return buttonLife
}

func updatesOf(notifyType int) time.Duration {
	if payment(notifyType) {
		return paymentUpdates
	}
	return buttonUpdates
}

// SetCard makes a code known, or changes what is known of it; its state stays. The openid becomes known to the app.
func (s *Server) SetCard(appID string, c Card) error {
	switch {
	case c.OpenID == "":
		return errors.New("sandbox: openid: must not be empty")
	case !goodNotifyType(c.NotifyType):
		return errors.New("sandbox: notify_type: must be one of WeChat's list")
	case c.NotifyCode == "":
		return errors.New("sandbox: notify_code: must not be empty")
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.admitUser(c.OpenID); err != nil {
		return err
	}
	return a.cards.set(c, a.cfg.AppID, s.now())
}

func (b *cardBook) set(c Card, appID string, now time.Time) error {
	key := cardKey{c.NotifyType, c.NotifyCode}
	known, ok := b.cards[key]
	if !ok && len(b.cards) >= maxCards {
		return fmt.Errorf("sandbox: app %s: cards: no room for more than %d", appID, maxCards)
	}
	if !ok {
		known = &card{}
		b.cards[key] = known
	}
	known.openid, known.banned, known.locked, known.codeState = c.OpenID, c.Banned, c.Locked, c.CodeState
	known.known = now.Add(time.Duration(c.KnownIn))
	if !ok || c.ExpiresIn != 0 {
		known.expires = now.Add(cmp.Or(time.Duration(c.ExpiresIn), lifeOf(c.NotifyType)))
	}
	b.denied[c.NotifyType] = c.Denied
	return nil
}

// find returns a card that can be used, or the errcode that says why it cannot.
func (b *cardBook) find(key cardKey, openid string, now time.Time) (*card, int) {
	c, ok := b.cards[key]
	switch {
	case !ok && (!b.any || key.code == ""):
		return nil, 85437
	case !ok && len(b.cards) >= maxCards:
		return nil, -1
	case !ok:
		c = &card{openid: openid, expires: now.Add(lifeOf(key.notifyType))}
		b.cards[key] = c
	}
	switch {
	case c.openid != openid, now.Before(c.known):
		return nil, 85437
	case c.banned:
		return nil, 85436
	case !now.Before(c.expires):
		return nil, 85438
	case c.locked:
		return nil, 85449
	}
	return c, 0
}

func (s *Server) controlCard(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Card
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetCard(req.App, req.Card)
}
