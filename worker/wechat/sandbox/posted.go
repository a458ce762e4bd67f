package sandbox

import (
	"net/http"
	"time"
	"unicode/utf8"
)

// posted is a readable body of a call.
type posted struct {
	id    string                     // which message it is, "" for a call that sends none
	judge func(now time.Time) answer // decides; the app's mutex is held
}

// servePosted answers a POST with an access_token. read reads the body; false means that it cannot be read (47001).
func (s *Server) servePosted(w http.ResponseWriter, r *http.Request, api string, read func(a *app, body []byte) (posted, bool)) {
	token := r.URL.Query().Get("access_token")
	a := s.appByToken(token)
	body, status := readBody(r)
	if status != 0 {
		a.page(api, status)
		writePage(w, status)
		return
	}
	p, problem := parsePosted(a, r.Method, body, read)
	c := call{api: api, app: a, caller: callerOf(r), id: p.id}
	c.judge = func(now time.Time) answer {
		code := a.tokens.check(token, now)
		if code == 0 {
			code = problem
		}
		if code != 0 {
			return refusal(now, api, code, c.caller)
		}
		return p.judge(now)
	}
	s.handle(w, r, c)
}

func parsePosted(a *app, method string, body []byte, read func(a *app, body []byte) (posted, bool)) (posted, int) {
	switch {
	case method != http.MethodPost:
		return posted{}, 43002
	case len(body) == 0:
		return posted{}, 44002
	case !utf8.Valid(body):
		return posted{}, 47001
	}
	p, ok := read(a, body)
	if !ok {
		return posted{}, 47001
	}
	return p, 0
}

// charge counts a call against its quota and returns the errcode if that is used up. a.mu is held.
func (a *app) charge(api string, now time.Time) int {
	state := a.calls[api]
	return state.meter.take(now, state.quota)
}

// ok is the answer of a call that has nothing to tell.
func ok() answer { return answer{body: []byte(`{"errcode":0,"errmsg":"ok"}`)} }
