package sandbox

import (
	"crypto/rand"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Facts of WeChat about tokens.
const (
	tokenLife    = 7200 * time.Second
	tokenOverlap = 5 * time.Minute
	forcePerDay  = 20
	forceSpacing = 30 * time.Second
	// forceGrace is how long the previous token works after a force_refresh: unconfirmed, see doc.go.
	forceGrace = 30 * time.Second
	// maxIssued bounds the tokens remembered for each app; an older one is answered 40014.
	maxIssued = 1024
)

// Mode is a kind of token: the two have separate lives.
type Mode string

// The kinds of token.
const (
	Classic Mode = "classic" // GET /cgi-bin/token
	Stable  Mode = "stable"  // POST /cgi-bin/stable_token
)

// credential is one issued token. It works until usable, which is before expires once it was superseded or killed.
type credential struct {
	value           string
	expires, usable time.Time
}

// line is the succession of tokens of one mode: of all of them only these two can work.
type line struct{ current, previous *credential }

// tokenBook issues and judges the tokens of one app. The app's mutex guards it.
type tokenBook struct {
	prefix          string
	life            time.Duration
	overlap, grace  time.Duration
	classic, stable line
	issued          map[string]*credential
	order           []string // issued, oldest first
	forced          window   // refreshing force calls of the day
	lastForce       time.Time
}

func newTokenBook(number int, life time.Duration) *tokenBook {
	if life == 0 {
		life = tokenLife
	}
	overlap := min(tokenOverlap, life/4)
	return &tokenBook{
		prefix: strconv.Itoa(number) + "_", life: life, overlap: overlap, grace: min(forceGrace, overlap),
		issued: map[string]*credential{},
	}
}

// check returns 0 for a token that works, or the errcode that says why it does not.
func (b *tokenBook) check(value string, now time.Time) int {
	c, ok := b.issued[value]
	switch {
	case value == "":
		return 41001
	case !ok:
		return 40014
	case !now.Before(c.expires):
		return 42001
	case !now.Before(c.usable):
		return 40001
	}
	return 0
}

// fetchClassic issues a new token each time; the one before works on for the overlap.
func (b *tokenBook) fetchClassic(now time.Time) *credential {
	return b.replace(&b.classic, now, b.overlap)
}

// fetchStable returns the current token until its last five minutes begin, then a new one.
func (b *tokenBook) fetchStable(now time.Time) *credential {
	c := b.stable.current
	if c == nil || !now.Before(c.usable) || c.expires.Sub(now) <= b.overlap {
		return b.replace(&b.stable, now, b.overlap)
	}
	return c
}

// forceStable replaces the current token, or returns the errcode of the daily limit. Within 30 seconds of the last
// one it refreshes nothing.
func (b *tokenBook) forceStable(now time.Time) (*credential, int) {
	if !b.lastForce.IsZero() && now.Sub(b.lastForce) < forceSpacing {
		return b.fetchStable(now), 0
	}
	if b.forced.at(dayOf(now)) >= forcePerDay {
		return nil, 45009
	}
	b.forced.used++
	b.lastForce = now
	return b.replace(&b.stable, now, b.grace), 0
}

// replace issues the successor of a line's current token, which works on for grace. The one before that ends now.
func (b *tokenBook) replace(l *line, now time.Time, grace time.Duration) *credential {
	l.previous.endBy(now)
	l.current.endBy(now.Add(grace))
	l.previous, l.current = l.current, b.issue(now)
	return l.current
}

// kill ends both working tokens of a line at once: they are answered 40001 from now on, and the next fetch issues a new one.
func (b *tokenBook) kill(l *line, now time.Time) {
	l.previous.endBy(now)
	l.current.endBy(now)
}

func (c *credential) endBy(t time.Time) {
	if c != nil && t.Before(c.usable) {
		c.usable = t
	}
}

// issue makes a token as long as WeChat's. It is random, not seeded: two sandboxes must never issue the same one.
func (b *tokenBook) issue(now time.Time) *credential {
	value := b.prefix
	for range 5 {
		value += rand.Text()
	}
	c := &credential{value: value, expires: now.Add(b.life), usable: now.Add(b.life)}
	b.issued[value] = c
	b.order = append(b.order, value)
	if len(b.order) > maxIssued {
		delete(b.issued, b.order[0])
		b.order = slices.Delete(b.order, 0, 1)
	}
	return c
}

// KillTokens ends the working tokens of an app now, as a rival's fetch would: sends with them are answered 40001 and
// the next fetch issues a new token. An empty appID means every app, an empty mode both modes.
func (s *Server) KillTokens(appID string, mode Mode) error {
	if mode != "" && mode != Classic && mode != Stable {
		return fmt.Errorf("sandbox: mode: must be %s, %s or absent", Classic, Stable)
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	chosen, err := s.chosen(appID)
	if err != nil {
		return err
	}
	for _, a := range chosen {
		a.killTokens(mode, s.now())
	}
	return nil
}

func (a *app) killTokens(mode Mode, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if mode != Stable {
		a.tokens.kill(&a.tokens.classic, now)
	}
	if mode != Classic {
		a.tokens.kill(&a.tokens.stable, now)
	}
}
