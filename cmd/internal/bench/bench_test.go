package main

import (
	"bytes"
	"net/http"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

// TestMain lets the test binary be the bare handler, which bench starts as
// itself.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == bareCommand {
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
	err := run(t.Context(), []string{"-n", "200", "-rounds", "1", "-sends", "5", "-idle", "200ms", "-markdown"}, &stdout, &stderr)
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
	for _, args := range [][]string{{"-n", "0"}, {"-rounds", "0"}, {"-idle", "0s"}, {"x"}, {"-nonsense"}, {bareCommand}} {
		var stderr bytes.Buffer
		if err := run(t.Context(), args, &bytes.Buffer{}, &stderr); !isUsage(err) || stderr.Len() == 0 {
			t.Errorf("%v: %v, said %q", args, err, &stderr)
		}
	}
	if err := run(t.Context(), []string{"-h"}, &bytes.Buffer{}, &bytes.Buffer{}); err != nil {
		t.Error(err)
	}
}
