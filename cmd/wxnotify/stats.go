package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

type statsCmd struct {
	App  string `help:"AppID; may be left out if WXNOTIFY_APPS has one." placeholder:"APPID"`
	Days int    `help:"How many days, today included." default:"7" placeholder:"N"`
	JSON bool   `help:"Print JSON." name:"json"`
}

// Run prints what became of an app's notifications.
func (s *statsCmd) Run(p *program) error {
	return withProducer(p, s.App, func(client *producer.Client, app string) error {
		if s.Days < 1 { // 0 is the producer's default
			return fieldError("days", fmt.Sprintf("must be from 1 to %d", producer.MaxStatsDays))
		}
		stats, err := client.Stats(p.ctx, producer.StatsQuery{App: app, Days: s.Days})
		if err != nil {
			return err
		}
		if s.JSON {
			return printJSON(p.stdout, stats)
		}
		return printStats(p.stdout, stats)
	})
}

func printStats(w io.Writer, s producer.Stats) error {
	if len(s.Days) == 0 {
		_, err := fmt.Fprintf(w, "No outcome of %s on these days. Workers count every five seconds.\n", s.App)
		return err
	}
	columns := statsColumns(s.Days)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "DAY\tKIND\tTEMPLATE\t"+strings.ToUpper(strings.Join(columns, "\t")))
	for _, row := range s.Days {
		cells := []string{row.Day, string(row.Kind), row.TemplateID}
		for _, column := range columns {
			cells = append(cells, strconv.FormatInt(row.Outcomes[column], 10))
		}
		fmt.Fprintln(table, strings.Join(cells, "\t"))
	}
	return table.Flush()
}

// statsColumns are the outcomes that occur, in the order of tasks.Outcomes, then the
// receipts.
func statsColumns(rows []producer.StatsRow) []string {
	occur := make(map[string]bool)
	for _, row := range rows {
		for outcome := range row.Outcomes {
			occur[outcome] = true
		}
	}
	var columns []string
	for _, o := range tasks.Outcomes() {
		if occur[string(o)] {
			columns = append(columns, string(o))
			delete(occur, string(o))
		}
	}
	return append(columns, slices.Sorted(maps.Keys(occur))...)
}
