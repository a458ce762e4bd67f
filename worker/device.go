package worker

import (
	"context"
	"slices"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// sendDevice sends kind device: one call, whatever the number of users.
func sendDevice(client *wechat.Client) caller {
	return func(ctx context.Context, accessToken string, e tasks.Envelope) (string, error) {
		result, err := client.SendDevice(ctx, accessToken, wechat.DeviceMessage{
			ToOpenIDs:        e.To.All(),
			SN:               e.SN,
			ModelID:          e.ModelID,
			TemplateID:       e.TemplateID,
			Page:             e.Page,
			Data:             e.Data,
			MiniprogramState: e.MiniprogramState,
			Lang:             e.Lang,
		})
		return result.MsgID, err
	}
}

// leaveOut finds those of a message to several who were not erased since it was enqueued: it
// goes to them alone. The record stays that of the whole list. Whether the only recipient
// was erased the admission sees by itself.
func (d *delivery) leaveOut(ctx context.Context, a *attempt) error {
	if len(a.To.OpenIDs) == 0 {
		return nil
	}
	gone, err := d.ledger.Forgotten(ctx, a.App, a.To.OpenIDs, a.EnqueuedAt)
	if err != nil {
		return redisAway(err)
	}
	a.present = nil
	for _, openID := range a.To.OpenIDs {
		if !slices.Contains(gone, openID) {
			a.present = append(a.present, openID)
		}
	}
	return nil
}
