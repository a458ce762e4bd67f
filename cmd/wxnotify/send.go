package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

type sendCmd struct {
	App       string            `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	To        string            `help:"The user's openid in the app." required:"" xor:"recipient" placeholder:"OPENID"`
	Code      string            `help:"A login code from wx.login in place of the openid; good for five minutes, once." required:"" xor:"recipient" placeholder:"CODE"`
	OpenIDs   []string          `help:"With kind device: several users in place of one, up to 20; repeat for each." name:"openid" required:"" xor:"recipient" placeholder:"OPENID"`
	Kind      string            `help:"subscribe, device, card, or template: the message with a form id, which only private gateways still send." default:"subscribe"`
	Template  string            `help:"Template id, as the WeChat console shows it; required but with kind card." placeholder:"ID"`
	Data      map[string]string `help:"A value of the template, such as thing1=Coffee; repeat for each." placeholder:"KEY=VALUE" mapsep:"none"`
	FormID    string            `help:"With kind template: the form id or prepay_id to send with; the stored one that expires first if left out." name:"form-id" placeholder:"ID"`
	Emphasis  string            `help:"With kind template: the value shown large, such as keyword1.DATA." placeholder:"KEY.DATA"`
	ID        string            `help:"Idempotency key; made if left out." name:"id"`
	Page      *string           `help:"Page the message opens; empty for none. Default pages/index/index, or index with kind template."`
	State     string            `help:"formal, trial or developer. Default formal."`
	Lang      string            `help:"zh_CN, en_US, zh_HK or zh_TW. Default zh_CN."`
	Priority  string            `help:"critical, default or bulk." default:"default"`
	OnUnknown string            `help:"resend or drop: what to do when nobody knows whether WeChat accepted it." default:"resend"`
	SendAt    time.Time         `help:"Earliest time to send, RFC 3339." placeholder:"TIME"`
	NotAfter  time.Time         `help:"Time after which sending is pointless, RFC 3339." placeholder:"TIME"`
	Truncate  bool              `help:"Shorten values of thing, name and character_string that are longer than WeChat takes."`
	DryRun    bool              `help:"Judge it, say what would become of it, and do nothing."`
	JSON      bool              `help:"Print JSON." name:"json"`

	sendDevice `embed:""`
	sendCard   `embed:""`
}

// sendDevice is what kind device has.
type sendDevice struct {
	SN      string `help:"With kind device: the device's serial number." name:"sn"`
	ModelID string `help:"With kind device: the id of its model in the WeChat console." name:"model-id" placeholder:"ID"`
}

// sendCard is what kind card has.
type sendCard struct {
	NotifyType string `help:"With kind card: the sort of card, a number of WeChat's list or a name such as train." placeholder:"TYPE"`
	NotifyCode string `help:"With kind card: the order number of the payment, or the code of the button." placeholder:"CODE"`
	Content    string `help:"With kind card: a JSON object with cur_status and the fields of the type." placeholder:"JSON"`
	Check      string `help:"With kind card, when it activates a payment's: a JSON object with pay_amount, pay_time, pay_channel." placeholder:"JSON"`
	Ext        string `help:"With kind card: a JSON object with further details, in place of --content." placeholder:"JSON"`
}

// Run enqueues one notification.
func (s *sendCmd) Run(p *program) error {
	notifyType, known := tasks.ParseNotifyType(s.NotifyType)
	if s.NotifyType != "" && !known {
		return usage("notify_type", "must be a number of WeChat's list, or a name such as "+tasks.CardTrain.String())
	}
	return withProducer(p, s.App, func(client *producer.Client, app string) error {
		n := s.notification(app)
		n.NotifyType = notifyType
		if s.DryRun {
			d, err := client.DryRun(p.ctx, n)
			if err != nil {
				return err
			}
			return s.printDryRun(p.stdout, d)
		}
		receipt, err := client.Send(p.ctx, n)
		if err != nil {
			return err
		}
		return s.print(p.stdout, receipt)
	})
}

func (s *sendCmd) notification(app string) producer.Notification {
	return producer.Notification{
		App: app, Kind: tasks.Kind(s.Kind), ID: s.ID, To: producer.Recipient{OpenID: s.To, Code: s.Code, OpenIDs: s.OpenIDs},
		TemplateID: s.Template, Page: s.Page, Data: s.Data, FormID: s.FormID, EmphasisKeyword: s.Emphasis,
		SN: s.SN, ModelID: s.ModelID, NotifyCode: s.NotifyCode,
		Content: json.RawMessage(s.Content), Check: json.RawMessage(s.Check), Ext: json.RawMessage(s.Ext),
		MiniprogramState: s.State, Lang: s.Lang, SendAt: s.SendAt, NotAfter: s.NotAfter,
		Priority: tasks.Priority(s.Priority), OnUnknown: tasks.OnUnknown(s.OnUnknown), Truncate: s.Truncate,
	}
}

func (s *sendCmd) print(w io.Writer, r producer.Receipt) error {
	if s.JSON {
		fields := map[string]any{"id": r.ID, "app": r.App, "status": r.Status, "duplicate": r.Duplicate}
		if len(r.Truncated) > 0 {
			fields["truncated"] = r.Truncated
		}
		return printJSON(w, fields)
	}
	note := ""
	if r.Duplicate {
		note = " (this id was enqueued before; nothing new was stored)"
	}
	if len(r.Truncated) > 0 {
		note += "\nshortened: " + strings.Join(r.Truncated, ", ")
	}
	_, err := fmt.Fprintf(w, "%s: %s%s\n", r.ID, r.Status, note)
	return err
}

// printDryRun says what would become of it.
func (s *sendCmd) printDryRun(w io.Writer, d producer.DryRun) error {
	if s.JSON {
		return printJSON(w, d)
	}
	rows := [][2]string{{"valid", "yes; nothing was stored"}, {"would", string(d.Would)}, {"template", string(d.Template)}}
	if d.Status != "" {
		rows = append(rows, [2]string{"status", string(d.Status)})
	}
	if c := d.Credits; c != nil {
		rows = append(rows, [2]string{"credits", fmt.Sprintf("%d left (%s)", c.Left, c.Mode)})
	}
	if len(d.Truncated) > 0 {
		rows = append(rows, [2]string{"shortened", strings.Join(d.Truncated, ", ")})
	}
	if d.Reason != "" {
		rows = append(rows, [2]string{"reason", d.Reason})
	}
	if d.Remedy != "" {
		rows = append(rows, [2]string{"remedy", d.Remedy})
	}
	return printRows(w, rows)
}

// withProducer does something with a producer's client and the app in question.
func withProducer(p *program, named string, do func(client *producer.Client, app string) error) error {
	c, err := config.Load(config.Redis)
	if err != nil {
		return err
	}
	newLogger(p.stderr, c)
	app, err := onlyApp(c, named)
	if err != nil {
		return err
	}
	client, err := newProducer(c)
	if err != nil {
		return err
	}
	return errors.Join(do(client, app), client.Close())
}

// onlyApp is the app that was named, or the one that is configured.
func onlyApp(c *config.Config, named string) (string, error) {
	if named != "" {
		return named, nil
	}
	if len(c.Apps) == 1 {
		return c.Apps[0].ID, nil
	}
	return "", &tasks.ValidationError{Fields: []tasks.FieldError{{
		Field: "app", Detail: "name it with --app; it may be left out only if WXNOTIFY_APPS has exactly one",
	}}}
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}
