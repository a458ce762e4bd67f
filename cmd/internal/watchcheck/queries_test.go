package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const top = "../../.."

// exporters are the series of others that we use: redis_exporter's, and those of the
// Go client library in our processes.
var exporters = []string{
	"redis_up", "redis_memory_used_bytes", "redis_memory_max_bytes", "redis_aof_enabled", "redis_aof_last_write_status",
	"redis_aof_last_bgrewrite_status", "redis_rdb_last_bgsave_status", "redis_evicted_keys_total", "redis_instance_info",
	"redis_commands_processed_total", "process_resident_memory_bytes",
}

// ownMetrics are the series that the metrics package defines.
func ownMetrics(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(top, "metrics", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	literal := regexp.MustCompile(`"((?:wxnotify|asynq)_[a-z_]+)"`)
	histogram := regexp.MustCompile(`(?:b\.histogram\(|HistogramOpts\{\s*Name:\s*)"(wxnotify_[a-z_]+)"`)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(code), -1) {
			names = append(names, m[1])
		}
		for _, m := range histogram.FindAllStringSubmatch(string(code), -1) {
			names = append(names, m[1]+"_bucket", m[1]+"_sum", m[1]+"_count")
			names = slices.DeleteFunc(names, func(n string) bool { return n == m[1] }) // has no samples under its own name
		}
	}
	return names
}

func allQueries(t *testing.T) []query {
	t.Helper()
	all, err := queriesUnder(filepath.Join(top, "deploy"))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 100 {
		t.Fatalf("only %d expressions found", len(all))
	}
	return all
}

// A dashboard or an alert that asks for a series nobody exports stays empty, and
// nobody notices.
func TestEverySeriesExists(t *testing.T) {
	t.Parallel()
	all := allQueries(t)
	known := append(ownMetrics(t), exporters...)
	for _, q := range all {
		if q.record != "" {
			known = append(known, q.record)
		}
	}
	for _, q := range all {
		if len(q.metrics()) == 0 && !strings.Contains(q.expr, "up{") && !strings.Contains(q.expr, "ALERTS{") {
			t.Errorf("%s: %s: no series found in %s", q.file, q.name, q.expr)
		}
		for _, name := range q.metrics() {
			if !slices.Contains(known, name) {
				t.Errorf("%s: %s: nobody exports %s", q.file, q.name, name)
			}
		}
	}
}

// Every replica tells the same of what lies in Redis: a sum over replicas counts it
// repeatedly.
func TestSharedGaugesAreNeverSummed(t *testing.T) {
	t.Parallel()
	sum := regexp.MustCompile(`(?:sum|avg|count)\b[^(]*\(\s*(?:\w+\()?(?:asynq_\w+|wxnotify_(?:paused|dead_letters|quota_remaining|token_expires_timestamp_seconds))`)
	for _, q := range allQueries(t) {
		if found := sum.FindString(q.expr); found != "" {
			t.Errorf("%s: %s: %s…: take max or min first", q.file, q.name, found)
		}
	}
}

func TestReadsRules(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "rules.yml")
	text := "groups:\n  - name: g\n    rules:\n      - record: a:b\n        expr: sum(x_total)\n      - alert: C\n        expr: >-\n          wxnotify_x{app=\"asynq_y\", z!=\"1\"} > 1\n          or wxnotify_z\n        for: 1m\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := ruleQueries(file)
	if err != nil || len(got) != 2 || got[0].record != "a:b" || got[0].expr != "sum(x_total)" || !got[1].alert {
		t.Fatalf("%+v, %v, want a record and an alert", got, err)
	}
	if want := []string{"wxnotify_x", "wxnotify_z"}; !slices.Equal(got[1].metrics(), want) {
		t.Errorf("metrics %q, want %q", got[1].metrics(), want)
	}
	if want := []string{`wxnotify_x{app="asynq_y", }`, "wxnotify_z"}; !slices.Equal(got[1].asks(), want) {
		t.Errorf("asks %q, want %q", got[1].asks(), want)
	}
}
