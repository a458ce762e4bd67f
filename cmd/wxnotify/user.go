package main

import (
	"fmt"

	"github.com/wxnotify/wxnotify/producer"
)

type userCmd struct {
	Forget userForgetCmd `cmd:"" help:"Erase credits, form ids, records and dead letters of a user, and stop what is queued for them."`
}

type userForgetCmd struct {
	App    string `arg:"" help:"AppID." name:"appid"`
	OpenID string `arg:"" help:"The user's openid in the app." name:"openid"`
}

// Run erases what is kept about a user.
func (f *userForgetCmd) Run(p *program) error {
	return withProducer(p, f.App, func(client *producer.Client, app string) error {
		if err := client.EraseUser(p.ctx, app, f.OpenID); err != nil {
			return err
		}
		_, err := fmt.Fprintln(p.stdout, "credits and form ids are erased, and nothing that is queued for this user is sent any more;\n"+
			"a worker erases the records of what was sent within minutes")
		return err
	})
}
