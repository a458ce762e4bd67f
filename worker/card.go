package worker

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// sendCard sends kind card: content activates or updates the card, ext adds details to
// it. WeChat gives neither a msgid.
func sendCard(client *wechat.Client) caller {
	return func(ctx context.Context, accessToken string, e tasks.Envelope) (string, error) {
		card := wechat.Card{OpenID: e.To.OpenID, NotifyType: int(e.NotifyType), NotifyCode: e.NotifyCode}
		if len(e.Ext) > 0 {
			return "", client.SetUserNotifyExt(ctx, accessToken, card, e.Ext)
		}
		return "", client.SetUserNotify(ctx, accessToken, card, e.Content, e.Check)
	}
}

// freshTries is how often a code that WeChat does not know is tried, a minute apart: a
// payment's number is known to the card service only a while after the payment.
const freshTries = 10

func freshDelay(int) time.Duration { return jitter(time.Minute, 0.1) }

// ends is when sending becomes pointless, and why then, by the notification's own word or
// by the time WeChat allows for a card.
func (a *attempt) ends() (time.Time, errcode.Reason) {
	card := a.CardEnd()
	if card.IsZero() || !a.NotAfter.IsZero() && a.NotAfter.Before(card) {
		return a.NotAfter, errcode.ReasonNotAfter
	}
	return card, errcode.ReasonCardWindow
}

// receiptName is what WeChat's push about a failed card names it by, "" for others, whose
// pushes name a msgid.
func (a *attempt) receiptName() string {
	if state, ok := a.CardState(); ok && a.Kind == tasks.KindCard {
		return ledger.CardReceipt(a.NotifyType, a.NotifyCode, state)
	}
	return ""
}
