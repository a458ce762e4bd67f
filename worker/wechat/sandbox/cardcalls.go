package sandbox

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// cardRequest is the body of the three calls about a card.
type cardRequest struct {
	OpenID      string  `json:"openid"`
	NotifyType  int     `json:"notify_type"`
	NotifyCode  string  `json:"notify_code"`
	ContentJSON *string `json:"content_json"`
	CheckJSON   *string `json:"check_json"`
	ExtJSON     *string `json:"ext_json"`
}

// serveCard answers POST /wxa/set_user_notify, /wxa/set_user_notifyext and /wxa/get_user_notify. judge decides about a
// card that can be used.
func (s *Server) serveCard(w http.ResponseWriter, r *http.Request, api string, judge func(a *app, c *card, req cardRequest, now time.Time) answer) {
	s.servePosted(w, r, api, func(a *app, body []byte) (posted, bool) {
		var req cardRequest
		if json.Unmarshal(body, &req) != nil {
			return posted{}, false
		}
		return posted{id: req.name(a.cfg.IDKey), judge: func(now time.Time) answer {
			c, code := a.findCard(req, now)
			if code == 0 {
				code = a.charge(api, now)
			}
			if code != 0 {
				return refusal(now, api, code, "")
			}
			return judge(a, c, req, now)
		}}, true
	})
}

// findCard judges whose card of which type it is. a.mu is held.
func (a *app) findCard(req cardRequest, now time.Time) (*card, int) {
	switch {
	case !a.users.exists(req.OpenID):
		return nil, 40003
	case !goodNotifyType(req.NotifyType):
		return nil, 85434
	case a.cards.denied[req.NotifyType]:
		return nil, 85461
	}
	return a.cards.find(cardKey{req.NotifyType, req.NotifyCode}, req.OpenID, now)
}

// judgeCard activates or updates a card. a.mu is held.
func judgeCard(a *app, c *card, req cardRequest, now time.Time) answer {
	content, status, code := readContent(req.ContentJSON)
	switch {
	case code != 0:
	case !c.active && payment(req.NotifyType) && !goodCheck(req.CheckJSON):
		code = 85433
	case c.active && status < c.status:
		code = 85439
	case c.active && status == c.status:
		code = 85448
	case a.sensitiveText(content):
		code = 85442
	}
	if code != 0 {
		return refusal(now, APISetUserNotify, code, "")
	}
	if !c.active {
		c.expires = now.Add(updatesOf(req.NotifyType))
	}
	c.active, c.status, c.content = true, status, content
	return ok()
}

// judgeCardExt adds details to a card, which must be JSON and no more. a.mu is held.
func judgeCardExt(_ *app, _ *card, req cardRequest, now time.Time) answer {
	if _, code := readObject(req.ExtJSON, 85470, 85471); code != 0 {
		return refusal(now, APISetUserNotifyExt, code, "")
	}
	return ok()
}

// judgeGetCard tells what is known of a card. a.mu is held.
func judgeGetCard(_ *app, c *card, req cardRequest, _ time.Time) answer {
	type notifyInfo struct {
		NotifyType     int    `json:"notify_type"`
		ContentJSON    string `json:"content_json"`
		CodeState      int    `json:"code_state"`
		CodeExpireTime int64  `json:"code_expire_time"`
	}
	body, err := json.Marshal(struct {
		Errcode    int        `json:"errcode"`
		Errmsg     string     `json:"errmsg"`
		NotifyInfo notifyInfo `json:"notify_info"`
	}{0, "ok", notifyInfo{req.NotifyType, c.content, c.codeState, c.expires.Unix()}})
	if err != nil { // texts and numbers always encode
		panic(err)
	}
	return answer{body: body}
}

// readContent reads content_json, which must have a state.
func readContent(text *string) (content string, status int64, code int) {
	fields, code := readObject(text, 85435, 85443)
	if code != 0 {
		return "", 0, code
	}
	raw, ok := fields["cur_status"]
	if !ok {
		return "", 0, 85440
	}
	status, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return "", 0, 85441
	}
	return *text, status, 0
}

// readObject reads a string that holds a JSON object.
func readObject(text *string, invalid, garbled int) (map[string]json.RawMessage, int) {
	var fields map[string]json.RawMessage
	switch {
	case text != nil && !utf8.ValidString(*text):
		return nil, garbled
	case text == nil, json.Unmarshal([]byte(*text), &fields) != nil, fields == nil:
		return nil, invalid
	}
	return fields, 0
}

// goodCheck tells whether check_json names a payment.
func goodCheck(text *string) bool {
	var check struct {
		Amount *uint32 `json:"pay_amount"`
		Time   *uint32 `json:"pay_time"`
	}
	return text != nil && json.Unmarshal([]byte(*text), &check) == nil && check.Amount != nil && check.Time != nil
}

func (a *app) sensitiveText(text string) bool {
	for _, word := range a.cfg.SensitiveWords {
		if strings.Contains(text, word) {
			return true
		}
	}
	return false
}

// name is what the report calls a call about a card: the value of idKey in its JSON, or a hash of the whole.
func (req cardRequest) name(idKey string) string {
	h := sha256.New()
	enc := json.NewEncoder(h)
	_ = enc.Encode(req) // texts and numbers always encode
	for _, text := range []*string{req.ContentJSON, req.ExtJSON} {
		fields, code := readObject(text, 1, 1)
		var id string
		if code == 0 && json.Unmarshal(fields[idKey], &id) == nil && id != "" && len(id) <= maxIDLength {
			return id
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}
