package sandbox

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// grantRequest is what both token calls ask with: in the query of the classic call, in the body of the stable one.
type grantRequest struct {
	GrantType    string `json:"grant_type"`
	AppID        string `json:"appid"`
	Secret       string `json:"secret"`
	ForceRefresh bool   `json:"force_refresh"`
}

// serveToken answers GET /cgi-bin/token.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		s.stranger.page(APIToken, http.StatusNotFound)
		writePage(w, http.StatusNotFound)
		return
	}
	q := r.URL.Query()
	req := grantRequest{GrantType: q.Get("grant_type"), AppID: q.Get("appid"), Secret: q.Get("secret")}
	s.handleGrant(w, r, APIToken, req, 0)
}

// serveStableToken answers POST /cgi-bin/stable_token.
func (s *Server) serveStableToken(w http.ResponseWriter, r *http.Request) {
	body, status := readBody(r)
	if status != 0 {
		s.stranger.page(APIStableToken, status)
		writePage(w, status)
		return
	}
	var req grantRequest
	problem := 0
	switch {
	case r.Method != http.MethodPost:
		problem = 43002
	case len(body) == 0:
		problem = 44002
	case json.Unmarshal(body, &req) != nil:
		problem = 47001
	}
	s.handleGrant(w, r, APIStableToken, req, problem)
}

// handleGrant takes a token request through the sandbox. problem is the errcode of what was wrong already, 0 for nothing.
func (s *Server) handleGrant(w http.ResponseWriter, r *http.Request, api string, req grantRequest, problem int) {
	c := call{api: api, app: s.appByID(req.AppID), caller: callerOf(r)}
	if problem == 0 {
		problem = s.checkGrant(c.app, req, "client_credential") // here, because it takes the server's lock, which comes before the app's
	}
	c.judge = func(now time.Time) answer {
		cred, code := c.app.grant(api, req.ForceRefresh, problem, now)
		if code != 0 {
			return refusal(now, api, code, c.caller)
		}
		return granted(cred, now)
	}
	s.handle(w, r, c)
}

// grant issues or repeats the token a call asks for unless something is wrong with it or it is over its quota. a.mu is held.
func (a *app) grant(api string, force bool, problem int, now time.Time) (*credential, int) {
	if problem != 0 {
		return nil, problem
	}
	state := a.calls[api]
	if code := state.meter.take(now, state.quota); code != 0 {
		return nil, code
	}
	return a.tokens.fetch(api, force, now)
}

// fetch issues or repeats the token that an API hands out.
func (b *tokenBook) fetch(api string, force bool, now time.Time) (*credential, int) {
	switch {
	case api == APIToken:
		return b.fetchClassic(now), 0
	case force:
		return b.forceStable(now)
	default:
		return b.fetchStable(now), 0
	}
}

func granted(c *credential, now time.Time) answer {
	seconds := max(1, int64(c.expires.Sub(now)/time.Second))
	b := append(make([]byte, 0, 256), `{"access_token":"`...)
	b = append(b, c.value...) // digits, letters and an underscore: nothing to escape
	b = append(b, `","expires_in":`...)
	b = strconv.AppendInt(b, seconds, 10)
	return answer{body: append(b, '}')}
}

// checkGrant returns the errcode of the first thing wrong with who asks for a token or a session, 0 for none.
func (s *Server) checkGrant(a *app, req grantRequest, grantType string) int {
	switch {
	case req.GrantType != grantType:
		return 40002
	case req.AppID == "":
		return 41002
	case req.Secret == "":
		return 41004
	case a == s.stranger:
		return 40013
	case sameSecret(a, req.Secret):
		return 0
	case s.secretOfAnother(req.Secret):
		return 40001
	}
	return 40125
}

// secretOfAnother tells whether a secret that is not the asking app's is some other app's.
func (s *Server) secretOfAnother(secret string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, a := range s.apps {
		if sameSecret(a, secret) {
			return true
		}
	}
	return false
}

func sameSecret(a *app, secret string) bool {
	return subtle.ConstantTimeCompare([]byte(a.cfg.Secret), []byte(secret)) == 1
}
