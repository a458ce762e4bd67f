package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the bare handlers, which bench starts as
// itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && (os.Args[1] == bareCommand || os.Args[1] == bareCallbackCommand) {
		main()
		return
	}
	goleak.VerifyTestMain(m)
}

// Everything for real, only less of it.
func TestSmallRun(t *testing.T) {
	t.Parallel()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	var stdout, stderr bytes.Buffer
	err := run(t.Context(), []string{"-n", "200", "-rounds", "1", "-sends", "5", "-idle", "200ms", "-users", "300", "-markdown"}, &stdout, &stderr)
	if err != nil {
		t.Fatalf("%v\n%s", err, &stderr)
	}
	table := stdout.String()
	if got, want := strings.Count(table, "\n| "), len(sample().rows()); got != want {
		t.Errorf("%d rows, want %d", got, want)
	}
	for _, wrong := range []string{"NaN", "Inf", "unknown", "-1"} {
		if strings.Contains(strings.SplitN(table, "\n\n", 2)[0], wrong) {
			t.Errorf("%q in the table", wrong)
		}
	}
	t.Log("\n" + table)
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-n", "0"}, {"-rounds", "0"}, {"-idle", "0s"}, {"-users", "0"}, {"-only", ""}, {"-only", "credits,x"}, {"x"}, {"-nonsense"}, {bareCommand}, {bareCallbackCommand}} {
		var stderr bytes.Buffer
		if err := run(t.Context(), args, &bytes.Buffer{}, &stderr); !isUsage(err) || stderr.Len() == 0 {
			t.Errorf("%v: %v, said %q", args, err, &stderr)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &bytes.Buffer{}, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"-only", partCredits + "," + partTraffic}, &bytes.Buffer{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts() {
		if want := p.name == partCredits || p.name == partTraffic; o.wants(p.name) != want {
			t.Errorf("%s: wanted is %v", p.name, !want)
		}
	}
	r := sample()
	r.options = o
	if rows := r.rows(); len(rows) != 5 || rows[4].what != r.creditRows()[0].what {
		t.Errorf("rows %q", rows)
	}
	if o, err := parseOptions(nil, &bytes.Buffer{}); err != nil || len(o.only) != len(parts()) {
		t.Errorf("without -only: %q, %v", o.only, err)
	}
}
