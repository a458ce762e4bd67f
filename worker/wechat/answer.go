package wechat

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// answer is what WeChat answers to any of our calls. WeChat sends numbers as
// strings and strings as numbers here and there, and leaves errcode out of
// successes, so every field is read leniently and judged afterwards.
type answer struct {
	ErrCode     scalar `json:"errcode"`
	ErrMsg      scalar `json:"errmsg"`
	MsgID       scalar `json:"msgid"`
	AccessToken scalar `json:"access_token"`
	ExpiresIn   scalar `json:"expires_in"`
	OpenID      scalar `json:"openid"`
	// SessionKey is read past: it decrypts what WeChat tells about a user, and
	// nothing here needs it.
	SessionKey presence        `json:"session_key"`
	Data       json.RawMessage `json:"data"`
	Quota      json.RawMessage `json:"quota"`
	RateLimit  json.RawMessage `json:"rate_limit"`
	NotifyInfo json.RawMessage `json:"notify_info"`
}

// presence is whether a JSON member was there; its value is not kept.
type presence bool

// UnmarshalJSON takes any value.
func (p *presence) UnmarshalJSON([]byte) error {
	*p = true
	return nil
}

// scalar is a JSON value as text: of a string its content, of null nothing, of
// anything else its JSON.
type scalar struct {
	text   string
	quoted bool
}

// UnmarshalJSON never fails on valid JSON: one odd field must not hide the rest.
func (s *scalar) UnmarshalJSON(b []byte) error {
	*s = scalar{}
	switch {
	case bytes.Equal(b, []byte("null")):
		return nil
	case b[0] != '"':
		s.text = string(b)
		return nil
	case bytes.IndexByte(b, '\\') < 0:
		s.text, s.quoted = string(b[1:len(b)-1]), true
		return nil
	}
	s.quoted = true
	return json.Unmarshal(b, &s.text)
}

// code reads the errcode. present is false if there is none; an errcode that is
// no number gives an error.
func (a answer) code() (code int, present bool, err error) {
	if a.ErrCode.text == "" {
		return 0, false, nil
	}
	code, err = strconv.Atoi(a.ErrCode.text)
	return code, err == nil, err
}

// msgID is the message's id in decimal; "" if it is absent or no such number.
// It exceeds 2^53, so it never passes through a float.
func (a answer) msgID() string {
	id, err := strconv.ParseUint(a.MsgID.text, 10, 64)
	if err != nil || id == 0 {
		return ""
	}
	return a.MsgID.text
}

// unreadable refuses an answer whose body is not worth reading: redirects, which
// are never followed, because they would carry the token to another place, and
// the start of another protocol, whose body has no end.
func (r request) unreadable(status int) *Error {
	switch {
	case status < 200:
		return r.failed(status, errcode.Unknown, fmt.Sprintf("http status %d instead of an answer", status))
	case status >= 300 && status < 400:
		return r.failed(status, errcode.Unknown, fmt.Sprintf("redirect refused (http status %d)", status))
	}
	return nil
}

// plainlyAccepted reads the answer that nearly every send gets, byte for byte as
// WeChat writes it, without a JSON decoder; anything else goes the long way.
func plainlyAccepted(status int, body []byte) (answer, bool) {
	rest, ok := bytes.CutPrefix(body, []byte(`{"errcode":0,"errmsg":"ok","msgid":`))
	id, closed := bytes.CutSuffix(rest, []byte(`}`))
	if status != http.StatusOK || !ok || !closed || len(id) == 0 || len(id) > maxMsgID {
		return answer{}, false
	}
	for _, c := range id {
		if c < '0' || c > '9' {
			return answer{}, false
		}
	}
	return answer{ErrCode: scalar{text: "0"}, MsgID: scalar{text: string(id)}}, true
}

// maxMsgID is how many digits surely fit into 64 bits.
const maxMsgID = 19

// judge tells success from failure once the answer has been read whole.
//
// An errcode counts whatever the HTTP status, because only WeChat writes one;
// errcode 0 counts only with a 2xx status, because 0 in an error page is a
// contradiction. WeChat answers its own failures with HTTP 200.
func (r request) judge(status int, body []byte) (answer, *Error) {
	if a, ok := plainlyAccepted(status, body); ok && r.missing(a) == "" {
		return a, nil
	}
	var a answer
	badJSON := json.Unmarshal(body, &a)
	code, _, badCode := a.code()
	switch {
	case badJSON == nil && code != 0:
		return answer{}, r.refused(status, code, a)
	case status > 299:
		return answer{}, r.failed(status, classOfStatus(status), fmt.Sprintf("http status %d without an errcode", status))
	case badJSON != nil:
		return answer{}, r.failed(status, errcode.Unknown, "the answer is no JSON object")
	case badCode != nil:
		return answer{}, r.failed(status, errcode.Unknown, "the errcode of the answer is no number")
	}
	if missing := r.missing(a); missing != "" {
		return answer{}, r.failed(status, errcode.Unknown, missing)
	}
	return a, nil
}

// classOfStatus judges an HTTP status that came without an errcode. A 4xx is a
// readable answer: a proxy, a gateway or WeChat's front refused the request
// before it was processed, so nothing was sent and it can be tried again. 408
// and 499 are the exceptions, gateways use them when the server behind them was
// too slow. These and all other statuses leave the outcome open.
func classOfStatus(status int) errcode.Class {
	const clientClosedRequest = 499 // nginx
	if status >= 400 && status < 500 && status != http.StatusRequestTimeout && status != clientClosedRequest {
		return errcode.Transient
	}
	return errcode.Unknown
}
