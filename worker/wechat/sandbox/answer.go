package sandbox

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxBody bounds the body of a request, in bytes.
const maxBody = 1 << 20

// answer is what WeChat decides on a call: an errcode, 0 for success, and the body that says so. No body means that the
// call was never judged.
type answer struct {
	code    int
	body    []byte
	receipt *delivery // what WeChat pushes about an accepted send, nil for nothing
}

// errmsgs holds WeChat's wording where a report shows it (40001, 40125, 40163, 40164, 43101, 43108, 45009,
// 45103, 47003); the rest is ours.
var errmsgs = map[int]string{
	-1:      "system error",
	40001:   "invalid credential, access_token is invalid or not latest, could get access_token by getStableAccessToken, more details at https://mmbizurl.cn/s/JtxxFh33r",
	40002:   "invalid grant_type",
	40003:   "invalid openid",
	40013:   "invalid appid",
	40014:   "invalid access_token",
	40029:   "invalid code",
	40037:   "invalid template_id",
	40125:   "invalid appsecret",
	40163:   "code been used",
	40164:   "not in whitelist",
	40226:   "code blocked",
	40243:   "appsecret is frozen",
	41001:   "access_token missing",
	41002:   "appid missing",
	41004:   "appsecret missing",
	41008:   "missing code",
	41028:   "invalid form id",
	41029:   "form id has been used",
	41030:   "invalid page",
	42001:   "access_token expired",
	43002:   "require POST method",
	43101:   "user refuse to accept the msg",
	43107:   "subscribe message ability is blocked",
	43108:   "Cannot make concurrent calls to the same OpenID, please try again",
	44002:   "empty post data",
	404:     "method not allowed",
	45009:   "reach max api daily quota limit",
	45011:   "api minute-quota reach limit, must slower, retry next minute",
	45103:   "This API has been unsupported",
	45168:   "content hits sensitive words",
	47001:   "data format error",
	48001:   "api unauthorized",
	48006:   "forbid to clear quota because of reaching the limit",
	40032:   "invalid openid list size",
	85431:   "system error",
	85433:   "invalid check_json",
	85434:   "invalid notify_type",
	85435:   "invalid content_json",
	85436:   "notify_code is banned",
	85437:   "notify_code does not exist",
	85438:   "notify_code is expired",
	85439:   "invalid card status",
	85440:   "lack of field",
	85441:   "invalid field format",
	85442:   "content audit failed",
	85443:   "content_json is not utf-8",
	85448:   "notify has been pushed",
	85449:   "notify_code is locked",
	85461:   "notify_type is denied",
	85462:   "app is denied",
	85470:   "invalid ext_json",
	85471:   "ext_json is not utf-8",
	9800001: "sn too long",
	9800002: "invalid sn",
	9800003: "invalid model_id",
	9800006: "model_id and sn do not match",
	76021:   "cgi_path not found, please check",
	76022:   "could not use this cgi_path,no permission",
}

// refusal is an error answer with the errmsg that belongs to its code.
func refusal(now time.Time, api string, code int, caller string) answer {
	msg, ok := errmsgs[code]
	switch {
	case !ok:
		msg = "refused by script"
	case code == 40001 && takesSecret(api):
		msg = "invalid credential" // here it means the secret, not a token
	case code == 40164:
		msg = fmt.Sprintf("invalid ip %s ipv6 ::ffff:%s, not in whitelist", caller, caller)
	}
	return refusalText(now, code, msg)
}

// refusalText is an error answer as WeChat writes it: errmsg ends with a rid.
func refusalText(now time.Time, code int, msg string) answer {
	body, err := json.Marshal(struct {
		Errcode int    `json:"errcode"`
		Errmsg  string `json:"errmsg"`
	}{code, msg + " rid: " + newRID(now)})
	if err != nil { // a number and a string always encode
		panic(err)
	}
	return answer{code: code, body: body}
}

// newRID names a request as WeChat does: three groups of eight hex digits, the first the time in seconds.
func newRID(now time.Time) string {
	return fmt.Sprintf("%08x-%08x-%08x", uint32(now.Unix()), rand.Uint32(), rand.Uint32())
}

// acceptance is the success answer of a send.
func acceptance(msgID int64, quoted bool) answer {
	b := append(make([]byte, 0, 64), `{"errcode":0,"errmsg":"ok","msgid":`...)
	if quoted {
		b = append(b, '"')
	}
	b = strconv.AppendInt(b, msgID, 10)
	if quoted {
		b = append(b, '"')
	}
	return answer{body: append(b, '}')}
}

func writeAnswer(w http.ResponseWriter, body []byte) {
	announce(w, body)
	_, _ = w.Write(body) // a client that left has no use for the error
}

// announce sets the headers of an answer. A call of another content type has set its own.
func announce(w http.ResponseWriter, body []byte) {
	h := w.Header()
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = []string{"application/json; encoding=utf-8"}
	}
	h["Content-Length"] = []string{strconv.Itoa(len(body))}
}

// writePage answers with the page of the web server in front of WeChat's services.
func writePage(w http.ResponseWriter, status int) {
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(status)
	_, _ = fmt.Fprintf(w, "<html>\r\n<head><title>%s</title></head>\r\n<body>\r\n<center><h1>%s</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n", title, title)
}

// readBody reads a POST's body whole. Otherwise it returns the status of the page that turns the request away: 412 without a
// Content-Length (as reported of WeChat), 413 when too long, 400 when it ended early.
func readBody(r *http.Request) (body []byte, status int) {
	switch {
	case r.ContentLength < 0:
		return nil, http.StatusPreconditionFailed
	case r.ContentLength > maxBody:
		return nil, http.StatusRequestEntityTooLarge
	case r.ContentLength == 0:
		return nil, 0
	}
	body = make([]byte, r.ContentLength)
	if _, err := io.ReadFull(r.Body, body); err != nil {
		return nil, http.StatusBadRequest
	}
	return body, 0
}

func callerOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
