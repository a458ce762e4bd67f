package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
)

type templatesCmd struct {
	List    templatesListCmd    `cmd:"" help:"List the app's templates, as a worker last read them from WeChat."`
	Show    templatesShowCmd    `cmd:"" help:"Show the fields of a template, and the JSON and the command that send it."`
	Check   templatesCheckCmd   `cmd:"" help:"Show how the templates changed at WeChat; exit 1 if the list is missing or old."`
	Refresh templatesRefreshCmd `cmd:"" help:"Have a worker read the templates from WeChat now; at most every five minutes."`
}

// errNoList says that there is nothing to show.
var errNoList = errors.New("no worker has read this app's templates yet: start one, or see its log for why it could not")

// listOld is the age of a list that should have been read daily.
const listOld = 49 * time.Hour

type templatesListCmd struct {
	App     string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	Refresh bool   `help:"Have them read anew before."`
	JSON    bool   `help:"Print JSON." name:"json"`
}

// Run lists an app's templates.
func (l *templatesListCmd) Run(p *program) error {
	return withProducer(p, l.App, func(client *producer.Client, app string) error {
		if l.Refresh {
			if err := refreshTemplates(p, client, app); err != nil {
				return err
			}
		}
		list, err := client.Templates(p.ctx, app)
		if err != nil {
			return err
		}
		if l.JSON {
			return printJSON(p.stdout, list)
		}
		if list.ReadAt.IsZero() {
			return errNoList
		}
		return printTemplates(p.stdout, list)
	})
}

func printTemplates(w io.Writer, list producer.TemplateList) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "TEMPLATE\tTYPE\tFIELDS\tTITLE")
	for _, t := range list.Templates {
		keys := make([]string, len(t.Fields))
		for i, f := range t.Fields {
			keys[i] = f.Key
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", t.TemplateID, t.Type, strings.Join(keys, " "), t.Title)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, readLine(list))
	return err
}

func readLine(list producer.TemplateList) string {
	return fmt.Sprintf("%d templates, read from WeChat %s (%s ago)", len(list.Templates), when(list.ReadAt), listAge(list.ReadAt))
}

func listAge(t time.Time) time.Duration { return max(time.Since(t), 0).Round(time.Second) }

type templatesShowCmd struct {
	Template string `arg:"" help:"Template id, as the WeChat console shows it." name:"template"`
	App      string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	JSON     bool   `help:"Print JSON." name:"json"`
}

// Run shows one template.
func (s *templatesShowCmd) Run(p *program) error {
	return withProducer(p, s.App, func(client *producer.Client, app string) error {
		list, err := client.Templates(p.ctx, app)
		if err != nil {
			return err
		}
		if list.ReadAt.IsZero() {
			return errNoList
		}
		for _, t := range list.Templates {
			if t.TemplateID != s.Template {
				continue
			}
			if s.JSON {
				return printJSON(p.stdout, t)
			}
			return printTemplate(p.stdout, app, t)
		}
		return fmt.Errorf("none of the %d templates that the app had at WeChat %s ago: see wxnotify templates list --refresh",
			len(list.Templates), listAge(list.ReadAt))
	})
}

func printTemplate(w io.Writer, app string, t producer.Template) error {
	if err := printRows(w, [][2]string{{"template", t.TemplateID}, {"title", t.Title}, {"type", t.Type}}); err != nil {
		return err
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "\nKEY\tLABEL\tTAKES\tSUCH AS")
	for _, f := range t.Fields {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", f.Key, f.Label, f.Allowed, f.Placeholder)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	body, err := sample(app, t)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\nPOST /v1/notifications\n%s\n%s\n", body, sendCommand(app, t))
	return err
}

// sampleOpenID stands for a user's.
const sampleOpenID = "OPENID"

// sample is what to post to send a template.
func sample(app string, t producer.Template) (string, error) {
	var text strings.Builder
	data := make(map[string]string, len(t.Fields))
	for _, f := range t.Fields {
		data[f.Key] = f.Placeholder
	}
	err := printJSON(&text, struct {
		App      string            `json:"app"`
		Kind     tasks.Kind        `json:"kind"`
		To       map[string]string `json:"to"`
		Template string            `json:"template_id"`
		Data     map[string]string `json:"data"`
	}{app, tasks.KindSubscribe, map[string]string{"openid": sampleOpenID}, t.TemplateID, data})
	return text.String(), err
}

// sendCommand sends it from a shell.
func sendCommand(app string, t producer.Template) string {
	command := fmt.Sprintf("wxnotify send --app=%s --to=%s --template=%s", app, sampleOpenID, t.TemplateID)
	for _, f := range t.Fields {
		command += " --data=" + quoted(f.Key+"="+f.Placeholder)
	}
	return command
}

// quoted is a word as a POSIX shell takes it literally.
func quoted(word string) string { return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'" }

type templatesCheckCmd struct {
	App  string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run shows what changed, and fails if the list cannot be relied on.
func (c *templatesCheckCmd) Run(p *program) error {
	return withProducer(p, c.App, func(client *producer.Client, app string) error {
		list, err := client.Templates(p.ctx, app)
		if err != nil {
			return err
		}
		if c.JSON {
			err = printJSON(p.stdout, list)
		} else if !list.ReadAt.IsZero() {
			err = printChanges(p.stdout, list)
		}
		switch {
		case err != nil:
			return err
		case list.ReadAt.IsZero():
			return errNoList
		case time.Since(list.ReadAt) > listOld:
			return fmt.Errorf("the list is %s old, and should be read daily: see that a worker runs, and its log", listAge(list.ReadAt))
		}
		return nil
	})
}

func printChanges(w io.Writer, list producer.TemplateList) error {
	fmt.Fprintln(w, readLine(list))
	if len(list.Changes) == 0 {
		_, err := fmt.Fprintln(w, "no list has differed from the one before it")
		return err
	}
	fmt.Fprintf(w, "the last changes were found %s, the list before was read %s:\n", when(list.ChangedAt), when(list.Before))
	for _, c := range list.Changes {
		fmt.Fprintf(w, "  %s %s: %s\n", c.ID, c.Title, changeText(c))
	}
	return nil
}

func changeText(c catalogue.Change) string {
	switch c.What {
	case catalogue.ChangedNew:
		return "the template is new"
	case catalogue.ChangedGone:
		return "the template is gone"
	}
	var parts []string
	if len(c.Added) > 0 {
		parts = append(parts, "added "+strings.Join(c.Added, ", "))
	}
	if len(c.Removed) > 0 {
		parts = append(parts, "removed "+strings.Join(c.Removed, ", "))
	}
	return strings.Join(parts, "; ")
}

type templatesRefreshCmd struct {
	App string `arg:"" optional:"" help:"AppID; may be left out if WXNOTIFY_APPS has one." name:"appid"`
}

// Run has the templates read.
func (r *templatesRefreshCmd) Run(p *program) error {
	return withProducer(p, r.App, func(client *producer.Client, app string) error {
		if err := refreshTemplates(p, client, app); err != nil {
			return err
		}
		list, err := client.Templates(p.ctx, app)
		if err != nil {
			return err
		}
		return printChanges(p.stdout, list)
	})
}

// refreshWithin bounds the wait for a worker, refreshLook is how often it is looked for.
const (
	refreshWithin = 20 * time.Second
	refreshLook   = 100 * time.Millisecond
)

// refreshTemplates has a worker read an app's templates, and waits until it has.
func refreshTemplates(p *program, client *producer.Client, app string) error {
	before, err := client.Templates(p.ctx, app)
	if err != nil {
		return err
	}
	asked, err := client.RefreshTemplates(p.ctx, app)
	if err != nil {
		return err
	}
	if !asked && time.Since(before.ReadAt) < catalogue.AskEvery {
		fmt.Fprintf(p.stderr, "read %s ago; WeChat allows few of these calls, so not again before five minutes are over\n", listAge(before.ReadAt))
		return nil
	}
	ctx, cancel := context.WithTimeout(p.ctx, refreshWithin)
	defer cancel()
	ticker := time.NewTicker(refreshLook)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return fmt.Errorf("no worker has read the templates within %v: see that one serves the app, and its log for what WeChat said; "+
				"it can be asked again in five minutes", refreshWithin)
		}
		if list, err := client.Templates(ctx, app); err == nil && list.ReadAt.After(before.ReadAt) {
			return nil
		}
	}
}
