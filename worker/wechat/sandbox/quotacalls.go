package sandbox

import (
	"encoding/json"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	// noLimit is the daily limit that quota/get answers where none is set: the highest that WeChat documents for a send.
	noLimit = 30_000_000
	// maxClears is how often WeChat clears an app's quotas in a month.
	maxClears = 10
)

// apiOf returns the call of a path, "" for none.
func apiOf(path string) string {
	switch path {
	case "/cgi-bin/message/subscribe/send":
		return APISubscribeSend
	case "/cgi-bin/message/wxopen/template/send":
		return APITemplateSend
	case "/cgi-bin/token":
		return APIToken
	case "/cgi-bin/stable_token":
		return APIStableToken
	case "/sns/jscode2session":
		return APICodeToSession
	case "/wxaapi/newtmpl/gettemplate":
		return APIGetTemplates
	case "/cgi-bin/openapi/quota/get":
		return APIGetQuota
	case "/cgi-bin/clear_quota":
		return APIClearQuota
	case "/cgi-bin/message/device/subscribe/send":
		return APIDeviceSend
	case "/wxa/set_user_notify":
		return APISetUserNotify
	case "/wxa/set_user_notifyext":
		return APISetUserNotifyExt
	case "/wxa/get_user_notify":
		return APIGetUserNotify
	}
	return ""
}

// quotaRequest is the body of both quota calls, of which each has one field.
type quotaRequest struct {
	CGIPath string `json:"cgi_path"`
	AppID   string `json:"appid"`
}

// serveQuota answers POST /cgi-bin/openapi/quota/get and POST /cgi-bin/clear_quota. judge decides on a readable call that has
// a working token and is within its quota; the app's mutex is held.
func (s *Server) serveQuota(w http.ResponseWriter, r *http.Request, api string, judge func(*app, quotaRequest, time.Time) answer) {
	token := r.URL.Query().Get("access_token")
	a := s.appByToken(token)
	body, status := readBody(r)
	if status != 0 {
		a.page(api, status)
		writePage(w, status)
		return
	}
	req, problem := parseQuotaRequest(r.Method, body)
	c := call{api: api, app: a, caller: callerOf(r)}
	c.judge = func(now time.Time) answer {
		code := a.tokens.check(token, now)
		if code == 0 {
			code = problem
		}
		if code == 0 {
			state := a.calls[api]
			code = state.meter.take(now, state.quota)
		}
		if code != 0 {
			return refusal(now, api, code, c.caller)
		}
		return judge(a, req, now)
	}
	s.handle(w, r, c)
}

// parseQuotaRequest reads a body, or returns the errcode of what is wrong with the request as such.
func parseQuotaRequest(method string, body []byte) (quotaRequest, int) {
	var req quotaRequest
	switch {
	case method != http.MethodPost:
		return req, 43002
	case len(body) == 0:
		return req, 44002
	case !utf8.Valid(body), json.Unmarshal(body, &req) != nil:
		return quotaRequest{}, 47001
	}
	return req, 0
}

// quotaAnswer is what quota/get answers.
type quotaAnswer struct {
	Errcode   int             `json:"errcode"`
	Errmsg    string          `json:"errmsg"`
	Quota     json.RawMessage `json:"quota"`
	RateLimit *rateLimit      `json:"rate_limit,omitempty"`
}

type rateLimit struct {
	CallCount     int64 `json:"call_count"`
	RefreshSecond int64 `json:"refresh_second"`
}

// judgeGetQuota tells what is left of the quota of one path. a.mu is held.
func judgeGetQuota(a *app, req quotaRequest, now time.Time) answer {
	api := apiOf(req.CGIPath)
	switch {
	case strings.HasPrefix(req.CGIPath, "/sns/"):
		return refusal(now, APIGetQuota, 76022, "")
	case api == "":
		return refusal(now, APIGetQuota, 76021, "")
	}
	quota, ok := a.faults.source.QuotaAnswers[api]
	if !ok {
		quota = a.calls[api].left(now)
	}
	body, err := json.Marshal(quotaAnswer{0, "ok", quota, a.calls[api].quota.rate()})
	if err != nil { // plan has looked at the fault's JSON, and numbers always encode
		panic(err)
	}
	return answer{body: body}
}

// left is the quota as quota/get tells it.
func (c *callState) left(now time.Time) json.RawMessage {
	limit := c.quota.PerDay
	if limit == 0 {
		limit = noLimit
	}
	used := c.meter.day.at(dayOf(now))
	b, err := json.Marshal(struct {
		DailyLimit int64 `json:"daily_limit"`
		Used       int64 `json:"used"`
		Remain     int64 `json:"remain"`
	}{limit, used, max(0, limit-used)})
	if err != nil { // numbers always encode
		panic(err)
	}
	return b
}

// rate is the rate limit as quota/get tells it, nil for none.
func (q Quota) rate() *rateLimit {
	switch {
	case q.PerMinute > 0:
		return &rateLimit{q.PerMinute, 60}
	case q.PerSecond > 0:
		return &rateLimit{q.PerSecond, 1}
	}
	return nil
}

// judgeClearQuota begins the day's counts again, but for the calls that hand out tokens. a.mu is held.
func judgeClearQuota(a *app, req quotaRequest, now time.Time) answer {
	switch {
	case req.AppID != a.cfg.AppID:
		return refusal(now, APIClearQuota, 40013, "")
	case a.clears.at(monthOf(now)) >= maxClears:
		return refusal(now, APIClearQuota, 48006, "")
	}
	a.clears.used++
	for api, c := range a.calls {
		if api != APIToken && api != APIStableToken {
			c.meter.day = window{}
		}
	}
	return answer{body: []byte(`{"errcode":0,"errmsg":"ok"}`)}
}

// monthOf numbers the months of China.
func monthOf(t time.Time) int64 {
	here := t.In(time.FixedZone("UTC+8", 8*3600))
	return int64(here.Year())*12 + int64(here.Month())
}
