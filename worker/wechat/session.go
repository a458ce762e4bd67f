package wechat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strings"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// maxOpenID bounds an openid; real ones have 28 characters.
const maxOpenID = 128

// Session is who a login code stood for. WeChat's answer holds more, which is
// not kept. It prints without the openid.
type Session struct {
	OpenID string // of this very Mini Program
}

// String shows nothing of the user.
func (s Session) String() string { return "session of " + hidden }

// Format is String for every verb: %d would print the fields.
func (s Session) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, s.String()) }

// LogValue is String.
func (s Session) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalJSON is String, too: who stores an openid stores OpenID.
func (s Session) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// CodeToSession exchanges the code that wx.login gave the Mini Program, by GET
// /sns/jscode2session. A code is good for 5 minutes and for one exchange, and
// after a call of class errcode.Unknown it may have been used. The error is an
// *Error; an answer without a usable openid has class errcode.Unknown.
func (c *Client) CodeToSession(ctx context.Context, cred Credential, code string) (Session, error) {
	a, err := c.call(ctx, request{
		api:      errcode.APICodeToSession,
		endpoint: c.codeToSessionURL,
		query: "appid=" + url.QueryEscape(cred.AppID) + "&secret=" + url.QueryEscape(cred.Secret) +
			"&js_code=" + url.QueryEscape(code) + "&grant_type=authorization_code",
		private: redactor{secrets: [3]string{cred.Secret, code}},
		missing: missingOpenID,
	})
	if err != nil {
		return Session{}, err
	}
	return Session{OpenID: a.OpenID.text}, nil
}

func missingOpenID(a answer) string {
	id := a.OpenID
	if !id.quoted || id.text == "" || len(id.text) > maxOpenID || strings.ContainsFunc(id.text, notVisible) {
		return "the answer has no usable openid"
	}
	return ""
}
