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
	throughput throughput
	latency    latency
	traffic    traffic
	rates      rates
	callbacks  callbacks
	formIDs    formIDs
	// creditBytes of Redis each credit takes.
	creditBytes  float64
	redisVersion string
}

// row is a line of the table. aim is what we want it to be, if we want something.
type row struct{ what, value, aim string }

// heading says where and when the figures come from.
func (r *results) heading() string {
	return fmt.Sprintf("%s; %d CPUs (%s/%s), shared by all processes; %s, Redis %s, asynq %s; %d sends or pushes a round, %d rounds, %d handlers or connections, %d users with form ids or credits",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH,
		runtime.Version(), r.redisVersion, moduleVersion("github.com/hibiken/asynq"), r.n, r.rounds, concurrency, r.users)
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

// rows are those of the parts that were measured, the most telling first.
func (r *results) rows() []row {
	var rows []row
	for _, group := range []struct {
		part string
		rows func() []row
	}{
		{partThroughput, r.throughputRows},
		{partLatency, r.latencyRows},
		{partTraffic, r.trafficRows},
		{partRate, r.rateRows},
		{partCallback, r.callbackRows},
		{partFormIDs, r.formIDRows},
		{partCredits, r.creditRows},
	} {
		if r.wants(group.part) {
			rows = append(rows, group.rows()...)
		}
	}
	return rows
}

func (r *results) throughputRows() []row {
	t := r.throughput
	return []row{
		{"sends per second, whole pipeline", perSecond(spreadOf(t.pipeline)), ""},
		{"sends per second, bare asynq handler with the same call", perSecond(spreadOf(t.bare)), ""},
		{"pipeline ÷ bare", times(spreadOf(ratios(t.pipeline, t.bare))), "≥ 0.9×, better 1.2×"},
		{"resident memory of a worker after a round", megabytes(spreadOf(t.resident).most), ""},
		{"Redis bytes per queued notification", bytesEach(spreadOf(t.queued).median), ""},
		{"Redis bytes per finished notification", bytesEach(spreadOf(t.finished).median), "≤ 400 B"},
	}
}

func (r *results) latencyRows() []row {
	l := r.latency
	return []row{
		{"Send to HTTP arrival when idle, default lane", l.standard.String(), "p99 ≤ 40 ms"},
		{"Send to HTTP arrival when idle, critical lane", l.critical.String(), ""},
		{"Send to HTTP arrival when idle, bare asynq with its defaults", l.bare.String(), ""},
		{"resident memory of an idle worker", megabytes(float64(l.resident)), "≤ 40 MB"},
	}
}

func (r *results) trafficRows() []row {
	t := r.traffic
	return []row{
		{"Redis commands per second of an idle worker, one app", fmt.Sprintf("%.0f (%.0f with those inside scripts)", t.asked, t.executed), ""},
		{"Redis round trips per send, polling included", t.observed.String(), ""},
		{"the same, consents off", t.unchecked.String(), ""},
		{"the same, consents enforced, a credit spent by each send", t.enforced.String(), "no command more than off"},
	}
}

func (r *results) rateRows() []row {
	p := r.rates
	return []row{
		{fmt.Sprintf("%d workers, one app at %d/s", rateWorkers, fastRate), p.alone.String(), p.alone.aim()},
		{"the limiter's Redis calls per send there", fmt.Sprintf("%.3f", p.asks), "≤ 0.1"},
		{fmt.Sprintf("%d workers, an app at %d/s beside the next", rateWorkers, pairRate), p.fast.String(), p.fast.aim()},
		{fmt.Sprintf("the one at %d/s", slowRate), p.slow.String(), p.slow.aim()},
		{fmt.Sprintf("the one at %d/s, while WeChat answers no send of the other", pairRate), p.beside.String(), p.beside.aim()},
		{fmt.Sprintf("critical Send to HTTP arrival, %d workers at %d/s, idle", overtakeWorkers, overtakeRate), p.idle.String(), ""},
		{"the same with default and bulk at the rate", p.saturated.String(), "p99 < 2× idle"},
	}
}

func (r *results) callbackRows() []row {
	c := r.callbacks
	return []row{
		{"callbacks per second: signature, AES, enqueue", perSecond(spreadOf(c.gateway.rates)), "≥ 5000"},
		{"requests per second, bare HTTP handler that enqueues the opened event", perSecond(spreadOf(c.bare.rates)), ""},
		{"callback ÷ bare", times(spreadOf(ratios(c.gateway.rates, c.bare.rates))), ""},
		{"push to answer under that load, callback", waitsOf(c.gateway.waits).String(), ""},
		{"push to answer under that load, bare HTTP handler", waitsOf(c.bare.waits).String(), ""},
	}
}

func (r *results) formIDRows() []row {
	f := r.formIDs
	rate := float64(r.users) / f.took.Seconds()
	return []row{
		{"Redis bytes per stored form id, one per user", bytesEach(f.bytes), "≤ 220 B"},
		{"expired form ids purged per second", fmt.Sprintf("%.0f (all %d, none of %d live ones)", rate, r.users, f.live), ""},
		{"longest Redis command of that purge", f.slowest.String(), "≤ 5 ms"},
	}
}

func (r *results) creditRows() []row {
	return []row{{"Redis bytes per one-time credit, one per user", bytesEach(r.creditBytes), "≤ 220 B"}}
}

// The median, with what it lies between.

func perSecond(s spread) string {
	return fmt.Sprintf("%.0f (%.0f–%.0f)", s.median, s.least, s.most)
}

func times(s spread) string {
	return fmt.Sprintf("%.2f× (%.2f–%.2f)", s.median, s.least, s.most)
}

func bytesEach(n float64) string { return fmt.Sprintf("%.0f B", n) }

func (p perSend) String() string {
	return fmt.Sprintf("%.2f (%.2f commands)", p.roundTrips, p.commands)
}

func (c slowCommand) String() string {
	text := fmt.Sprintf("%.2f ms", float64(c.took)/float64(time.Millisecond))
	if c.name == "" {
		return "below " + text
	}
	return text + " (" + c.name + ")"
}

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
