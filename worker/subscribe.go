package worker

import (
	"context"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// sendSubscribe sends kind subscribe.
func sendSubscribe(client *wechat.Client) caller {
	return func(ctx context.Context, accessToken string, e tasks.Envelope) (string, error) {
		result, err := client.SendSubscribe(ctx, accessToken, wechat.SubscribeMessage{
			ToUser:           e.To.OpenID,
			TemplateID:       e.TemplateID,
			Page:             e.Page,
			Data:             e.Data,
			MiniprogramState: e.MiniprogramState,
			Lang:             e.Lang,
		})
		return result.MsgID, err
	}
}
