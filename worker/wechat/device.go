package wechat

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// DeviceMessage is a subscription message about a device to several users. It prints
// without the users, the device's number and the content.
type DeviceMessage struct {
	// ToOpenIDs are openids of this very Mini Program. WeChat answers 40032 for more than it
	// takes at once, and publishes no number.
	ToOpenIDs []string
	// SN is the device's serial number and ModelID its model, as at subscription.
	SN, ModelID string
	TemplateID  string // of a device template
	// Page opens on a tap, a query is allowed; nil leaves it out, and then the card does
	// not jump.
	Page *string
	// Data has a value for each placeholder of the template. They are WeChat's own enums.
	Data map[string]string
	// MiniprogramState and Lang are those of SubscribeMessage.
	MiniprogramState, Lang string
}

// String shows the template alone.
func (m DeviceMessage) String() string { return "device message of template " + m.TemplateID }

// Format is String for every verb: %d would print the fields.
func (m DeviceMessage) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, m.String()) }

// LogValue is String.
func (m DeviceMessage) LogValue() slog.Value { return slog.StringValue(m.String()) }

// MarshalJSON is String, too; the form WeChat wants is made by SendDevice alone.
func (m DeviceMessage) MarshalJSON() ([]byte, error) { return json.Marshal(m.String()) }

// SendDevice sends a message by POST /cgi-bin/message/device/subscribe/send. What counts
// as a success, and the error, are those of SendSubscribe.
func (c *Client) SendDevice(ctx context.Context, accessToken string, m DeviceMessage) (SendResult, error) {
	r := request{
		api:      errcode.APIDeviceSend,
		endpoint: c.deviceSendURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		body:     appendDeviceMessage(make([]byte, 0, 1024), m),
		private:  redactor{secrets: [3]string{accessToken, m.SN}, people: m.ToOpenIDs, content: m.Data},
		missing:  missingAcceptance,
	}
	if m.Page != nil {
		r.private.page = *m.Page
	}
	return c.send(ctx, r)
}

// appendDeviceMessage appends the JSON WeChat wants. Its page calls the model modelId,
// users report that the server wants model_id: both are sent.
func appendDeviceMessage(b []byte, m DeviceMessage) []byte {
	b = append(b, `{"to_openid_list":[`...)
	for i, openID := range m.ToOpenIDs {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, openID)
	}
	b = appendString(append(b, `],"sn":`...), m.SN)
	b = appendString(append(b, `,"modelId":`...), m.ModelID)
	b = appendString(append(b, `,"model_id":`...), m.ModelID)
	b = appendString(append(b, `,"template_id":`...), m.TemplateID)
	if m.Page != nil {
		b = appendString(append(b, `,"page":`...), *m.Page)
	}
	b = appendString(append(b, `,"miniprogram_state":`...), cmp.Or(m.MiniprogramState, "formal"))
	b = appendString(append(b, `,"lang":`...), cmp.Or(m.Lang, "zh_CN"))
	return append(appendData(b, m.Data), '}')
}
