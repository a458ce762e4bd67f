package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// sandboxAppID is the app a sandbox plays when none is configured. No real
// AppID looks like it.
const (
	sandboxAppID  = "wx5a4db0c5a4db0c00"
	sandboxSecret = "sandbox-secret-of-no-real-app"
)

type sandboxCmd struct {
	Seed          int64         `help:"Seed of the faults: the same seed disturbs the same calls." default:"1"`
	TokenLifetime time.Duration `help:"Life of an access_token." default:"2h"`
	IDKey         string        `help:"Data key whose value names a message in the report, such as character_string1." name:"id-key"`
	ConsentNeeded bool          `help:"Refuse (43101) what a user has not accepted; see /_sandbox/users:answer. Default: everybody has accepted."`
	AnyFormID     bool          `help:"Take any form_id for a fresh one." name:"any-form-id"`
	AnyCode       bool          `help:"Take any login code for a fresh one."`
	AnyCardCode   bool          `help:"Take any notify_code of a service card for a fresh one."`
	PushTo        string        `help:"Address of a gateway that events are pushed to, such as http://127.0.0.1:8080; for apps with a CALLBACK_TOKEN. With a CALLBACK_AES_KEY they are sealed." placeholder:"URL"`
	PushFormat    string        `help:"Format of what is pushed: json or xml." enum:"json,xml" default:"json"`
}

// Run serves a sandbox WeChat until a signal, for WXNOTIFY_APPS or an app of its own.
func (s *sandboxCmd) Run(p *program) error {
	c, err := config.Load()
	if err != nil {
		return err
	}
	log := newLogger(p.stderr, c)
	server, err := sandbox.New(sandbox.Config{Apps: s.apps(c), Seed: s.Seed})
	if err != nil {
		return err
	}
	part, url, err := sandboxPart(c, server)
	if err != nil {
		return err
	}
	fmt.Fprintf(p.stdout, "sandbox WeChat at %s\n", url)
	for _, app := range s.apps(c) {
		fmt.Fprintf(p.stdout, "  app %s; any template, any openid\n", app.AppID)
	}
	if len(c.Apps) == 0 {
		fmt.Fprintf(p.stdout, "  its secret: %s\n", sandboxSecret)
	}
	fmt.Fprintf(p.stdout, "  faults, quotas, report: curl %s/_sandbox/\n", url)
	return boot.Run(p.ctx, log, part)
}

func (s *sandboxCmd) apps(c *config.Config) []sandbox.App {
	app := sandbox.App{
		AppID: sandboxAppID, Secret: sandboxSecret, AllowAnyTemplate: true, AllowAnyOpenID: true,
		TokenLifetime: sandbox.Duration(s.TokenLifetime), IDKey: s.IDKey,
		ConsentNeeded: s.ConsentNeeded, AnyFormID: s.AnyFormID, AnyCode: s.AnyCode, AnyCardCode: s.AnyCardCode,
	}
	if len(c.Apps) == 0 {
		return []sandbox.App{app}
	}
	apps := make([]sandbox.App, len(c.Apps))
	for i, configured := range c.Apps {
		app.AppID, app.Secret = configured.ID, string(configured.Secret)
		app.Callback = s.callback(configured)
		apps[i] = app
	}
	return apps
}

// callback is where an app's events go, and how they are signed and sealed.
func (s *sandboxCmd) callback(app config.App) sandbox.Callback {
	if s.PushTo == "" || app.CallbackToken == "" {
		return sandbox.Callback{}
	}
	c := sandbox.Callback{
		URL: strings.TrimSuffix(s.PushTo, "/") + callback.Pattern + app.ID, Token: string(app.CallbackToken),
		Mode: sandbox.ModePlain, Format: s.PushFormat,
	}
	if app.CallbackAESKey != "" {
		c.AESKey, c.Mode = string(app.CallbackAESKey), sandbox.ModeSafe
	}
	return c
}

// sandboxPart starts the sandbox on WXNOTIFY_SANDBOX_ADDR.
func sandboxPart(c *config.Config, server *sandbox.Server) (boot.Part, string, error) {
	running, err := server.Start(c.SandboxAddr)
	if err != nil {
		return boot.Part{}, "", fmt.Errorf("WXNOTIFY_SANDBOX_ADDR: %w", err)
	}
	return boot.Part{Name: "sandbox", Run: func(ctx context.Context) error {
		<-ctx.Done()
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		return running.Shutdown(stop)
	}}, running.URL(), nil
}
