package sandbox

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxIDLength bounds, in bytes, a data value that names a message; a longer one is replaced by the hash.
const maxIDLength = 128

// message is the body of a send. A subscribe message has no use for the last two, a template message for the two before.
type message struct {
	ToUser           string               `json:"touser"`
	TemplateID       string               `json:"template_id"`
	Page             string               `json:"page"`
	Data             map[string]dataValue `json:"data"`
	MiniprogramState string               `json:"miniprogram_state"`
	Lang             string               `json:"lang"`
	FormID           string               `json:"form_id"`
	EmphasisKeyword  string               `json:"emphasis_keyword"`
}

type dataValue struct {
	Value string `json:"value"`
}

// judgeFunc decides on a readable send that has a working token. The app's mutex is held.
type judgeFunc func(c call, m message, now time.Time) answer

// serveSend answers POST /cgi-bin/message/subscribe/send and POST /cgi-bin/message/wxopen/template/send.
func (s *Server) serveSend(w http.ResponseWriter, r *http.Request, api string, judge judgeFunc) {
	token := r.URL.Query().Get("access_token")
	a := s.appByToken(token)
	body, status := readBody(r)
	if status != 0 {
		a.page(api, status)
		writePage(w, status)
		return
	}
	msg, problem := parseMessage(r.Method, body)
	c := call{api: api, app: a, caller: callerOf(r)}
	if problem == 0 {
		c.openid, c.id = msg.ToUser, msg.name(a.cfg.IDKey)
	}
	c.judge = func(now time.Time) answer {
		code := a.tokens.check(token, now)
		if code == 0 {
			code = problem
		}
		if code != 0 {
			return refusal(now, api, code, c.caller)
		}
		return judge(c, msg, now)
	}
	s.handle(w, r, c)
}

// parseMessage reads a body, or returns the errcode of what is wrong with the request as such.
func parseMessage(method string, body []byte) (message, int) {
	var m message
	switch {
	case method != http.MethodPost:
		return m, 43002
	case len(body) == 0:
		return m, 44002
	case !utf8.Valid(body), json.Unmarshal(body, &m) != nil:
		return message{}, 47001
	}
	return m, 0
}

// judgeSubscribe decides on a subscribe message.
func (s *Server) judgeSubscribe(c call, m message, now time.Time) answer {
	a := c.app
	code := a.checkTarget(m)
	if code == 0 {
		code = checkWording(m)
	}
	if code != 0 {
		return refusal(now, c.api, code, c.caller)
	}
	if key := a.templates[m.TemplateID].badKey(m.Data); key != "" {
		return refusalText(now, 47003, "argument invalid! data."+key+".value")
	}
	allowed, code := a.checkDelivery(m, now)
	if code != 0 {
		return refusal(now, c.api, code, c.caller)
	}
	if !a.longTerm(m.TemplateID) {
		allowed.spend()
	}
	id := s.msgID.Add(1)
	ans := acceptance(id, a.cfg.MsgIDString)
	ans.receipt = a.receipt(m, id, now)
	return ans
}

// judgeTemplate decides on a template message.
func (s *Server) judgeTemplate(c call, m message, now time.Time) answer {
	a := c.app
	form, code := a.checkForm(m, now)
	if code == 0 && a.flights[m.ToUser] > 0 {
		code = 43108
	}
	if code == 0 {
		state := a.calls[c.api]
		code = state.meter.take(now, state.quota)
	}
	if code != 0 {
		return refusal(now, c.api, code, c.caller)
	}
	form.left--
	return answer{body: []byte(`{"errcode":0,"errmsg":"ok"}`)}
}

// checkForm judges all of a template message that its sender can know, and returns the form id to be used.
func (a *app) checkForm(m message, now time.Time) (*formID, int) {
	if a.retired {
		return nil, 45103
	}
	if code := a.checkTarget(m); code != 0 {
		return nil, code
	}
	return a.formIDs.find(m.FormID, m.ToUser, now)
}

// anyTemplate tells whether a template is accepted without being known, and so with any keys.
func (a *app) anyTemplate(id string) bool {
	_, known := a.templates[id]
	return !known && id != "" && a.cfg.AllowAnyTemplate
}

// checkTarget judges whom, which template and which page.
func (a *app) checkTarget(m message) int {
	_, known := a.templates[m.TemplateID]
	page, _, _ := strings.Cut(m.Page, "?")
	switch {
	case !a.users.exists(m.ToUser):
		return 40003
	case !known && !a.anyTemplate(m.TemplateID):
		return 40037
	case page != "" && len(a.cfg.Pages) > 0 && !slices.Contains(a.cfg.Pages, page):
		return 41030
	}
	return 0
}

// checkWording judges what only a subscribe message has: a state, a language, and data that must not be missing.
func checkWording(m message) int {
	switch {
	case !oneOf(m.MiniprogramState, "", "developer", "trial", "formal"),
		!oneOf(m.Lang, "", "zh_CN", "en_US", "zh_HK", "zh_TW"),
		m.Data == nil:
		return 47001
	}
	return 0
}

func oneOf(v string, values ...string) bool { return slices.Contains(values, v) }

// badKey returns the first key of data that is missing, not the template's, or whose value WeChat refuses; "" if all is well.
// A template without keys is one that is not known: it takes every key.
func (t Template) badKey(data map[string]dataValue) string {
	for _, k := range t.Keys {
		if v, ok := data[k]; !ok || !goodValue(v.Value) || !t.fits(k, v.Value) {
			return k
		}
	}
	if len(t.Keys) > 0 && len(data) == len(t.Keys) {
		return ""
	}
	for _, k := range slices.Sorted(maps.Keys(data)) {
		if len(t.Keys) > 0 && !slices.Contains(t.Keys, k) || !goodValue(data[k].Value) {
			return k
		}
	}
	return ""
}

// goodValue tells whether a value is neither empty nor has newlines or other control characters.
func goodValue(v string) bool { return v != "" && strings.IndexFunc(v, unicode.IsControl) < 0 }

// checkDelivery judges what changes from one send to the next and counts the send against the quota. With code 0 the
// returned consent is to be spent.
func (a *app) checkDelivery(m message, now time.Time) (allowed *consent, code int) {
	if a.templates[m.TemplateID].Blocked {
		return nil, 43107
	}
	allowed = a.users.consent(m.ToUser, m.TemplateID, a.longTerm(m.TemplateID))
	switch {
	case allowed == nil: // no room for more subscriptions
		return nil, -1
	case !allowed.allows():
		return nil, 43101
	case a.flights[m.ToUser] > 0:
		return nil, 43108
	case a.sensitive(m.Data):
		return nil, 45168
	}
	c := a.calls[APISubscribeSend]
	return allowed, c.meter.take(now, c.quota)
}

func (a *app) sensitive(data map[string]dataValue) bool {
	for _, word := range a.cfg.SensitiveWords {
		for _, v := range data {
			if strings.Contains(v.Value, word) {
				return true
			}
		}
	}
	return false
}

// name tells a message from others: by the data value that the app's IDKey points at or else by a hash of recipient,
// template and data. So what is sent again has the same name.
func (m message) name(idKey string) string {
	if id := m.Data[idKey].Value; id != "" && len(id) <= maxIDLength {
		return id
	}
	h := sha256.New()
	put := func(s string) { // with its length in front, so that the parts cannot run into each other
		_, _ = h.Write(append(binary.AppendUvarint(nil, uint64(len(s))), s...)) // a hash never fails
	}
	put(m.ToUser)
	put(m.TemplateID)
	for _, k := range slices.Sorted(maps.Keys(m.Data)) {
		put(k)
		put(m.Data[k].Value)
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
