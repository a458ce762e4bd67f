package wechat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// maxToken bounds an access_token; WeChat asks to leave room for 512 characters.
const maxToken = 2048

// Credential is what an app proves itself with. It prints without its secret.
type Credential struct {
	AppID  string
	Secret string
}

// String shows the AppID alone.
func (c Credential) String() string { return "credential of " + c.AppID + " " + hidden }

// Format is String for every verb: %d would print the fields.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Credential) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String, too: a credential is never stored by marshalling it.
func (c Credential) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// AccessToken is a token as WeChat gave it. It prints without its value.
type AccessToken struct {
	Value     string
	ExpiresIn time.Duration // counted from WeChat's answer, above zero
}

// String shows the remaining life alone.
func (t AccessToken) String() string {
	return fmt.Sprintf("access token %s, expires in %s", hidden, t.ExpiresIn)
}

// Format is String for every verb: %d would print the fields.
func (t AccessToken) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, t.String()) }

// LogValue is String.
func (t AccessToken) LogValue() slog.Value { return slog.StringValue(t.String()) }

// MarshalJSON is String, too: who stores a token stores its Value.
func (t AccessToken) MarshalJSON() ([]byte, error) { return json.Marshal(t.String()) }

// Token asks GET /cgi-bin/token for a new access_token. The earlier token of the
// app stays good for 5 minutes. The error is an *Error; an answer without a
// usable token has class errcode.Unknown.
func (c *Client) Token(ctx context.Context, cred Credential) (AccessToken, error) {
	return c.accessToken(ctx, request{
		api:      errcode.APIToken,
		endpoint: c.tokenURL,
		query: "grant_type=client_credential&appid=" + url.QueryEscape(cred.AppID) +
			"&secret=" + url.QueryEscape(cred.Secret),
		private: redactor{secrets: [3]string{cred.Secret}},
		missing: missingToken,
	})
}

// StableToken asks POST /cgi-bin/stable_token for the app's current access_token
// and its remaining life. It leaves the tokens of Token alone, as Token does
// its. force makes WeChat replace the token: allowed 20 times a day, 30 s apart,
// and meant for a leaked token only. Errors are those of Token.
func (c *Client) StableToken(ctx context.Context, cred Credential, force bool) (AccessToken, error) {
	body := appendString([]byte(`{"grant_type":"client_credential","appid":`), cred.AppID)
	body = appendString(append(body, `,"secret":`...), cred.Secret)
	body = strconv.AppendBool(append(body, `,"force_refresh":`...), force)
	return c.accessToken(ctx, request{
		api:      errcode.APIStableToken,
		endpoint: c.stableTokenURL,
		body:     append(body, '}'),
		private:  redactor{secrets: [3]string{cred.Secret}},
		missing:  missingToken,
	})
}

func (c *Client) accessToken(ctx context.Context, r request) (AccessToken, error) {
	a, err := c.call(ctx, r)
	if err != nil {
		return AccessToken{}, err
	}
	seconds, _ := a.lifetime() // missingToken has seen it.
	return AccessToken{Value: a.AccessToken.text, ExpiresIn: time.Duration(seconds) * time.Second}, nil
}

// lifetime reads expires_in, in seconds. 32 bits are enough: 7200 is usual.
func (a answer) lifetime() (int64, error) {
	return strconv.ParseInt(a.ExpiresIn.text, 10, 32)
}

func missingToken(a answer) string {
	token := a.AccessToken
	if !token.quoted || token.text == "" || len(token.text) > maxToken || strings.ContainsFunc(token.text, notVisible) {
		return "the answer has no usable access_token"
	}
	if seconds, err := a.lifetime(); err != nil || seconds <= 0 {
		return "the answer has no usable expires_in"
	}
	return ""
}

func notVisible(r rune) bool { return r <= ' ' || r > '~' }
