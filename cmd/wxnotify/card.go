package main

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

type cardCmd struct {
	Show cardShowCmd `cmd:"" help:"Ask WeChat how a service card stands: its state, and until when it can be updated."`
}

type cardShowCmd struct {
	App        string `arg:"" help:"AppID." name:"appid"`
	OpenID     string `arg:"" help:"The user's openid in the app." name:"openid"`
	NotifyType string `arg:"" help:"The sort of card: a number of WeChat's list, or a name such as train." name:"notify-type"`
	NotifyCode string `arg:"" help:"The order number of the payment, or the code of the button." name:"notify-code"`
	JSON       bool   `help:"Print JSON." name:"json"`
}

// shownCard is what is printed of a card: what it shows the user is left out.
type shownCard struct {
	App        string    `json:"app"`
	NotifyType string    `json:"notify_type"`
	CurStatus  *int64    `json:"cur_status"` // null before the activation
	CodeState  string    `json:"code_state"`
	Expires    time.Time `json:"expires,omitzero"`
}

// Run asks WeChat, with the token that workers share.
func (s *cardShowCmd) Run(p *program) error {
	c, err := config.Load(config.Redis, config.Secrets)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(c.Apps, func(a config.App) bool { return a.ID == s.App })
	notifyType, known := tasks.ParseNotifyType(s.NotifyType)
	switch {
	case i < 0:
		return usage("appid", "must be one of WXNOTIFY_APPS, whose secret is known here")
	case !known:
		return usage("notify-type", "must be a number of WeChat's list, or a name such as "+tasks.CardTrain.String())
	}
	card := wechat.Card{OpenID: s.OpenID, NotifyType: int(notifyType), NotifyCode: s.NotifyCode}
	info, err := askCard(p, c, c.Apps[i], card)
	if err != nil {
		return err
	}
	shown := shownCard{App: s.App, NotifyType: notifyType.String(), CodeState: info.State.String(), Expires: info.Expires}
	if info.Status >= 0 {
		shown.CurStatus = &info.Status
	}
	if s.JSON {
		return printJSON(p.stdout, shown)
	}
	return printRows(p.stdout, shown.rows())
}

// askCard makes the call. A token that is refused is the sends' business, as with quotas.
func askCard(p *program, c *config.Config, app config.App, card wechat.Card) (wechat.CardInfo, error) {
	m, closeAll, err := openTokens(p, c)
	if err != nil {
		return wechat.CardInfo{}, err
	}
	defer closeAll()
	client, err := newWeChat(c, app, newMetrics(c))
	if err != nil {
		return wechat.CardInfo{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(p.ctx, 2*c.HTTPTimeout)
	defer cancel()
	t, err := m.Get(ctx, app.ID)
	if err != nil {
		return wechat.CardInfo{}, err
	}
	return client.UserNotify(ctx, t.Value(), card)
}

func (s shownCard) rows() [][2]string {
	status := "not activated"
	if s.CurStatus != nil {
		status = strconv.FormatInt(*s.CurStatus, 10)
	}
	return [][2]string{
		{"app", s.App}, {"notify_type", s.NotifyType}, {"cur_status", status}, {"code", s.CodeState}, {"expires", until(s.Expires)},
	}
}

// usage refuses an argument.
func usage(field, detail string) error {
	return &tasks.ValidationError{Fields: []tasks.FieldError{{Field: field, Detail: detail}}}
}
