package wechat

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// TemplateMessage is a form_id template message to one user. It prints without
// the user, the form_id and the content.
type TemplateMessage struct {
	ToUser     string // openid of this very Mini Program
	TemplateID string
	// Page opens on a tap, a query is allowed; nil leaves it out, and then the card
	// does not jump.
	Page *string
	// FormID is what the user's form submission gave, good for one message within
	// 7 days, or the prepay_id of a payment of theirs, good for three.
	FormID string
	// Data has a value for each placeholder of the template, such as keyword1.
	// Empty, it is left out, which sends the template as it is.
	Data map[string]string
	// EmphasisKeyword is the value to print large, such as keyword1.DATA; "" leaves
	// it out.
	EmphasisKeyword string
}

// String shows the template alone.
func (m TemplateMessage) String() string { return "template message of template " + m.TemplateID }

// Format is String for every verb: %d would print the fields.
func (m TemplateMessage) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue is String.
func (m TemplateMessage) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON is String, too; the form WeChat wants is made by SendTemplate alone.
func (m TemplateMessage) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// SendTemplate sends a message by POST /cgi-bin/message/wxopen/template/send,
// which WeChat retired on 2020-01-10 and answers with errcode 45103 since; private
// gateways still take it. What counts as a success, and the error, are those of
// SendSubscribe.
func (c *Client) SendTemplate(ctx context.Context, accessToken string, m TemplateMessage) (SendResult, error) {
	r := request{
		api:      errcode.APITemplateSend,
		endpoint: c.templateSendURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     appendTemplateMessage(make([]byte, 0, 512), m),
		private:  redactor{secrets: [3]string{accessToken, m.ToUser, m.FormID}, content: m.Data},
		missing:  missingAcceptance,
	}
	if m.Page != nil {
		r.private.page = *m.Page
	}
	return c.send(ctx, r)
}

// appendTemplateMessage appends the JSON WeChat wants.
func appendTemplateMessage(b []byte, m TemplateMessage) []byte {
	b = appendString(append(b, `{"touser":`...), m.ToUser)
	b = appendString(append(b, `,"template_id":`...), m.TemplateID)
	if m.Page != nil {
		b = appendString(append(b, `,"page":`...), *m.Page)
	}
	b = appendString(append(b, `,"form_id":`...), m.FormID)
	if len(m.Data) > 0 {
		b = appendData(b, m.Data)
	}
	if m.EmphasisKeyword != "" {
		b = appendString(append(b, `,"emphasis_keyword":`...), m.EmphasisKeyword)
	}
	return append(b, '}')
}
