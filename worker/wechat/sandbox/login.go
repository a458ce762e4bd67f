package sandbox

import (
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// codeLife is how long a login code can be exchanged.
	codeLife = 5 * time.Minute
	// maxCodes bounds the login codes kept for each app.
	maxCodes = 1 << 20
)

// Code makes a login code known, as if a user's client had called wx.login.
type Code struct {
	OpenID string `json:"openid"`
	// Code is what the client was given. SetCode makes one if it is empty.
	Code string `json:"code,omitempty"`
	// ExpiresIn is what is left of its life; negative: it has expired already. Default 5m.
	ExpiresIn Duration `json:"expires_in,omitempty"`
}

// loginCode is what became of a code.
type loginCode struct {
	openid  string
	expires time.Time
	used    bool
}

// codeBook knows the login codes of one app, the used ones too. The app's mutex guards it.
type codeBook struct {
	any   bool // one that is not known is exchanged
	codes map[string]*loginCode
}

// find returns a code that can be exchanged, or the errcode that says why it cannot.
func (b *codeBook) find(appID, code string, now time.Time) (*loginCode, int) {
	c, ok := b.codes[code]
	switch {
	case !ok && !b.any:
		return nil, 40029
	case !ok && len(b.codes) >= maxCodes:
		return nil, -1
	case !ok:
		c = &loginCode{openid: derivedOpenID(appID, code), expires: now.Add(codeLife)}
		b.codes[code] = c
	}
	switch {
	case c.used:
		return nil, 40163
	case !now.Before(c.expires):
		return nil, 40029
	}
	return c, 0
}

// derivedOpenID is the openid, as long as WeChat's, of whoever shows a code nobody made known.
func derivedOpenID(appID, code string) string {
	sum := sha256.Sum256([]byte(appID + "/" + code))
	return "o" + base64.RawURLEncoding.EncodeToString(sum[:])[:27]
}

// SetCode makes a login code known, or replaces what is known of it, and makes the openid known to the app. It returns
// the code.
func (s *Server) SetCode(appID string, c Code) (string, error) {
	if c.OpenID == "" {
		return "", errors.New("sandbox: openid: must not be empty")
	}
	a, err := s.known(appID)
	if err != nil {
		return "", err
	}
	if c.Code == "" {
		c.Code = rand.Text()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.codes.codes[c.Code]; !ok && len(a.codes.codes) >= maxCodes {
		return "", fmt.Errorf("sandbox: app %s: codes: no room for more than %d", a.cfg.AppID, maxCodes)
	}
	if err := a.admitUser(c.OpenID); err != nil {
		return "", err
	}
	life := cmp.Or(time.Duration(c.ExpiresIn), codeLife)
	a.codes.codes[c.Code] = &loginCode{openid: c.OpenID, expires: s.now().Add(life)}
	return c.Code, nil
}

// serveCodeToSession answers GET /sns/jscode2session.
func (s *Server) serveCodeToSession(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		s.stranger.page(APICodeToSession, http.StatusNotFound)
		writePage(w, http.StatusNotFound)
		return
	}
	q := r.URL.Query()
	req := grantRequest{GrantType: q.Get("grant_type"), AppID: q.Get("appid"), Secret: q.Get("secret")}
	c := call{api: APICodeToSession, app: s.appByID(req.AppID), caller: callerOf(r)}
	problem := s.checkGrant(c.app, req, "authorization_code") // here, because it takes the server's lock
	if problem == 0 && q.Get("js_code") == "" {
		problem = 41008
	}
	c.judge = func(now time.Time) answer {
		openid, code := c.app.exchange(q.Get("js_code"), problem, now)
		if code != 0 {
			return refusal(now, c.api, code, c.caller)
		}
		return session(openid)
	}
	w.Header().Set("Content-Type", "text/plain") // as reported, though the body is JSON
	s.handle(w, r, c)
}

// exchange uses up a code and returns whose it is, or the errcode of what is wrong. a.mu is held.
func (a *app) exchange(code string, problem int, now time.Time) (openid string, errcode int) {
	if problem != 0 {
		return "", problem
	}
	c, errcode := a.codes.find(a.cfg.AppID, code, now)
	if errcode != 0 {
		return "", errcode
	}
	if a.users.risky[c.openid] {
		return "", 40226
	}
	state := a.calls[APICodeToSession]
	if errcode = state.meter.take(now, state.quota); errcode != 0 {
		return "", errcode
	}
	if a.admitUser(c.openid) != nil {
		return "", -1
	}
	c.used = true
	return c.openid, 0
}

// session is the answer of an exchange. Its key is random, not seeded, and kept nowhere.
func session(openid string) answer {
	var key [16]byte
	_, _ = rand.Read(key[:]) // never fails: it ends the program instead
	body, err := json.Marshal(struct {
		SessionKey string `json:"session_key"`
		OpenID     string `json:"openid"`
	}{base64.StdEncoding.EncodeToString(key[:]), openid})
	if err != nil { // two texts always encode
		panic(err)
	}
	return answer{body: body}
}
