package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"List notifications that only a person can help, those that died first at the front."`
	Show   deadShowCmd   `cmd:"" help:"Show one, why it died and what to do, without recipient and content."`
	Replay deadReplayCmd `cmd:"" help:"Send them again, under their ids. Safe to interrupt and to repeat."`
	Drop   deadDropCmd   `cmd:"" help:"Give them up: they stay dead and cannot be replayed any more."`
}

// deadFilter chooses dead letters.
type deadFilter struct {
	App       string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	Template  string `help:"Only this template's." placeholder:"ID"`
	Reason    string `help:"Only those that died for this reason: an errcode, or a word as list shows it." placeholder:"CODE"`
	OlderThan age    `help:"Only those that died at least so long ago, such as 30m, 24h or 7d." placeholder:"AGE"`
}

// age is a duration that may be in days.
type age time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (a *age) UnmarshalText(text []byte) error {
	d, ok := tasks.ParseDuration(string(text))
	if !ok {
		return errors.New("must be a duration with its unit, such as 30m, 24h or 7d")
	}
	*a = age(d)
	return nil
}

func (f deadFilter) filter(app string) producer.DeadFilter {
	return producer.DeadFilter{App: app, TemplateID: f.Template, Reason: f.Reason, OlderThan: time.Duration(f.OlderThan)}
}

type deadListCmd struct {
	deadFilter
	Limit  int    `help:"How many at most, up to 1000." default:"100"`
	Cursor string `help:"Go on where an earlier list ended, which printed it." placeholder:"CURSOR"`
	All    bool   `help:"All, page by page."`
	JSON   bool   `help:"Print JSON." name:"json"`
}

// Run lists dead letters.
func (l *deadListCmd) Run(p *program) error {
	return withProducer(p, l.App, func(client *producer.Client, app string) error {
		if l.Limit <= 0 {
			return fieldError("limit", fmt.Sprintf("must be from 1 to %d", producer.MaxDeadPage))
		}
		page, err := l.read(p.ctx, client, app)
		if err != nil {
			return err
		}
		if l.JSON {
			return printJSON(p.stdout, page)
		}
		return printDead(p.stdout, page)
	})
}

// read reads one page; or, since a page may be short with others following, as many
// as it takes to fill one; or all.
func (l *deadListCmd) read(ctx context.Context, client *producer.Client, app string) (producer.DeadPage, error) {
	all := producer.DeadPage{Letters: []producer.DeadLetter{}, Next: l.Cursor}
	for {
		n := l.Limit
		if !l.All {
			n -= len(all.Letters)
		}
		page, err := client.DeadLetters(ctx, l.filter(app), all.Next, n)
		if err != nil {
			return producer.DeadPage{}, err
		}
		all.Letters, all.Next = append(all.Letters, page.Letters...), page.Next
		if page.Next == "" || !l.All && len(all.Letters) == l.Limit {
			return all, nil
		}
	}
}

func printDead(w io.Writer, page producer.DeadPage) error {
	if len(page.Letters) == 0 && page.Next == "" {
		_, err := fmt.Fprintln(w, "No dead letters match.")
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ID\tDIED\tREASON\tERRCODE\tTEMPLATE\tATTEMPTS\tNOT AFTER")
	for _, d := range page.Letters {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s\n",
			d.ID, when(d.DiedAt), d.ReasonCode, number(d.Errcode), d.TemplateID, d.Attempts, expiry(d))
	}
	if err := table.Flush(); err != nil || page.Next == "" {
		return err
	}
	_, err := fmt.Fprintf(w, "more: --cursor %s\n", page.Next)
	return err
}

func expiry(d producer.DeadLetter) string {
	if d.Expired {
		return when(d.NotAfter) + " (expired)"
	}
	return when(d.NotAfter)
}

type deadShowCmd struct {
	ID   string `arg:"" help:"The notification's id." name:"id"`
	App  string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	Lang string `help:"Language of reason and remedy: en or zh." enum:"en,zh" default:"en"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run shows a dead letter.
func (s *deadShowCmd) Run(p *program) error {
	return withProducer(p, s.App, func(client *producer.Client, app string) error {
		d, err := client.DeadLetter(p.ctx, app, s.ID)
		if errors.Is(err, producer.ErrNotFound) {
			return errors.New("no dead letter has this id: the notification is not dead, or was dropped; wxnotify status tells where it stands")
		}
		if err != nil {
			return err
		}
		if s.Lang == "zh" {
			d.Reason, d.Remedy = d.ReasonZH, d.RemedyZH
		}
		if s.JSON {
			return printJSON(p.stdout, d)
		}
		return printRows(p.stdout, deadRows(d))
	})
}

func deadRows(d producer.DeadContent) [][2]string {
	rows := [][2]string{
		{"id", d.ID}, {"app", d.App}, {"kind", string(d.Kind)}, {"priority", string(d.Priority)}, {"template", d.TemplateID},
		{"died", when(d.DiedAt)}, {"reason code", d.ReasonCode}, {"errcode", number(d.Errcode)}, {"reason", d.Reason}, {"remedy", d.Remedy},
		{"attempts", fmt.Sprint(d.Attempts)}, {"created", when(d.CreatedAt)}, {"send at", when(d.SendAt)}, {"not after", expiry(d.DeadLetter)},
		{"state", d.MiniprogramState}, {"lang", d.Lang}, {"on unknown", string(d.OnUnknown)},
	}
	for _, key := range slices.Sorted(maps.Keys(d.DataLengths)) {
		rows = append(rows, [2]string{"data " + key, fmt.Sprintf("•••(%d)", d.DataLengths[key])})
	}
	return rows
}

// deadRun is what replay and drop have in common.
type deadRun struct {
	deadFilter
	IDs    []string `arg:"" optional:"" help:"Ids of notifications; all that the flags choose if left out." name:"id"`
	All    bool     `help:"All of the app; needed where neither ids nor a filter choose."`
	Limit  int      `help:"How many at most; 0 for no limit." default:"0"`
	Rate   int      `help:"How many per second." default:"50"`
	DryRun bool     `help:"Count, and do nothing."`
}

type deadReplayCmd struct{ deadRun }

type deadDropCmd struct{ deadRun }

// Run replays dead letters.
func (r *deadReplayCmd) Run(p *program) error {
	return r.run(p, "replayed", (*producer.Client).ReplayDead)
}

// Run drops dead letters.
func (d *deadDropCmd) Run(p *program) error {
	return d.run(p, "dropped", (*producer.Client).DropDead)
}

func (r *deadRun) run(p *program, done string, do func(*producer.Client, context.Context, producer.DeadFilter, producer.DeadRun) (producer.DeadCounts, error)) error {
	return withProducer(p, r.App, func(client *producer.Client, app string) error {
		f := r.filter(app)
		f.IDs = r.IDs
		if !r.All && f.Everything() {
			return fieldError("all", "name ids or choose by --template, --reason or --older-than; --all means every dead letter of the app")
		}
		if r.DryRun {
			done = "would be " + done
		}
		o := producer.DeadRun{Limit: r.Limit, Rate: r.Rate, DryRun: r.DryRun, Progress: progress(p.stderr, done)}
		counts, err := do(client, p.ctx, f, o)
		if refused := (*tasks.ValidationError)(nil); errors.As(err, &refused) {
			return err
		}
		if err != nil {
			err = fmt.Errorf("stopped before the end, run it again to go on: %w", err)
		}
		_, printed := fmt.Fprintln(p.stdout, deadSummary(counts, done))
		return errors.Join(err, printed)
	})
}

// progressEvery is how often a run tells how far it is.
const progressEvery = 2 * time.Second

// progress tells how far a run is, now and then.
func progress(w io.Writer, done string) func(producer.DeadCounts) {
	told := time.Now()
	return func(n producer.DeadCounts) {
		if time.Since(told) >= progressEvery {
			told = time.Now()
			fmt.Fprintf(w, "%d %s\n", n.Done, done)
		}
	}
}

func deadSummary(n producer.DeadCounts, done string) string {
	if n.Matched+n.Skipped == 0 {
		return "No dead letters match; nothing was done."
	}
	parts := []string{fmt.Sprintf("%d %s", n.Done, done)}
	if n.Expired > 0 {
		parts = append(parts, fmt.Sprintf("%d left alone, because their not_after is over", n.Expired))
	}
	if n.Skipped > 0 {
		parts = append(parts, fmt.Sprintf("%d skipped: no dead letter, in their queue again, or a newer version's", n.Skipped))
	}
	if n.More {
		parts = append(parts, "more are left")
	}
	return strings.Join(parts, "; ")
}

func fieldError(field, detail string) error {
	return &tasks.ValidationError{Fields: []tasks.FieldError{{Field: field, Detail: detail}}}
}
