package wechat

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strings"
	"syscall"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Error is why a call failed. No field holds a token, a secret, a login code, a
// session_key, an openid, a form_id, message content or a URL.
type Error struct {
	API        string // an API constant of tasks/errcode
	Code       int    // WeChat's errcode; 0 when none was read
	HTTPStatus int    // 0 when no answer began
	// Message is WeChat's errmsg without its rid and without anything private, at
	// most 200 characters; without an errcode, what went wrong.
	Message string
	RID     string // WeChat's id of the request, for its support; "" if it gave none
	Class   errcode.Class
	// Written tells whether any byte of the request may have left this process. A
	// request that was not written has not been carried out.
	Written bool
	// Err is the cause where a caller may want to know it: context.Canceled,
	// context.DeadlineExceeded (the call as a whole took too long),
	// os.ErrDeadlineExceeded (one step did), syscall.Errno, *net.DNSError, an error
	// of crypto/x509, io.ErrUnexpectedEOF. Often nil.
	Err error `json:"-"`
}

// Error gives the API, the code or the lack of one, the message and the class.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("wechat: " + e.API + ": ")
	if e.Code != 0 {
		fmt.Fprintf(&b, "errcode %d: ", e.Code)
	}
	b.WriteString(e.Message + " (" + string(e.Class))
	if !e.Written {
		b.WriteString(", not written")
	}
	if e.RID != "" {
		b.WriteString(", rid " + e.RID)
	}
	b.WriteString(")")
	return b.String()
}

// GoString keeps %#v to the text of Error.
func (e *Error) GoString() string { return e.Error() }

// Unwrap gives the cause, if there is one to know.
func (e *Error) Unwrap() error { return e.Err }

// dataKey is how errcode 47003 names the value it refuses.
var dataKey = regexp.MustCompile(`\bdata\.\w+\.value\b`)

// Detail is the part of the message worth recording: the key 47003 names, such
// as data.thing1.value, or the IP address 40164 names; else the whole message.
func (e *Error) Detail() string {
	if key := dataKey.FindString(e.Message); key != "" {
		return key
	}
	for _, word := range strings.FieldsFunc(e.Message, func(r rune) bool { return r == ' ' || r == ',' }) {
		if _, err := netip.ParseAddr(word); err == nil {
			return word
		}
	}
	return e.Message
}

// refused is the failure WeChat's errcode tells.
func (r request) refused(status, code int, a answer) *Error {
	if a.SessionKey { // WeChat never sends both; whoever does may repeat the one in the other.
		a.ErrMsg.text = "the errmsg is withheld, a session_key came with it"
	}
	message, rid := r.private.clean(a.ErrMsg.text, a.AccessToken.text, a.OpenID.text)
	return &Error{
		API: r.api, Code: code, HTTPStatus: status, Message: message, RID: rid,
		Class: errcode.LookupFor(r.api, code).Class, Written: true,
	}
}

// failed is an answer without a usable errcode.
func (r request) failed(status int, class errcode.Class, message string) *Error {
	return &Error{API: r.api, HTTPStatus: status, Message: message, Class: class, Written: true}
}

// unanswered is a call that ended before an answer was read whole.
func (r request) unanswered(ctx context.Context, err error, written bool) *Error {
	class := errcode.Transient
	if written {
		class = errcode.Unknown
	}
	var message string
	var cause error
	switch ended := ctx.Err(); {
	case ended == nil:
		message, cause = describe(err)
		message = bounded(message)
	case errors.Is(ended, context.Canceled):
		message, cause = "canceled", ended
	case written:
		message, cause = "no complete answer in time", ended
	default:
		message, cause = "no connection in time", ended
	}
	return &Error{API: r.api, Message: message, Class: class, Written: written, Err: cause}
}

// describe takes an error of net/http apart and keeps of it only what is known
// to hold no URL and nothing the other side wrote: host names, addresses, and
// error numbers. The second result is nil where nothing safe is worth keeping.
func describe(err error) (string, error) {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return describeOp(op)
	}
	if text, cause := describeConnect(err); text != "" {
		return text, cause
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		return errno.Error(), errno
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return "timed out", os.ErrDeadlineExceeded
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed before the answer was complete", io.ErrUnexpectedEOF
	}
	if large, ok := errors.AsType[oversize](err); ok {
		return large.Error(), nil
	}
	return "the http exchange broke off", nil
}

// describeOp names the step that failed, the address and the cause.
func describeOp(op *net.OpError) (string, error) {
	where := op.Op
	if op.Addr != nil {
		where += " " + op.Addr.String()
	}
	if op.Op == "remote error" || op.Op == "local error" { // A TLS alert, from a fixed list.
		return where + ": " + op.Err.Error(), nil
	}
	text, cause := describe(op.Err)
	return where + ": " + text, cause
}

// describeConnect knows what fails before there is a connection.
func describeConnect(err error) (string, error) {
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		return dns.Error(), dns
	}
	if proxy, ok := errors.AsType[proxyStatus](err); ok {
		return proxy.Error(), nil
	}
	if cert, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "tls: " + cert.Err.Error(), cert.Err
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "tls: the other side does not speak TLS", nil
	}
	if errors.Is(err, errProxySetting) {
		return errProxySetting.Error(), nil
	}
	return "", nil
}
