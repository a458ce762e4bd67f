package wechat

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/url"
	"slices"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// SubscribeMessage is a subscription message to one user. It prints without the
// user and the content.
type SubscribeMessage struct {
	ToUser     string // openid of this very Mini Program
	TemplateID string
	// Page opens on a tap, a query is allowed; nil leaves it out, and then, as with
	// an empty one, the card does not jump.
	Page *string
	// Data has a value for each placeholder of the template, such as thing1.
	Data map[string]string
	// MiniprogramState is developer, trial or formal. "" is sent as formal.
	MiniprogramState string
	// Lang is zh_CN, en_US, zh_HK or zh_TW. "" is sent as zh_CN.
	Lang string
}

// String shows the template alone.
func (m SubscribeMessage) String() string { return "subscribe message of template " + m.TemplateID }

// Format is String for every verb: %d would print the fields.
func (m SubscribeMessage) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue is String.
func (m SubscribeMessage) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON is String, too; the form WeChat wants is made by SendSubscribe alone.
func (m SubscribeMessage) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// SendResult is WeChat's word that it took a message over.
type SendResult struct {
	// MsgID is the number, in decimal, that the push about the delivery will name.
	// WeChat's documentation does not promise it: "" when the answer had none.
	MsgID string
}

// SendSubscribe sends a message by POST /cgi-bin/message/subscribe/send. Success
// means that WeChat accepted it, not that the user got it. The error is an *Error.
//
// An answer is a success if its errcode is 0, or if it has no errcode but a
// msgid, since WeChat leaves errcode out of some successes. An answer with
// neither, such as {}, has class errcode.Unknown: a gateway's page is more likely
// than an acceptance.
func (c *Client) SendSubscribe(ctx context.Context, accessToken string, m SubscribeMessage) (SendResult, error) {
	r := request{
		api:      errcode.APISubscribeSend,
		endpoint: c.subscribeSendURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     appendMessage(make([]byte, 0, 512), m),
		private:  redactor{secrets: [3]string{accessToken, m.ToUser}, content: m.Data},
		missing:  missingAcceptance,
	}
	if m.Page != nil {
		r.private.page = *m.Page
	}
	return c.send(ctx, r)
}

func (c *Client) send(ctx context.Context, r request) (SendResult, error) {
	a, err := c.call(ctx, r)
	if err != nil {
		return SendResult{}, err
	}
	return SendResult{MsgID: a.msgID()}, nil
}

func missingAcceptance(a answer) string {
	if _, present, _ := a.code(); !present && a.msgID() == "" {
		return "the answer has neither errcode nor msgid"
	}
	return ""
}

// appendMessage appends the JSON WeChat wants. State and language have defaults
// in WeChat, yet its newest page calls them required: they are always sent.
func appendMessage(b []byte, m SubscribeMessage) []byte {
	b = appendString(append(b, `{"touser":`...), m.ToUser)
	b = appendString(append(b, `,"template_id":`...), m.TemplateID)
	if m.Page != nil {
		b = appendString(append(b, `,"page":`...), *m.Page)
	}
	b = appendString(append(b, `,"miniprogram_state":`...), cmp.Or(m.MiniprogramState, "formal"))
	b = appendString(append(b, `,"lang":`...), cmp.Or(m.Lang, "zh_CN"))
	return append(appendData(b, m.Data), '}')
}

// appendData appends the member data. Its keys are sorted, so that one message
// always gives the same bytes.
func appendData(b []byte, data map[string]string) []byte {
	b = append(b, `,"data":{`...)
	keys := slices.AppendSeq(make([]string, 0, len(data)), maps.Keys(data))
	slices.Sort(keys)
	for i, key := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, key)
		b = appendString(append(b, `:{"value":`...), data[key])
		b = append(b, '}')
	}
	return append(b, '}')
}
