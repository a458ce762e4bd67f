package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/token"
)

type tokenCmd struct {
	Status  tokenStatusCmd  `cmd:"" help:"Show until when the tokens live and what went wrong last."`
	Refresh tokenRefreshCmd `cmd:"" help:"Renew the token now. With stable tokens WeChat gives the same one until its last five minutes."`
}

type tokenStatusCmd struct {
	App  string `arg:"" optional:"" help:"AppID; all of WXNOTIFY_APPS if left out." placeholder:"APPID"`
	JSON bool   `help:"Print JSON." name:"json"`
}

type tokenRefreshCmd struct {
	App  string `arg:"" optional:"" help:"AppID; all of WXNOTIFY_APPS if left out." placeholder:"APPID"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run shows the tokens' state.
func (t *tokenStatusCmd) Run(p *program) error {
	return eachToken(p, t.App, t.JSON, func(m *token.Manager, app string) (token.State, error) {
		return m.State(p.ctx, app)
	})
}

// Run renews the tokens.
func (t *tokenRefreshCmd) Run(p *program) error {
	return eachToken(p, t.App, t.JSON, func(m *token.Manager, app string) (token.State, error) {
		return m.Refresh(p.ctx, app, token.Manual)
	})
}

// eachToken does something with the token of one app, or of all, and prints what
// state it is in.
func eachToken(p *program, app string, asJSON bool, do func(*token.Manager, string) (token.State, error)) error {
	c, err := config.Load(config.Redis, config.Secrets)
	if err != nil {
		return err
	}
	m, closeAll, err := openTokens(p, c)
	if err != nil {
		return err
	}
	defer closeAll()
	apps := appIDs(c)
	if app != "" {
		apps = []string{app}
	}
	var states []token.State
	var failures []error
	for _, app := range apps {
		state, err := do(m, app)
		if err != nil {
			failures = append(failures, err)
			continue
		}
		states = append(states, state)
	}
	return errors.Join(printTokens(p.stdout, states, asJSON), errors.Join(failures...))
}

// openTokens connects a token manager of its own, as a worker would.
func openTokens(p *program, c *config.Config) (*token.Manager, func(), error) {
	log := newLogger(p.stderr, c)
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{Timeout: 2 * time.Second, MaxRetries: 1})
	if err != nil {
		return nil, nil, err
	}
	m, calls, err := newTokens(c, log, newMetrics(c), rdb)
	closeAll := func() {
		if m != nil {
			m.Close()
		}
		for _, call := range calls {
			call.Close()
		}
		_ = rdb.Close()
	}
	if err != nil {
		closeAll()
		return nil, nil, err
	}
	return m, closeAll, nil
}

func printTokens(w io.Writer, states []token.State, asJSON bool) error {
	if asJSON {
		return printJSON(w, states)
	}
	for _, s := range states {
		if err := printRows(w, tokenRows(s)); err != nil {
			return err
		}
	}
	return nil
}

func tokenRows(s token.State) [][2]string {
	rows := [][2]string{
		{"app", s.App}, {"mode", string(s.Mode)}, {"token", string(s.Phase)},
		{"expires", until(s.ExpiresAt)}, {"fetched", when(s.FetchedAt)}, {"refused", when(s.RefusedAt)},
	}
	return append(rows, [2]string{"last failure", failureText(s)})
}

// failureText is the last failure, if no renewal succeeded after it.
func failureText(s token.State) string {
	f := s.LastError
	if f == nil || s.CheckedAt.After(f.At) {
		return ""
	}
	text := string(f.Class)
	if f.Code != 0 {
		text += fmt.Sprintf(", errcode %d", f.Code)
	}
	if f.Detail != "" {
		text += " (" + f.Detail + ")"
	}
	return text + " at " + when(f.At)
}

func when(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}

func until(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return fmt.Sprintf("%s (in %s)", when(t), time.Until(t).Round(time.Second))
}
