// Command chaos makes trouble for real processes and prints what it did to the
// notifications they were sending: one row for each kind of trouble. A row that lost
// or doubled anything beyond what is promised fails the command.
//
// Each row has a redis-server, a sandbox WeChat, a gateway and workers of its own, all
// killed at the end. The rows run side by side: most of their time they wait for asynq
// to bring back what killed workers had in hand, which takes it a minute or two.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/cmd/internal/boot"
)

// options are the flags.
type options struct {
	// short runs fewer rows, each with less.
	short bool
	// only are the numbers of the rows to run; empty means all.
	only []string
	// parallel is how many rows run side by side.
	parallel int
	// keep leaves the logs of every row, not only of those that failed.
	keep bool
}

func main() {
	redis.SetLogger(quiet{}) // Redis is away on purpose
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

// quiet drops what go-redis has to say.
type quiet struct{}

// Printf does nothing.
func (quiet) Printf(context.Context, string, ...any) {}

// errUsage says that the flags were wrong; the flag set has said how.
var errUsage = errors.New("chaos: wrong usage")

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.BoolVar(&o.short, "short", false, "fewer rows with fewer notifications, in about a minute and a half")
	f.IntVar(&o.parallel, "parallel", 12, "rows that run side by side")
	f.BoolVar(&o.keep, "keep", false, "keep the logs of rows that passed, too")
	f.Func("only", "run only these rows, by number, separated by commas", func(list string) error {
		o.only = strings.Split(list, ",")
		for _, number := range o.only {
			if !slices.ContainsFunc(rows(), func(r row) bool { return r.number == number }) {
				return fmt.Errorf("there is no row %q", number)
			}
		}
		return nil
	})
	if err := f.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return o, err
		}
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.parallel < 1 || f.NArg() > 0 {
		_, _ = fmt.Fprintln(stderr, "chaos: -parallel must be at least 1, and there are no arguments")
		return o, errUsage
	}
	return o, nil
}

// chosen are the rows to run.
func (o options) chosen() []row {
	return slices.DeleteFunc(rows(), func(r row) bool {
		if len(o.only) > 0 {
			return !slices.Contains(o.only, r.number)
		}
		return o.short && !r.short
	})
}

// whole says whether a run is the one that has to reach the totals.
func (o options) whole() bool { return !o.short && len(o.only) == 0 }

// run is the program.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	began := time.Now()
	results, err := torment(ctx, o, stderr)
	if err != nil {
		return fmt.Errorf("chaos: %w", err)
	}
	if err := printTable(stdout, results, time.Since(began)); err != nil {
		return err
	}
	return judgeRun(results, o.whole())
}

// torment runs the rows.
func torment(ctx context.Context, o options, progress io.Writer) ([]result, error) {
	dir, err := os.MkdirTemp("", "wxnotify-chaos-")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(dir) }() // unless a row left its logs there
	chosen := o.chosen()
	binaries, err := build(ctx, dir, chosen)
	if err != nil {
		return nil, err
	}
	defer binaries.remove()
	plan := longPlan
	if o.short {
		plan = shortPlan
	}
	results := make([]result, len(chosen))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(o.parallel)
	for i, r := range chosen {
		group.Go(func() error {
			results[i] = runRow(ctx, r, plan, binaries, dir, o.keep)
			_, _ = fmt.Fprintf(progress, "chaos: %s\n", results[i])
			return context.Cause(ctx)
		})
	}
	return results, group.Wait()
}
