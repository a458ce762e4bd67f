package worker

import (
	"context"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// exchangeCode exchanges login codes by jscode2session.
func exchangeCode(client *wechat.Client, c wechat.Credential) func(context.Context, string) (string, error) {
	return func(ctx context.Context, code string) (string, error) {
		session, err := client.CodeToSession(ctx, c, code)
		return session.OpenID, err
	}
}

// knows notes whom the login code stands for, if that is known.
func (a *attempt) knows(openID string) {
	if openID == "" {
		return
	}
	a.To.OpenID, a.ref.OpenID, a.exchanging = openID, openID, false
}

// resolve exchanges the login code, as an attempt of its own: one at a time, and
// not for what was canceled or has expired. WeChat takes a code once, so the openid
// is recorded before anything else happens. over says that the run ends with err.
func (d *delivery) resolve(ctx context.Context, a *attempt) (over bool, err error) {
	if err := d.admit(ctx, a); err != nil || a.admitted.Verdict != ledger.Go {
		return true, err
	}
	openID, err := d.exchange(context.WithoutCancel(ctx), a.To.Code)
	if err != nil {
		return true, d.finish(a, answerOf("", err))
	}
	err = d.insist("openid of a login code", func(ctx context.Context) error {
		return d.ledger.Exchanged(ctx, a.App, a.ID, a.To.Code, a.Hash, openID)
	})
	if err != nil {
		return true, redisAway(err)
	}
	began := a.began
	a.knows(openID)
	a.again()
	if time.Since(began) > tasks.LeaseMargin { // the send may not fit into this run any more
		return true, &later{why: "its login code was exchanged"}
	}
	return false, nil
}
