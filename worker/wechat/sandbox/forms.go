package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

const (
	// formLife is how long a form id is valid from its submission.
	formLife = 7 * 24 * time.Hour
	// maxFormIDs bounds the form ids kept for each app.
	maxFormIDs = 1 << 20
)

// FormID makes a form id known, as if a user had submitted a form or paid.
type FormID struct {
	OpenID string `json:"openid"`
	ID     string `json:"form_id"`
	// Uses is how many messages it allows; a prepay_id allows three. Default 1.
	Uses int `json:"uses,omitempty"`
	// ExpiresIn is what is left of its life; negative: it has expired already. Default 168h.
	ExpiresIn Duration `json:"expires_in,omitempty"`
	// Used: it was used already, as often as it allows.
	Used bool `json:"used,omitempty"`
}

// formID is what is left of a form id.
type formID struct {
	openid  string
	left    int
	expires time.Time
}

// formBook knows the form ids of one app, the used ones too. The app's mutex guards it.
type formBook struct {
	any bool // one that is not known is a fresh one
	ids map[string]*formID
}

// find returns a form id that allows one more message to this user, or the errcode that says why there is none.
func (b *formBook) find(id, openid string, now time.Time) (*formID, int) {
	f, ok := b.ids[id]
	switch {
	case !ok && (!b.any || id == ""):
		return nil, 41028
	case !ok && len(b.ids) >= maxFormIDs:
		return nil, -1
	case !ok:
		f = &formID{openid: openid, left: 1, expires: now.Add(formLife)}
		b.ids[id] = f
	}
	switch {
	case f.openid != openid:
		return nil, 41028
	case f.left <= 0:
		return nil, 41029
	case !now.Before(f.expires):
		return nil, 41028
	}
	return f, 0
}

// SetFormID makes a form id known, or replaces what is known of it, and makes the openid known to the app.
func (s *Server) SetFormID(appID string, f FormID) error {
	switch {
	case f.OpenID == "":
		return errors.New("sandbox: openid: must not be empty")
	case f.ID == "":
		return errors.New("sandbox: form_id: must not be empty")
	case f.Uses < 0:
		return errors.New("sandbox: uses: must not be negative")
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.formIDs.ids[f.ID]; !ok && len(a.formIDs.ids) >= maxFormIDs {
		return fmt.Errorf("sandbox: app %s: form ids: no room for more than %d", a.cfg.AppID, maxFormIDs)
	}
	if err := a.admitUser(f.OpenID); err != nil {
		return err
	}
	a.formIDs.ids[f.ID] = f.fresh(s.now())
	return nil
}

func (f FormID) fresh(now time.Time) *formID {
	left := cmp.Or(f.Uses, 1)
	if f.Used {
		left = 0
	}
	life := cmp.Or(time.Duration(f.ExpiresIn), formLife)
	return &formID{openid: f.OpenID, left: left, expires: now.Add(life)}
}
