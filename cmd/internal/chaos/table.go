package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// columns are the table's, in order, with what a row shows there.
var columns = []struct {
	name string
	cell func(result) string
}{
	{"row", func(r result) string { return r.number }},
	{"trouble", func(r result) string { return r.what }},
	{"enqueued", number(func(r result) int { return r.enqueued })},
	{"accepted", number(func(r result) int { return r.outcomes[tasks.Status(tasks.Accepted)] })},
	{"unknown", number(func(r result) int { return r.outcomes[tasks.Status(tasks.Unknown)] })},
	{"other", number(func(r result) int { return r.others() })},
	{"kills", number(func(r result) int { return r.killed })},
	{"redis faults", number(func(r result) int { return r.redisFaulted })},
	{"other faults", number(func(r result) int { return r.otherFaulted })},
	{"unknown attempts", number(func(r result) int { return r.unknown })},
	{"lost", number(func(r result) int { return len(r.lost) })},
	{"doubled", number(func(r result) int { return len(r.doubled) })},
	{"repeats allowed", number(func(r result) int { return r.repeats })},
	{"redis forgot", number(func(r result) int { return r.forgotten })},
	{"rate", func(r result) string { return r.rateCell() }},
	{"s", func(r result) string { return fmt.Sprintf("%.0f", r.took.Seconds()) }},
	{"", func(r result) string { return r.word() }},
}

func number(of func(result) int) func(result) string {
	return func(r result) string { return fmt.Sprint(of(r)) }
}

// others counts the outcomes that have no column of their own.
func (r result) others() int {
	n := 0
	for status, count := range r.outcomes {
		if status != tasks.Status(tasks.Accepted) && status != tasks.Status(tasks.Unknown) {
			n += count
		}
	}
	return n
}

func (r result) rateCell() string {
	if r.rate == 0 {
		return "-"
	}
	return fmt.Sprintf("%d of %d/s", r.busiest, r.rate)
}

func (r result) word() string {
	if r.passed() {
		return "PASS"
	}
	return "FAIL"
}

// printTable prints the rows, their sum, and why rows failed.
func printTable(w io.Writer, results []result, took time.Duration) error {
	total := sum(results)
	total.what, total.took = "all", took
	for _, r := range results {
		total.complaints = append(total.complaints, r.complaints...)
	}
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	line := func(cell func(i int) string) {
		cells := make([]string, len(columns))
		for i := range columns {
			cells[i] = cell(i)
		}
		_, _ = fmt.Fprintln(table, strings.Join(cells, "\t")) // a Builder takes everything
	}
	line(func(i int) string { return columns[i].name })
	for _, r := range append(results[:len(results):len(results)], total) {
		line(func(i int) string { return columns[i].cell(r) })
	}
	_ = table.Flush() // the same
	_, err := io.WriteString(w, b.String())
	return err
}
