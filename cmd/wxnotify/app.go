package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

type appCmd struct {
	Status appStatusCmd `cmd:"" help:"Show what each app's lanes hold, what is paused, why, until when and what to do."`
	Pause  appPauseCmd  `cmd:"" help:"Hold an app, or one kind or template of it, back for a time. What is enqueued waits."`
	Resume appResumeCmd `cmd:"" help:"Let an app go on, or one kind or template of it, whoever paused it."`
}

// appTools reads and changes what is held back.
type appTools struct {
	ctx    context.Context
	stdout io.Writer
	pauses *ledger.Pauses
	queues *tasks.Client
	served *tasks.Served
	quotas *tasks.Quotas
}

// withApps does something with what is held back; it needs Redis only.
func withApps(p *program, do func(*appTools) error) error {
	c, err := config.Load(config.Redis)
	if err != nil {
		return err
	}
	newLogger(p.stderr, c)
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{Timeout: 2 * time.Second, MaxRetries: 1})
	if err != nil {
		return err
	}
	if err := rdb.Ping(p.ctx).Err(); err != nil {
		return errors.Join(noRedis(err), rdb.Close())
	}
	t := &appTools{
		ctx: p.ctx, stdout: p.stdout, pauses: ledger.NewPauses(rdb, c.Namespace), queues: tasks.NewClient(rdb, c.Namespace),
		served: tasks.NewServed(rdb, c.Namespace), quotas: tasks.NewQuotas(rdb, c.Namespace),
	}
	return errors.Join(do(t), rdb.Close())
}

// noRedis says why a first ping failed.
func noRedis(err error) error {
	if refused := tasks.Forbidden(err); refused != nil {
		return refused
	}
	return fmt.Errorf("redis does not answer: %w", err)
}

// known refuses an app that no worker serves, as an enqueue does.
func (t *appTools) known(app string) error {
	known, err := t.served.Knows(t.ctx, app)
	if err == nil && !known {
		err = producer.ErrUnknownApp
	}
	return err
}

// scopeOf reads what a command names: the app, or one kind or template of it. An
// empty name is no app's: a script's variable was not set.
func scopeOf(app string, kind, template *string) (ledger.PauseKey, error) {
	key := ledger.PauseKey{App: app, Scope: ledger.ScopeApp}
	var wrong tasks.ValidationError
	refuse := func(field, detail string) {
		wrong.Fields = append(wrong.Fields, tasks.FieldError{Field: field, Detail: detail})
	}
	if !tasks.ValidApp(app) {
		refuse("appid", "required: the AppID, at most 64 letters, digits, '_' or '-'")
	}
	if kind != nil {
		key.Scope, key.Name = ledger.ScopeKind, *kind
		if !slices.Contains(texts(tasks.Kinds()), *kind) {
			refuse("--kind", "must be one of "+strings.Join(texts(tasks.Kinds()), ", "))
		}
	}
	if template != nil {
		key.Scope, key.Name = ledger.ScopeTemplate, *template
		if !tasks.ValidTemplateID(*template) {
			refuse("--template", "must be the template's id from the WeChat console, at most 128 letters, digits, '_' or '-'")
		}
	}
	if len(wrong.Fields) > 0 {
		return key, &wrong
	}
	return key, nil
}

// named says in words what a pause holds back.
func named(k ledger.PauseKey) string {
	if k.Scope == ledger.ScopeApp {
		return k.App
	}
	return fmt.Sprintf("%s %s of %s", k.Scope, k.Name, k.App)
}

// resumeCommand ends a pause.
func resumeCommand(k ledger.PauseKey) string {
	command := "wxnotify app resume " + k.App
	if k.Scope != ledger.ScopeApp {
		command += fmt.Sprintf(" --%s=%s", k.Scope, k.Name)
	}
	return command
}

type appPauseCmd struct {
	App      string  `arg:"" help:"AppID." name:"appid"`
	Template *string `help:"Hold this template's messages back, no others; of service cards a type, such as card-2010." xor:"scope" placeholder:"ID"`
	Kind     *string `help:"Hold this kind of message back, no others: subscribe, template, device or card." xor:"scope"`
	For      string  `help:"For how long, such as 90s, 2h or 3d; at most 30d." default:"2h" placeholder:"DURATION"`
}

// Run holds an app back, or one kind or template of it.
func (a *appPauseCmd) Run(p *program) error {
	key, err := scopeOf(a.App, a.Kind, a.Template)
	if err != nil {
		return err
	}
	length, err := pauseLength(a.For)
	if err != nil {
		return err
	}
	return withApps(p, func(t *appTools) error {
		if err := t.known(key.App); err != nil {
			return err
		}
		pause := ledger.Pause{PauseKey: key, By: ledger.PauseByHand, Reason: errcode.ReasonPaused}
		_, ends, err := t.pauses.Begin(t.ctx, pause, ledger.Lengths{First: length})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(t.stdout, "%s is paused until %s (for %v); what is enqueued waits and goes on then\nto resume it earlier: %s\n",
			named(key), when(ends.UTC()), length, resumeCommand(key))
		return err
	})
}

// leastPause is the shortest pause by hand: workers look every half second.
const leastPause = time.Second

// pauseLength reads --for.
func pauseLength(text string) (time.Duration, error) {
	d, ok := tasks.ParseDuration(text)
	if !ok || d < leastPause || d > ledger.MaxPause {
		return 0, &tasks.ValidationError{Fields: []tasks.FieldError{{
			Field: "--for", Detail: "must be from 1s to 30d, such as 90s, 2h or 3d; a pause without an end would be forgotten, one that ends may be begun anew",
		}}}
	}
	return d, nil
}

type appResumeCmd struct {
	App      string  `arg:"" help:"AppID." name:"appid"`
	Template *string `help:"Resume this template alone." xor:"scope" placeholder:"ID"`
	Kind     *string `help:"Resume this kind of message alone." xor:"scope"`
	All      bool    `help:"Resume the app and all its kinds and templates." xor:"scope"`
}

// Run ends pauses.
func (a *appResumeCmd) Run(p *program) error {
	key, err := scopeOf(a.App, a.Kind, a.Template)
	if err != nil {
		return err
	}
	return withApps(p, func(t *appTools) error {
		if key.Scope != ledger.ScopeApp {
			return t.resume(key)
		}
		return t.resumeApp(key, a.All)
	})
}

// resume ends the pause of a kind or template.
func (t *appTools) resume(key ledger.PauseKey) error {
	ended, err := t.pauses.End(t.ctx, ledger.Pause{PauseKey: key})
	if err != nil {
		return err
	}
	return t.resumed(key, ended)
}

// resumed says what became of a pause. That there was none is no failure, unless the
// app is a mistyped one.
func (t *appTools) resumed(key ledger.PauseKey, ended bool) error {
	text := "resumed: " + named(key)
	if !ended {
		if err := t.known(key.App); err != nil {
			return err
		}
		text = named(key) + " is not paused"
	}
	_, err := fmt.Fprintln(t.stdout, text)
	return err
}

// resumeApp ends the pause of an app and lets all its lanes go on, those too that were
// paused in the dashboard. What of its kinds and templates is held back stays so and is
// named, unless all is to go on.
func (t *appTools) resumeApp(key ledger.PauseKey, all bool) error {
	list, err := t.pauses.List(t.ctx)
	if err != nil {
		return err
	}
	lanes, err := t.queues.Lanes(t.ctx, key.App)
	if err != nil {
		return err
	}
	pauses := of(key.App, list)
	ended, err := t.pauses.End(t.ctx, ledger.Pause{PauseKey: key})
	if err != nil {
		return err
	}
	if err := t.queues.UnpauseLanes(t.ctx, key.App, tasks.Priorities()); err != nil { // no lane stays paused
		return err
	}
	if opened := pausedElsewhere(lanes, pauses); len(opened) > 0 {
		_, err = fmt.Fprintf(t.stdout, "resumed: %s, paused in the dashboard\n", strings.Join(texts(opened), ", "))
		if !ended {
			return errors.Join(err, t.resumeRest(pauses, all))
		}
	}
	return errors.Join(err, t.resumed(key, ended), t.resumeRest(pauses, all))
}

// resumeRest ends, or names, what is held back of an app's kinds and templates.
func (t *appTools) resumeRest(pauses []ledger.Pause, all bool) error {
	var failures []error
	for _, p := range pauses {
		if p.Scope == ledger.ScopeApp {
			continue
		}
		if all {
			failures = append(failures, t.resume(p.PauseKey))
			continue
		}
		_, err := fmt.Fprintf(t.stdout, "still paused: %s; to resume it: %s\n", named(p.PauseKey), resumeCommand(p.PauseKey))
		failures = append(failures, err)
	}
	return errors.Join(failures...)
}
