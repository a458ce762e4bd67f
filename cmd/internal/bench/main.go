// Command bench measures the whole pipeline against a bare asynq handler that
// makes the same HTTP call, the callback against a bare HTTP handler that
// enqueues, and what consents cost, and prints one table.
//
// redis-server, the sandbox WeChat, the worker, the gateway and the bare handlers
// each run as a process of their own on this machine, so all of them, and Redis,
// share its CPUs: the figures say how the two compare and what a send costs, not
// how fast a larger machine would be.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
)

// Each makes this binary one of the bare handlers instead.
const (
	bareCommand         = "bare"
	bareCallbackCommand = "bare-callback"
)

// options are the flags.
type options struct {
	// n is the number of sends, or pushes, in each round.
	n int
	// rounds is how often each side runs.
	rounds int
	// sends is the number of single sends in each latency measurement.
	sends int
	// idle is how long an idle worker is watched.
	idle time.Duration
	// users is how many have a form id or a credit.
	users int
	// only names the parts that are measured.
	only []string
	// markdown prints the table for a README.
	markdown bool
}

func main() {
	ctx, stop := boot.SignalContext(context.Background())
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, errUsage):
		os.Exit(2)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case bareCommand:
			return runBare(ctx, args[1:], stderr)
		case bareCallbackCommand:
			return runBareCallback(ctx, args[1:], stderr)
		}
	}
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	r, err := measure(ctx, o, stderr)
	if err != nil {
		return err
	}
	return printTable(stdout, r.rows(), r.heading(), o.markdown)
}

// errUsage says that the flags were wrong; the flag set has said how.
var errUsage = errors.New("bench: wrong usage")

func parseOptions(args []string, stderr io.Writer) (options, error) {
	o := options{only: partNames()}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.n, "n", 20_000, "sends, or pushes, in each round")
	f.IntVar(&o.rounds, "rounds", 3, "rounds of each side")
	f.IntVar(&o.sends, "sends", 300, "single sends in each latency measurement")
	f.DurationVar(&o.idle, "idle", 10*time.Second, "how long an idle worker is watched")
	f.IntVar(&o.users, "users", 1_000_000, "users who have a form id or a credit")
	f.BoolVar(&o.markdown, "markdown", false, "print the table as Markdown")
	f.Func("only", "measure only these parts, separated by commas: "+strings.Join(o.only, ", "), func(list string) error {
		o.only = strings.Split(list, ",")
		return checkParts(o.only)
	})
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.n < 2 || o.rounds < 1 || o.sends < 1 || o.users < 1 || o.idle <= 0 || f.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "bench: -n must be at least 2, -rounds, -sends, -users and -idle above zero, and there are no arguments")
		return o, errUsage
	}
	return o, nil
}

// measure takes the measurements, one after the other. A process that ends
// before its time ends the run, with its last words as the error.
func measure(ctx context.Context, o options, progress io.Writer) (*results, error) {
	l, ctx, err := openLab(ctx)
	if err != nil {
		return nil, err
	}
	defer l.close()
	r := &results{options: o}
	for _, p := range parts() {
		if !o.wants(p.name) {
			continue
		}
		_, _ = fmt.Fprintf(progress, "bench: measuring %s\n", p.what)
		if err := p.measure(ctx, l, r); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			return nil, fmt.Errorf("bench: %s: %w", p.what, err)
		}
	}
	r.redisVersion, err = l.redis.version(ctx)
	return r, err
}
