package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

func isUsage(err error) bool { return errors.Is(err, errUsage) }

func sample() *results {
	w := waits{12 * time.Millisecond, 33 * time.Millisecond, 36600 * time.Microsecond}
	return &results{
		options: options{n: 20_000, rounds: 2, users: 1_000_000, only: partNames()},
		throughput: throughput{
			pipeline: []float64{4500, 5000}, bare: []float64{5000, 5000},
			queued: []float64{900, 910}, finished: []float64{380, 384}, resident: []float64{30e6, 31e6},
		},
		latency: latency{standard: w, critical: w, bare: w},
		traffic: traffic{observed: perSend{5, 6}, unchecked: perSend{4, 5}, enforced: perSend{4.5, 5}, asked: 113, executed: 320},
		rates: rates{
			alone: paced{sandbox.RateReport{MeanPerSecond: 978.4, BusiestSecond: 995, LargestGapNS: 4e6}, fastRate, 1005}, asks: 0.0991,
			beside: paced{sandbox.RateReport{MeanPerSecond: 480, BusiestSecond: 490, LargestGapNS: 6e6}, pairRate, 0}, idle: w, saturated: w,
		},
		callbacks: callbacks{
			gateway: pushed{[]float64{5000, 6000}, []time.Duration{10 * time.Millisecond}},
			bare:    pushed{[]float64{10000, 10000}, []time.Duration{7 * time.Millisecond}},
		},
		formIDs:      formIDs{bytes: 155.6, live: 10_000, took: 4 * time.Second, slowest: slowCommand{"SCAN", 1234 * time.Microsecond}},
		creditBytes:  209.2,
		redisVersion: "7.0.15",
	}
}

func TestRows(t *testing.T) {
	t.Parallel()
	var text []string
	for _, r := range sample().rows() {
		text = append(text, r.what+": "+r.value)
	}
	all := strings.Join(text, "\n")
	for _, want := range []string{
		"pipeline: 4750 (4500–5000)", "pipeline ÷ bare: 0.95× (0.90–1.00)", "default lane: p50 12 ms, p99 33 ms, max 37 ms",
		"113 (320 with", "5.00 (6.00 commands)", "consents off: 4.00 (5.00 commands)", "spent by each send: 4.50 (5.00 commands)",
		"1000/s: mean 978.4/s (0.978), busiest second 995 (jitter allows 1005), largest gap 4 ms", "send there: 0.099",
		"of the other: mean 480.0/s (0.960), busiest second 490, largest gap 6 ms", "at the rate: p50 12 ms",
		"enqueue: 5500 (5000–6000)", "callback ÷ bare: 0.55× (0.50–0.60)", "load, callback: p50 10 ms", "load, bare HTTP handler: p50 7 ms",
		"one per user: 156 B", "250000 (all 1000000, none of 10000 live ones)", "that purge: 1.23 ms (SCAN)", "credit, one per user: 209 B",
		"idle worker: n/a", "after a round: 31.0 MB", "queued notification: 905 B", "finished notification: 382 B",
	} {
		if !strings.Contains(all, want) {
			t.Errorf("%q is missing in\n%s", want, all)
		}
	}
}

func TestTables(t *testing.T) {
	t.Parallel()
	rows := []row{{"a", "1", "≤ 2"}, {"long name", "10 000", ""}}
	var text, markdown strings.Builder
	if err := errors.Join(printTable(&text, rows, "when", false), printTable(&markdown, rows, "when", true)); err != nil {
		t.Fatal(err)
	}
	if want := "when\n\na          1       aim ≤ 2\nlong name  10 000\n"; text.String() != want {
		t.Errorf("%q, want %q", text.String(), want)
	}
	if want := "| Measured | Result | Aim |\n|---|---|---|\n| a | 1 | ≤ 2 |\n| long name | 10 000 |  |\n\nwhen.\n"; markdown.String() != want {
		t.Errorf("%q, want %q", markdown.String(), want)
	}
}

func TestSlowCommand(t *testing.T) {
	t.Parallel()
	if got := (slowCommand{took: slowFrom}).String(); got != "below 0.10 ms" {
		t.Error(got)
	}
}
