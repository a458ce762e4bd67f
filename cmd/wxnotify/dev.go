package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/cmd/internal/embedded"
	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// What dev uses where nothing is configured. Everything listens on this machine
// only, so a key that everybody knows opens nothing.
const (
	devRedisAddr  = "127.0.0.1:6380"
	devGatewayKey = "wxnotify-dev-key"
	devOpenID     = "oDevUser0000000000000000001"
	devTemplate   = "dev-template"

	devCallbackToken  = "devcallbacktoken"
	devCallbackAESKey = "wxnotifydevwxnotifydevwxnotifydevwxnotifyde"
)

type devCmd struct{}

// Run runs a whole installation in one process until a signal.
func (*devCmd) Run(p *program) error {
	c, err := config.Load(config.Dev)
	if err != nil {
		return err
	}
	d := &dev{program: p, config: c}
	d.log, d.level = newLeveledLogger(p.stderr, c)
	parts, err := d.wire()
	if err != nil {
		d.rollBack()
		return err
	}
	return boot.Run(p.ctx, d.log, append(parts, boot.Part{Name: "first notification", Run: d.greet})...)
}

// dev is an installation in one process.
type dev struct {
	*program
	config *config.Config
	log    *slog.Logger
	level  *slog.LevelVar

	metrics    *metrics.Metrics
	client     *producer.Client
	gateway    string
	admin      string
	dashboard  string
	sandbox    string
	play       *sandbox.Server
	unfinished []func()
}

// wire builds the parts, those first that the later ones use.
func (d *dev) wire() ([]boot.Part, error) {
	var parts []boot.Part
	for _, step := range []func() (boot.Part, error){
		d.wireRedis, d.wireSandbox, d.wireWorker, d.wireGateway, d.wireDashboard,
	} {
		part, err := step()
		if err != nil {
			return nil, err
		}
		if part.Run != nil {
			parts = append(parts, part)
		}
	}
	return parts, nil
}

// rollBack ends what was started before a later part could not be.
func (d *dev) rollBack() {
	for i := len(d.unfinished) - 1; i >= 0; i-- {
		d.unfinished[i]()
	}
}

func (d *dev) wireRedis() (boot.Part, error) {
	if d.config.RedisURL != "" {
		return boot.Part{}, nil
	}
	r, err := embedded.Start(devRedisAddr)
	if err != nil {
		return boot.Part{}, fmt.Errorf("%w (set WXNOTIFY_REDIS_URL to use another Redis)", err)
	}
	d.unfinished = append(d.unfinished, r.Close)
	d.config.RedisURL, d.config.Embedded = config.Secret(r.URL()), true
	return boot.Part{Name: "embedded redis", Run: r.Run}, nil
}

func (d *dev) wireSandbox() (boot.Part, error) {
	if len(d.config.Apps) > 0 {
		return boot.Part{}, nil
	}
	play := sandboxCmd{Seed: 1, TokenLifetime: 2 * time.Hour, AnyFormID: true, AnyCode: true, AnyCardCode: true}
	server, err := sandbox.New(sandbox.Config{Apps: play.apps(d.config), Seed: play.Seed})
	if err != nil {
		return boot.Part{}, err
	}
	part, url, err := sandboxPart(d.config, server)
	if err != nil {
		return boot.Part{}, err
	}
	d.sandbox, d.play = url, server
	d.config.Apps = []config.App{{
		ID: sandboxAppID, Secret: sandboxSecret, TokenMode: "stable", WechatURL: url, Credits: "observe", ConsentSource: "event",
		CallbackToken: devCallbackToken, CallbackAESKey: devCallbackAESKey,
	}}
	return part, nil
}

func (d *dev) wireWorker() (boot.Part, error) {
	d.metrics = newMetrics(d.config)
	w, err := newWorkerParts(d.config, d.log, d.metrics)
	if err != nil {
		return boot.Part{}, err
	}
	d.unfinished = append(d.unfinished, func() { _ = w.close() })
	admin, addr, err := adminPart(d.config, d.log, d.level, d.metrics, w.worker.Ready)
	if err != nil {
		return boot.Part{}, err
	}
	d.admin = "http://" + local(addr)
	return together("worker", d.log, admin, w.part()), nil
}

func (d *dev) wireGateway() (boot.Part, error) {
	if len(d.config.GatewayKeys) == 0 {
		d.config.GatewayKeys = []config.GatewayKey{{Name: "dev", Key: devGatewayKey}}
	}
	client, err := newProducer(d.config)
	if err != nil {
		return boot.Part{}, err
	}
	d.client = client
	d.unfinished = append(d.unfinished, func() { _ = client.Close() })
	serve, addr, err := gatewayPart(d.config, d.log, d.metrics, client)
	if err != nil {
		return boot.Part{}, err
	}
	d.gateway = "http://" + local(addr)
	if d.play != nil {
		pushes := sandboxCmd{PushTo: d.gateway, PushFormat: sandbox.FormatJSON}
		if d.config.CallbackAddr != "" {
			pushes.PushTo = "http://" + local(d.config.CallbackAddr)
		}
		err = d.play.SetCallback(sandboxAppID, pushes.callback(d.config.Apps[0]))
	}
	return serve, err
}

func (d *dev) wireDashboard() (boot.Part, error) {
	serve, addr, err := dashboardPart(d.config, d.log, d.metrics)
	d.dashboard = "http://" + local(addr)
	return serve, err
}

// together makes one part of several that start and stop in their own order.
func together(name string, log *slog.Logger, parts ...boot.Part) boot.Part {
	return boot.Part{Name: name, Run: func(ctx context.Context) error { return boot.Run(ctx, log, parts...) }}
}

// greetWithin bounds the wait for the first notification's outcome; receiptWithin
// that for WeChat's word about its delivery, after it.
const (
	greetWithin   = 30 * time.Second
	receiptWithin = 3 * time.Second
)

// greet sends a first notification, says what became of it and where everything
// is, and then waits for the end.
func (d *dev) greet(ctx context.Context) error {
	if d.sandbox != "" { // a configured app has real users
		state, err := d.firstNotification(ctx)
		if stopped := ctx.Err() != nil; err != nil && !stopped {
			return fmt.Errorf("first notification: %w", err)
		}
		fmt.Fprintf(d.stdout, "\nFirst notification: %s, msgid %s\n", state.Status, state.MsgID)
	}
	d.printWelcome(d.stdout)
	<-ctx.Done()
	return nil
}

func (d *dev) firstNotification(ctx context.Context) (producer.State, error) {
	ctx, cancel := context.WithTimeout(ctx, greetWithin)
	defer cancel()
	receipt, err := d.client.Send(ctx, producer.Notification{
		App: sandboxAppID, To: producer.Recipient{OpenID: devOpenID}, TemplateID: devTemplate,
		Data: map[string]string{"thing1": "hello from wxnotify"},
	})
	if err != nil {
		return producer.State{}, err
	}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	var accepted time.Time
	for {
		state, err := d.client.Status(ctx, receipt.App, receipt.ID)
		switch {
		case err != nil && !errors.Is(err, producer.ErrNotFound):
			return state, err
		case state.Status == tasks.Status(tasks.Accepted) && accepted.IsZero():
			accepted = time.Now()
		case state.Status == tasks.Status(tasks.Accepted) && time.Since(accepted) < receiptWithin:
		case state.Status.Final():
			return state, nil
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return state, fmt.Errorf("no outcome after %v, status %s", greetWithin, state.Status)
		}
	}
}

func (d *dev) printWelcome(w io.Writer) {
	app := d.config.Apps[0].ID
	key := string(d.config.GatewayKeys[0].Key)
	if key != devGatewayKey {
		key = "$KEY" // a real key does not belong on a screen
	}
	rows := [][2]string{
		{"Gateway", d.gateway + "  (key: " + key + ")"},
		{"OpenAPI", d.gateway + "/v1/openapi.json"},
		{"Dashboard", d.dashboard},
		{"Metrics", d.admin + "/metrics"},
		{"Redis", d.redisNote()},
	}
	if d.sandbox != "" {
		rows = append(rows, [2]string{"Sandbox", d.sandbox + "/_sandbox/"})
	}
	fmt.Fprintln(w)
	_ = printRows(w, rows)
	fmt.Fprintf(w, `
Send one:
  curl -sS %s/v1/notifications -H 'Authorization: Bearer %s' -H 'Content-Type: application/json' \
    -d '{"app":"%s","kind":"subscribe","id":"my-first","to":{"openid":"%s"},"template_id":"%s","data":{"thing1":"hello"}}'
See what became of it:
  curl -sS '%s/v1/notifications/my-first?app=%s' -H 'Authorization: Bearer %s'
`, d.gateway, key, app, devOpenID, devTemplate, d.gateway, app, key)
	if d.config.Embedded && d.sandbox != "" {
		fmt.Fprintf(w, "Other commands (send, status, check, token …), in another terminal:\n"+
			"  export WXNOTIFY_REDIS_URL=%s WXNOTIFY_APPS=%s\n"+
			"  export WXNOTIFY_WECHAT_URL=%s WXNOTIFY_APP_%s_SECRET=%s\n",
			string(d.config.RedisURL), app, d.sandbox, strings.ToUpper(app), sandboxSecret)
	}
	fmt.Fprintln(w, "\nCtrl-C stops everything.")
}

func (d *dev) redisNote() string {
	if !d.config.Embedded {
		return "as WXNOTIFY_REDIS_URL says"
	}
	return string(d.config.RedisURL) + "  (embedded: NOT durable, everything in it is lost at exit)"
}
