package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/producer"
)

type statusCmd struct {
	ID   string `arg:"" help:"The notification's id." name:"id"`
	App  string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	Lang string `help:"Language of reason and remedy: en or zh." enum:"en,zh" default:"en"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run prints where a notification stands.
func (s *statusCmd) Run(p *program) error {
	c, err := config.Load(config.Redis)
	if err != nil {
		return err
	}
	newLogger(p.stderr, c)
	client, err := newProducer(c)
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	app, err := onlyApp(c, s.App)
	if err != nil {
		return err
	}
	state, err := client.Status(p.ctx, app, s.ID)
	if err != nil {
		return err
	}
	if s.Lang == "zh" {
		state.Reason, state.Remedy = state.ReasonZH, state.RemedyZH
	}
	if s.JSON {
		return printJSON(p.stdout, statusJSON(state))
	}
	return printState(p.stdout, state)
}

// statusJSON has the members of the HTTP API's answer.
func statusJSON(s producer.State) any {
	return struct {
		ID        string    `json:"id"`
		App       string    `json:"app"`
		Kind      string    `json:"kind"`
		Status    string    `json:"status"`
		MsgID     string    `json:"msgid,omitempty"`
		Errcode   int       `json:"errcode,omitempty"`
		Reason    string    `json:"reason,omitempty"`
		Remedy    string    `json:"remedy,omitempty"`
		Attempts  int       `json:"attempts"`
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
	}{s.ID, s.App, string(s.Kind), string(s.Status), s.MsgID, s.Errcode, s.Reason, s.Remedy, s.Attempts, s.CreatedAt, s.UpdatedAt}
}

func printState(w io.Writer, s producer.State) error {
	rows := [][2]string{
		{"id", s.ID}, {"app", s.App}, {"kind", string(s.Kind)}, {"status", string(s.Status)}, {"msgid", s.MsgID},
		{"errcode", number(s.Errcode)}, {"reason", s.Reason}, {"remedy", s.Remedy}, {"attempts", fmt.Sprint(s.Attempts)},
		{"created", s.CreatedAt.Format(time.RFC3339)}, {"updated", s.UpdatedAt.Format(time.RFC3339)},
	}
	return printRows(w, rows)
}

// printRows prints names and values in two columns and leaves out what is empty.
func printRows(w io.Writer, rows [][2]string) error {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		if strings.TrimSpace(row[1]) != "" {
			fmt.Fprintf(table, "%s\t%s\n", row[0], row[1])
		}
	}
	return table.Flush()
}

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}
