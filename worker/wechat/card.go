package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Card names a service card of one user. It prints without the user and the code.
type Card struct {
	OpenID string // of this very Mini Program
	// NotifyType is the sort of card, of WeChat's list.
	NotifyType int
	// NotifyCode is the order number of the payment, or what the liveActivity button gave.
	NotifyCode string
}

// String shows the type alone.
func (c Card) String() string { return "service card of type " + strconv.Itoa(c.NotifyType) }

// Format is String for every verb: %d would print the fields.
func (c Card) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// LogValue is String.
func (c Card) LogValue() slog.Value { return slog.StringValue(c.String()) }

// MarshalJSON is String, too; the form WeChat wants is made by the calls alone.
func (c Card) MarshalJSON() ([]byte, error) { return json.Marshal(c.String()) }

// SetUserNotify activates or updates a card by POST /wxa/set_user_notify. content is a JSON
// object with cur_status and the fields of the type; check, a JSON object about the
// payment, goes with the activation of a payment's card and is nil otherwise. What counts as
// a success, and the error, are those of SendSubscribe; there is no msgid.
func (c *Client) SetUserNotify(ctx context.Context, accessToken string, card Card, content, check json.RawMessage) error {
	body := appendCardJSON(appendCard(nil, card), "content_json", content)
	if len(check) > 0 {
		body = appendCardJSON(body, "check_json", check)
	}
	_, err := c.call(ctx, request{
		api:      errcode.APISetUserNotify,
		endpoint: c.setUserNotifyURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     append(body, '}'),
		private:  card.private(accessToken, content, check),
		missing:  missingAcceptance,
	})
	return err
}

// SetUserNotifyExt adds details to a card by POST /wxa/set_user_notifyext. ext is a JSON
// object. The rest is as with SetUserNotify.
func (c *Client) SetUserNotifyExt(ctx context.Context, accessToken string, card Card, ext json.RawMessage) error {
	_, err := c.call(ctx, request{
		api:      errcode.APISetUserNotifyExt,
		endpoint: c.setUserNotifyExtURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     append(appendCardJSON(appendCard(nil, card), "ext_json", ext), '}'),
		private:  card.private(accessToken, ext),
		missing:  missingAcceptance,
	})
	return err
}

// CodeState is how WeChat sees a card's code.
type CodeState int

// The states of a code.
const (
	CodeNormal   CodeState = 0
	CodeRisky    CodeState = 1
	CodeAbnormal CodeState = 2
	CodeRefused  CodeState = 10 // the user wants no more of this card
)

// String says it in a word, or by its number if WeChat's page has none.
func (s CodeState) String() string {
	switch s {
	case CodeNormal:
		return "normal"
	case CodeRisky:
		return "risky"
	case CodeAbnormal:
		return "abnormal"
	case CodeRefused:
		return "refused by the user"
	}
	return strconv.Itoa(int(s))
}

// CardInfo is what WeChat knows of a card.
type CardInfo struct {
	// Status is cur_status of the last content that took effect, -1 before the first.
	Status int64
	State  CodeState
	// Expires is until when the card can be updated; zero if WeChat did not tell.
	Expires time.Time
}

// UserNotify asks by POST /wxa/get_user_notify how a card stands. The error is an *Error.
func (c *Client) UserNotify(ctx context.Context, accessToken string, card Card) (CardInfo, error) {
	a, err := c.call(ctx, request{
		api:      errcode.APIGetUserNotify,
		endpoint: c.getUserNotifyURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     append(appendCard(nil, card), '}'),
		private:  card.private(accessToken),
		missing: func(a answer) string {
			if !bytes.HasPrefix(a.NotifyInfo, []byte("{")) {
				return "the answer has no notify_info"
			}
			return ""
		},
	})
	if err != nil {
		return CardInfo{}, err
	}
	return readCard(a.NotifyInfo), nil
}

type wireCardInfo struct {
	ContentJSON    scalar `json:"content_json"`
	CodeState      scalar `json:"code_state"`
	CodeExpireTime scalar `json:"code_expire_time"`
}

// readCard reads notify_info. What is missing or of an odd type is left out.
func readCard(raw json.RawMessage) CardInfo {
	var w wireCardInfo
	_ = json.Unmarshal(raw, &w) // It is a valid object, and a scalar takes anything.
	info := CardInfo{Status: -1}
	var content struct {
		CurStatus *scalar `json:"cur_status"`
	}
	if json.Unmarshal([]byte(w.ContentJSON.text), &content) == nil && content.CurStatus != nil {
		if n, err := strconv.ParseInt(content.CurStatus.text, 10, 64); err == nil {
			info.Status = n
		}
	}
	state, _ := strconv.Atoi(w.CodeState.text) // an absent one is normal
	info.State = CodeState(state)
	if n, err := strconv.ParseInt(w.CodeExpireTime.text, 10, 64); err == nil && n > 0 {
		info.Expires = time.Unix(n, 0)
	}
	return info
}

// private is what no text may show.
func (c Card) private(accessToken string, objects ...json.RawMessage) redactor {
	return redactor{secrets: [3]string{accessToken, c.OpenID, c.NotifyCode}, objects: objects}
}

// appendCard appends the beginning of a body, which stays open.
func appendCard(b []byte, c Card) []byte {
	b = appendString(append(b, `{"openid":`...), c.OpenID)
	b = strconv.AppendInt(append(b, `,"notify_type":`...), int64(c.NotifyType), 10)
	return appendString(append(b, `,"notify_code":`...), c.NotifyCode)
}

// appendCardJSON appends a member whose value is a string that holds JSON.
func appendCardJSON(b []byte, name string, object json.RawMessage) []byte {
	b = append(appendString(append(b, ','), name), ':')
	return appendString(b, string(object))
}
