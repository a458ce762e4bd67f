package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

type creditsCmd struct {
	Show  creditsShowCmd  `cmd:"" help:"Show what a user allows."`
	Grant creditsGrantCmd `cmd:"" help:"Grant by hand what you know a user agreed to, whatever the app's consent source."`
	Purge creditsPurgeCmd `cmd:"" help:"Delete expired form ids, spent subscriptions and old sources now; a worker does so daily."`
}

type creditsShowCmd struct {
	OpenID string `arg:"" help:"The user's openid in the app." name:"openid"`
	App    string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Run prints what a user allows.
func (s *creditsShowCmd) Run(p *program) error {
	return withProducer(p, s.App, func(client *producer.Client, app string) error {
		credits, err := client.Credits(p.ctx, app, s.OpenID)
		if err != nil {
			return err
		}
		if s.JSON {
			return printJSON(p.stdout, credits)
		}
		return printCredits(p.stdout, credits)
	})
}

func printCredits(w io.Writer, c producer.Credits) error {
	if err := printRows(w, [][2]string{{"app", c.App}, {"credits", string(c.Mode)}, {"consent source", string(c.Source)}}); err != nil {
		return err
	}
	if len(c.Subscriptions)+len(c.FormIDs) == 0 {
		_, err := fmt.Fprintln(w, "Nothing is known that this user allows.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	if len(c.Subscriptions) > 0 {
		fmt.Fprintln(table, "\nTEMPLATE\tTYPE\tLEFT\tREFUSED\tCHANGED")
	}
	for _, s := range c.Subscriptions {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", s.TemplateID, s.Type, left(s), when(s.RefusedAt), when(s.ChangedAt))
	}
	if len(c.FormIDs) > 0 {
		fmt.Fprintln(table, "\nFORM ID\tUSES\tEXPIRES")
	}
	for _, f := range c.FormIDs {
		fmt.Fprintf(table, "%s\t%d\t%s\n", f.FormID, f.Uses, until(f.ExpiresAt))
	}
	return table.Flush()
}

// left is how many messages a subscription still allows.
func left(s producer.SubscriptionCredits) string {
	if s.Standing {
		return "any"
	}
	return fmt.Sprint(s.Credits)
}

type creditsGrantCmd struct {
	OpenID   string   `arg:"" help:"The user's openid in the app." name:"openid"`
	Template []string `help:"Template id to grant one credit for; repeat for more." required:"" xor:"what" placeholder:"ID"`
	FormID   string   `help:"Form id or prepay_id that the user's action gave just now." name:"form-id" required:"" xor:"what" placeholder:"ID"`
	Uses     *int     `help:"With --form-id: how many messages it allows, 3 for a prepay_id. Default 1."`
	App      string   `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
}

// Run grants credits or a form id.
func (g *creditsGrantCmd) Run(p *program) error {
	return withProducer(p, g.App, func(client *producer.Client, app string) error {
		if g.FormID != "" {
			return g.formID(p, client, app)
		}
		return g.templates(p, client, app)
	})
}

func (g *creditsGrantCmd) formID(p *program, client *producer.Client, app string) error {
	f := producer.FormID{App: app, OpenID: g.OpenID, FormID: g.FormID}
	if g.Uses != nil {
		f.Uses = cmp.Or(*g.Uses, -1) // none is refused, not taken for the default
	}
	granted, err := client.GrantFormID(p.ctx, f)
	if err != nil {
		return err
	}
	text := "granted; it expires " + until(granted.ExpiresAt)
	if granted.Result == ledger.FormIDRepeated {
		text = "it is stored already, or was used; nothing was changed"
	}
	_, err = fmt.Fprintln(p.stdout, text)
	return err
}

func (g *creditsGrantCmd) templates(p *program, client *producer.Client, app string) error {
	if g.Uses != nil {
		return &tasks.ValidationError{Fields: []tasks.FieldError{{
			Field: "uses", Detail: "belongs to --form-id; for several credits repeat --template",
		}}}
	}
	granted, err := client.GrantByHand(p.ctx, app, g.OpenID, g.Template)
	if err != nil {
		return err
	}
	if !granted.Counted {
		return errors.New(granted.Note)
	}
	_, err = fmt.Fprintf(p.stdout, "%s: %d granted\n", granted.Source, granted.Accepted)
	return err
}

type creditsPurgeCmd struct{}

// Run deletes what has expired, to the end or until it is interrupted.
func (*creditsPurgeCmd) Run(p *program) error {
	c, err := config.Load(config.Redis)
	if err != nil {
		return err
	}
	newLogger(p.stderr, c)
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{Timeout: 2 * time.Second, MaxRetries: 1})
	if err != nil {
		return err
	}
	purged, _, err := ledger.New(rdb, c.Namespace, ledger.Options{DeadRetention: c.DeadRetention}).Purge(p.ctx, time.Now().UnixMilli(), 0)
	_, printed := fmt.Fprintf(p.stdout, "deleted: %d form ids, %d subscriptions, %d sources\n", purged.FormIDs, purged.Subscriptions, purged.Sources)
	switch {
	case p.ctx.Err() != nil:
		err = errors.New("stopped before the end; run it again, or leave the rest to the daily purge")
	case err != nil:
		err = fmt.Errorf("redis failed before the end, run it again: %w", err)
	}
	return errors.Join(err, printed, rdb.Close())
}
