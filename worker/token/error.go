package token

import (
	"errors"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// Error is why an app has no token, or why it was not renewed. No field holds a
// token or a secret.
type Error struct {
	App string
	// Class is Transient (try again later), Exhausted (WeChat's quota of token
	// calls is used up) or Misconfigured (a person must fix the app). The message
	// that needed the token is never at fault.
	Class errcode.Class
	Code  int    // WeChat's errcode; 0 when none was read
	What  string // what happened, in words
	// Err is the cause where one is known: a *wechat.Error, an error of Redis or of
	// the context. Nil when the answer comes from what is remembered.
	Err error `json:"-"`
}

// Error names the app, what happened and the cause.
func (e *Error) Error() string {
	text := "token: app " + e.App + ": " + e.What
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

// Unwrap gives the cause, if there is one to know.
func (e *Error) Unwrap() error { return e.Err }

// verdict is what the class of a token call's answer means for those who need
// the token. A call without a readable answer left nothing behind that could
// hurt, so Unknown is Transient here; the limit of calls per minute is over
// soon; and whatever speaks against the request speaks against the app's
// configuration, never against a message waiting for the token. That holds for
// an unlisted errcode too: better that a person looks than that messages are
// buried for it.
func verdict(c errcode.Class) errcode.Class {
	switch c {
	case errcode.Transient, errcode.Unknown, errcode.Throttled, errcode.Token:
		return errcode.Transient
	case errcode.Exhausted:
		return errcode.Exhausted
	default:
		return errcode.Misconfigured
	}
}

// After a failure nobody asks WeChat again for a while that doubles from first
// to longest. A wrong secret or a refused IP is asked about less than 2 000 times
// a day, WeChat's limit for token calls (wechat-api 1.1), and still heals within
// a minute after it was fixed.
type backoff struct{ first, longest time.Duration }

func holdOff(c errcode.Class) backoff {
	if c == errcode.Transient {
		return backoff{first: time.Second, longest: 15 * time.Second}
	}
	return backoff{first: 3 * time.Second, longest: 45 * time.Second}
}

// errUnusable is an answer no client should pass on: no value, or no life left.
var errUnusable = errors.New("the answer has no usable token")

// fetchError judges what a call returned. Of an error that is no *wechat.Error
// nobody knows whether its text holds the secret, so the text is not kept.
func fetchError(app string, err error) *Error {
	e := &Error{App: app, Class: errcode.Transient, What: "wechat gave no token"}
	if answer, ok := errors.AsType[*wechat.Error](err); ok {
		e.Class, e.Code, e.Err = verdict(answer.Class), answer.Code, answer
	}
	return e
}

func (e *Error) detail() string {
	if answer, ok := errors.AsType[*wechat.Error](e.Err); ok {
		return answer.Detail()
	}
	return ""
}

func unavailable(app string, err error) *Error {
	e := &Error{App: app, Class: errcode.Transient, Err: err, What: "redis does not answer"}
	if refused := tasks.Forbidden(err); refused != nil {
		e.Err, e.What = refused, "redis refuses this process's user"
	}
	e.What += ", and without it no token is fetched"
	return e
}

func heldOff(app string, f Failure, wait time.Duration) *Error {
	what := "wechat gave no token"
	if f.Code != 0 {
		what = fmt.Sprintf("wechat answered errcode %d", f.Code)
	}
	if f.Detail != "" {
		what += " (" + f.Detail + ")"
	}
	return &Error{
		App: app, Class: f.Class, Code: f.Code,
		What: fmt.Sprintf("%s, and is not asked again for %s", what, wait.Round(time.Second/10)),
	}
}

func budgetSpent(app string, limit int, wait time.Duration) *Error {
	return &Error{
		App: app, Class: errcode.Transient,
		What: fmt.Sprintf("wechat was asked for a token %d times in this minute, the next question may be asked in %s",
			limit, wait.Round(time.Second/10)),
	}
}

func interrupted(app string, err error) *Error {
	return &Error{App: app, Class: errcode.Transient, What: "gave up waiting for a token", Err: err}
}
