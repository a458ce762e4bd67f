package main

import (
	"fmt"
	"io"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// results is everything that was measured.
type results struct {
	options
	throughput   throughput
	latency      latency
	traffic      traffic
	redisVersion string
}

// row is a line of the table. aim is what we want it to be, if we want something.
type row struct{ what, value, aim string }

// heading says where and when the figures come from.
func (r *results) heading() string {
	return fmt.Sprintf("%s; %d CPUs (%s/%s), shared by all processes; %s, Redis %s, asynq %s; %d sends a round, %d rounds, %d handlers",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), r.redisVersion, moduleVersion("github.com/hibiken/asynq"), r.n, r.rounds, concurrency)
}

func moduleVersion(path string) string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	i := slices.IndexFunc(info.Deps, func(m *debug.Module) bool { return m.Path == path })
	if i < 0 {
		return "unknown"
	}
	return info.Deps[i].Version
}

func (r *results) rows() []row {
	t, l := r.throughput, r.latency
	return []row{
		{"sends per second, whole pipeline", perSecond(spreadOf(t.pipeline)), ""},
		{"sends per second, bare asynq handler with the same call", perSecond(spreadOf(t.bare)), ""},
		{"pipeline ÷ bare", times(spreadOf(ratios(t.pipeline, t.bare))), "≥ 0.9×, better 1.2×"},
		{"Send to HTTP arrival when idle, default lane", l.standard.String(), "p99 ≤ 40 ms"},
		{"Send to HTTP arrival when idle, critical lane", l.critical.String(), ""},
		{"Send to HTTP arrival when idle, bare asynq with its defaults", l.bare.String(), ""},
		{"Redis commands per second of an idle worker, one app", fmt.Sprintf("%.0f (%.0f with those inside scripts)", r.traffic.asked, r.traffic.executed), ""},
		{"Redis round trips per send, polling included", fmt.Sprintf("%.2f (%.2f commands)", r.traffic.roundTrips, r.traffic.commands), ""},
		{"resident memory of an idle worker", megabytes(float64(l.resident)), "≤ 40 MB"},
		{"resident memory of a worker after a round", megabytes(spreadOf(t.resident).most), ""},
		{"Redis bytes per queued notification", bytesEach(spreadOf(t.queued)), ""},
		{"Redis bytes per finished notification", bytesEach(spreadOf(t.finished)), "≤ 400 B"},
	}
}

// The median, with what it lies between.

func perSecond(s spread) string {
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median, s.least, s.most)
}

func times(s spread) string {
	return fmt.Sprintf("%.2f× (%.2f–%.2f)", s.median, s.least, s.most)
}

func bytesEach(s spread) string { return fmt.Sprintf("%.0f B", s.median) }

// megabytes takes 0 for what the system does not tell.
func megabytes(n float64) string {
	if n == 0 {
		return "n/a"
	}
	return fmt.Sprintf("%.1f MB", n/1e6)
}

func (w waits) String() string {
	return fmt.Sprintf("p50 %s, p99 %s, max %s", millis(w.p50), millis(w.p99), millis(w.most))
}

func millis(d time.Duration) string {
	return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond))
}

// printTable prints the rows, aligned for a terminal or as Markdown.
func printTable(w io.Writer, rows []row, heading string, markdown bool) error {
	text := textTable
	if markdown {
		text = markdownTable
	}
	_, err := io.WriteString(w, text(rows, heading))
	return err
}

func textTable(rows []row, heading string) string {
	var aligned, b strings.Builder
	table := tabwriter.NewWriter(&aligned, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		aim := r.aim
		if aim != "" {
			aim = "aim " + aim
		}
		_, _ = fmt.Fprintf(table, "%s\t%s\t%s\n", r.what, r.value, aim) // a Builder takes everything
	}
	_ = table.Flush() // the same
	fmt.Fprintf(&b, "%s\n\n", heading)
	for line := range strings.Lines(aligned.String()) {
		b.WriteString(strings.TrimRight(line, " \n") + "\n")
	}
	return b.String()
}

func markdownTable(rows []row, heading string) string {
	var b strings.Builder
	b.WriteString("| Measured | Result | Aim |\n|---|---|---|\n")
	for _, r := range rows {
		fmt.Fprintf(&b, "| %s | %s | %s |\n", r.what, r.value, r.aim)
	}
	fmt.Fprintf(&b, "\n%s.\n", heading)
	return b.String()
}
