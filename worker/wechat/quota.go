package wechat

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Paths of the calls that send, as Quota takes them.
const (
	PathSubscribeSend = "/cgi-bin/message/subscribe/send"
	PathTemplateSend  = "/cgi-bin/message/wxopen/template/send"
	PathDeviceSend    = "/cgi-bin/message/device/subscribe/send"
	PathSetUserNotify = "/wxa/set_user_notify"
)

// ErrQuotaNonsense is the cause of an *Error for an answer of Quota whose numbers
// are missing or cannot be true.
var ErrQuotaNonsense = errors.New("wechat: the quota makes no sense")

// Quota is what an app may do with one API today. Limit is above zero and Remain
// between zero and Limit. WeChat says that the counts may be off by about 1 %.
type Quota struct {
	Limit, Used, Remain int64 // calls a day
	// RateCalls are allowed in each RatePeriod; both are zero if WeChat did not tell.
	RateCalls  int64
	RatePeriod time.Duration
}

// Quota asks POST /cgi-bin/openapi/quota/get how much of an API's daily quota is
// left. cgiPath is the API's path, with a leading slash and without host and query.
// The error is an *Error: errcode 76021 or 76003 for a path WeChat does not know,
// 76022 for one whose quota this app cannot ask, as those under /sns/; where
// errors.Is finds ErrQuotaNonsense, the answer was of no use.
func (c *Client) Quota(ctx context.Context, accessToken, cgiPath string) (Quota, error) {
	var q Quota
	var lacks string
	_, err := c.call(ctx, request{
		api:      errcode.APIGetQuota,
		endpoint: c.quotaURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     append(appendString([]byte(`{"cgi_path":`), cgiPath), '}'),
		private:  redactor{secrets: [3]string{accessToken}},
		missing: func(a answer) string {
			q, lacks = readQuota(a)
			return lacks
		},
	})
	if failed := (*Error)(nil); lacks != "" && errors.As(err, &failed) {
		failed.Err = ErrQuotaNonsense
	}
	if err != nil {
		return Quota{}, err
	}
	return q, nil
}

type wireQuota struct {
	DailyLimit scalar `json:"daily_limit"`
	Used       scalar `json:"used"`
	Remain     scalar `json:"remain"`
}

type wireRate struct {
	CallCount     scalar `json:"call_count"`
	RefreshSecond scalar `json:"refresh_second"`
}

// readQuota reads an answer; lacks says what makes it useless, "" if nothing.
func readQuota(a answer) (q Quota, lacks string) {
	var wire wireQuota
	if json.Unmarshal(a.Quota, &wire) != nil {
		return Quota{}, "the answer has no quota"
	}
	for _, field := range []struct {
		name string
		text scalar
		to   *int64
	}{{"daily_limit", wire.DailyLimit, &q.Limit}, {"used", wire.Used, &q.Used}, {"remain", wire.Remain, &q.Remain}} {
		n, err := strconv.ParseInt(field.text.text, 10, 64)
		if err != nil || n < 0 {
			return Quota{}, "the answer has no usable " + field.name
		}
		*field.to = n
	}
	if lacks := q.contradiction(); lacks != "" {
		return Quota{}, lacks
	}
	q.RateCalls, q.RatePeriod = readRate(a.RateLimit)
	return q, ""
}

// overrun is how many times the limit may have been used: calls that were refused
// may count, and a limit may have been lowered, but beyond this it is no limit.
const overrun = 10

// contradiction says why the numbers cannot all be true, "" if they can.
func (q Quota) contradiction() string {
	switch {
	case q.Limit == 0:
		return "the answer has a daily_limit of 0"
	case q.Remain > q.Limit:
		return "the answer has more remain than daily_limit"
	case (q.Used-1)/overrun >= q.Limit: // Used > overrun*Limit, which could overflow
		return "the answer has far more used than daily_limit"
	}
	return ""
}

// maxRatePeriod keeps what WeChat answers from overflowing a time.Duration.
const maxRatePeriod = 24 * time.Hour

// readRate reads what nobody needs to go on: nonsense counts as not told.
func readRate(data json.RawMessage) (calls int64, period time.Duration) {
	var wire wireRate
	if json.Unmarshal(data, &wire) != nil {
		return 0, 0
	}
	calls, err := strconv.ParseInt(wire.CallCount.text, 10, 64)
	seconds, err2 := strconv.ParseInt(wire.RefreshSecond.text, 10, 32)
	period = time.Duration(seconds) * time.Second
	if err != nil || err2 != nil || calls <= 0 || period <= 0 || period > maxRatePeriod {
		return 0, 0
	}
	return calls, period
}
