package worker

import (
	"context"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// sendTemplate sends kind template.
func sendTemplate(client *wechat.Client) caller {
	return func(ctx context.Context, accessToken string, e tasks.Envelope) (string, error) {
		result, err := client.SendTemplate(ctx, accessToken, wechat.TemplateMessage{
			ToUser:          e.To.OpenID,
			TemplateID:      e.TemplateID,
			Page:            e.Page,
			FormID:          e.FormID,
			Data:            e.Data,
			EmphasisKeyword: e.EmphasisKeyword,
		})
		return result.MsgID, err
	}
}
