// Package errcode knows what WeChat's errcodes mean for a message: which class
// of outcome a code belongs to, what it says in plain words, and what a person
// can do about it, in English and in Chinese. Retries, metrics, dead letters,
// the status of a notification and both READMEs read this one table, so they
// cannot disagree.
//
// The classes follow what must happen next, not what went wrong: two codes of
// one class are handled alike.
package errcode

import "slices"

// Class says what happens to a message after an answer. It is a closed set,
// used as a metric label.
type Class string

// The classes, in the order of the outcome table.
const (
	// Accepted: WeChat took the message over. Delivery is told later, by a push.
	Accepted Class = "accepted"
	// Token: the access_token is no longer good. Renew it and try once more.
	Token Class = "token"
	// Transient: nothing is wrong with the message. Back off and try again.
	Transient Class = "transient"
	// Unlisted: an errcode this table does not have. A few tries, then a person.
	Unlisted Class = "unlisted"
	// Unknown: the request was written and no readable answer came, so the
	// message may or may not have been accepted. No errcode has this class.
	Unknown Class = "unknown"
	// Throttled: the quota of this minute is used up.
	Throttled Class = "throttled"
	// Exhausted: a daily or monthly quota is used up.
	Exhausted Class = "exhausted"
	// Refused: WeChat declines this message and nobody can repair it. It is the
	// normal end of a message to a user who did not consent, and no alarm.
	Refused Class = "refused"
	// Invalid: this one request is wrong and will be wrong again.
	Invalid Class = "invalid"
	// Misconfigured: the account, its secret or its rights are wrong, so every
	// message would fail until a person fixes it.
	Misconfigured Class = "misconfigured"
)

// Classes lists every class, in the order of the outcome table.
func Classes() []Class {
	return []Class{
		Accepted, Token, Transient, Unlisted, Unknown,
		Throttled, Exhausted, Refused, Invalid, Misconfigured,
	}
}

// Short names of the calls to WeChat, as metrics and errors use them.
const (
	APIToken         = "token"           // GET /cgi-bin/token
	APIStableToken   = "stable_token"    // POST /cgi-bin/stable_token
	APISubscribeSend = "subscribe_send"  // POST /cgi-bin/message/subscribe/send
	APITemplateSend  = "template_send"   // POST /cgi-bin/message/wxopen/template/send
	APICodeToSession = "code_to_session" // GET /sns/jscode2session
	APIGetTemplates  = "get_templates"   // GET /wxaapi/newtmpl/gettemplate
	APIGetQuota      = "get_quota"       // POST /cgi-bin/openapi/quota/get

	APIDeviceSend       = "device_send"         // POST /cgi-bin/message/device/subscribe/send
	APISetUserNotify    = "set_user_notify"     // POST /wxa/set_user_notify
	APISetUserNotifyExt = "set_user_notify_ext" // POST /wxa/set_user_notifyext
	APIGetUserNotify    = "get_user_notify"     // POST /wxa/get_user_notify
)

// APIs lists the short names of all calls.
func APIs() []string {
	return []string{
		APIToken, APIStableToken, APISubscribeSend,
		APITemplateSend, APICodeToSession, APIGetTemplates, APIGetQuota,
		APIDeviceSend, APISetUserNotify, APISetUserNotifyExt, APIGetUserNotify,
	}
}

// Entry is one row of the table. Every text is one or two short sentences
// without the end of line or the bar character, so that it fits a table cell.
type Entry struct {
	Code  int
	Class Class
	// TokenCalls marks a row that holds only for the calls that carry the AppSecret
	// and no access_token (APIToken, APIStableToken and APICodeToSession), where
	// the code means something else than elsewhere.
	TokenCalls bool
	Meaning    string
	MeaningZH  string
	Remedy     string
	RemedyZH   string
}

// key finds a row: a code can have a second row for the token calls.
type key struct {
	code       int
	tokenCalls bool
}

var index = indexTable()

func indexTable() map[key]Entry {
	m := make(map[key]Entry)
	for _, e := range table() {
		m[key{e.Code, e.TokenCalls}] = e
	}
	return m
}

func table() []Entry {
	return slices.Concat(accountTable(), sendTable(), cardTable(), managementTable())
}

// Lookup gives the row that holds for most calls. A code that is not in the
// table gets an entry of class Unlisted with a general meaning and remedy.
func Lookup(code int) Entry {
	if e, ok := index[key{code: code}]; ok {
		return e
	}
	return unlisted(code)
}

// LookupFor is Lookup for the answer of one call, named by its API constant.
// It matters where WeChat gives one code two meanings: 40001 is a stale token
// on most calls and a wrong AppSecret on those that carry one.
func LookupFor(api string, code int) Entry {
	switch api {
	case APIToken, APIStableToken, APICodeToSession:
		if e, ok := index[key{code, true}]; ok {
			return e
		}
	}
	return Lookup(code)
}

// Known reports whether the table has the code.
func Known(code int) bool {
	_, ok := index[key{code: code}]
	return ok
}

// All lists the table sorted by code; a row for the token calls alone follows
// the general row of its code.
func All() []Entry {
	all := table()
	slices.SortFunc(all, func(a, b Entry) int {
		switch {
		case a.Code != b.Code:
			return a.Code - b.Code
		case a.TokenCalls == b.TokenCalls:
			return 0
		case b.TokenCalls:
			return -1
		}
		return 1
	})
	return all
}

func unlisted(code int) Entry {
	return Entry{
		Code: code, Class: Unlisted,
		Meaning:   "WeChat answered a code this version does not know.",
		MeaningZH: "微信返回了本版本尚未收录的错误码。",
		Remedy:    "Look the code up in WeChat's documentation, then replay the message if it is still wanted; please report the code to us.",
		RemedyZH:  "请到微信官方文档查询该错误码，如仍需要，再重放该消息；也欢迎向我们反馈这个错误码。",
	}
}
