package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

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
	return withProducer(p, s.App, func(client *producer.Client, app string) error {
		state, err := client.Status(p.ctx, app, s.ID)
		if err != nil {
			return err
		}
		return s.print(p.stdout, state)
	})
}

func (s *statusCmd) print(w io.Writer, state producer.State) error {
	if s.Lang == "zh" {
		state.Reason, state.Remedy = state.ReasonZH, state.RemedyZH
	}
	if s.JSON {
		return printJSON(w, state)
	}
	return printState(w, state)
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
