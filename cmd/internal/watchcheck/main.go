// Command watchcheck shows that what deploy/ watches is there to be seen. It starts a
// real Prometheus with deploy/prometheus, beside redis-server, redis_exporter, a sandbox
// WeChat, a gateway and two workers, all on 127.0.0.1, and sends messages, some of which
// fail. Then every expression of the dashboards and rules must answer with data; and a
// worker that is killed, an AppSecret that is refused and a quota that is used up must
// each raise their alerts, which must clear once that is mended. It takes some minutes:
//
//	go run ./cmd/internal/watchcheck
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "watchcheck:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) (err error) {
	queries, err := queriesUnder("deploy")
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "wxnotify-watchcheck-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &stack{dir: dir, ended: cancel}
	defer func() {
		s.stop()
		if err == nil {
			err = os.RemoveAll(dir)
			return
		}
		err = fmt.Errorf("%w\nlogs are in %s", err, dir)
	}()
	if err := s.start(ctx); err != nil {
		return err
	}
	go s.load(ctx)
	return errors.Join(s.checkMetrics(ctx), s.checkQueries(ctx, queries), s.checkAlerts(ctx))
}

// checkMetrics lets promtool judge what the processes export.
func (s *stack) checkMetrics(ctx context.Context) error {
	for _, of := range []*process{s.workers[0], s.gateway} {
		text, err := s.get(ctx, "http://"+of.admin+"/metrics")
		if err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "promtool", "check", "metrics")
		cmd.Stdin = strings.NewReader(text)
		out, err := cmd.CombinedOutput()
		fmt.Printf("promtool check metrics, %s: %d lines; it says: %s\n", of.name, strings.Count(text, "\n"), says(out, err))
		if err != nil && !expectedLint(string(out)) {
			return fmt.Errorf("promtool check metrics, %s: %w", of.name, err)
		}
	}
	return nil
}

func says(out []byte, err error) string {
	if err == nil && len(out) == 0 {
		return "nothing"
	}
	return strings.TrimSpace(string(out))
}

// expectedLint reports whether promtool only minds the two gauges whose names asynq's
// own exporter and asynqmon's charts have fixed.
func expectedLint(out string) bool {
	for line := range strings.Lines(out) {
		if !strings.HasPrefix(line, "asynq_queue_paused_total ") && !strings.HasPrefix(line, "asynq_tasks_enqueued_total ") {
			return false
		}
	}
	return true
}

// answerWithin is how long an expression may stay empty: a canary takes a minute.
const answerWithin = 150 * time.Second

// checkQueries waits until every expression has data.
func (s *stack) checkQueries(ctx context.Context, queries []query) error {
	var empty []error
	deadline := time.Now().Add(answerWithin)
	asked := 0
	for _, q := range queries {
		for _, expr := range q.asks() {
			asked++
			n := 0
			err := lab.Await(ctx, "data", max(time.Until(deadline), time.Second), func() (bool, error) {
				var err error
				n, err = s.ask(ctx, expr)
				return n > 0, err
			})
			if err != nil {
				empty = append(empty, fmt.Errorf("%s: %s: %s: %w", q.file, q.name, expr, err))
			}
			fmt.Printf("%-16s %-44s %3d series  %s\n", q.file, q.name, n, expr)
		}
	}
	fmt.Printf("%d expressions asked, %d without data\n", asked, len(empty))
	return errors.Join(empty...)
}

// trouble is what is done to the system, and which alerts tell of it.
type trouble struct {
	name       string
	make, mend func(context.Context) error
	alerts     []string
}

func (s *stack) troubles() []trouble {
	return []trouble{
		{"a worker is killed", s.killWorker, s.restartWorker, []string{"WxnotifyWorkerDown"}},
		{"all workers are killed", s.killWorkers, s.restartWorkers, []string{"WxnotifyNoWorker", "WxnotifyWorkerDown"}},
		{"the AppSecret is refused", s.breakSecret, s.mendSecret, []string{"WxnotifyPaused", "WxnotifyTokenRenewalFails"}},
		{"the quota is used up", s.useUpQuota, s.mendQuota, []string{"WxnotifyQuotaExhausted", "WxnotifyPaused", "WxnotifyQuotaLow"}},
	}
}

// alertWithin is how long an alert may take to come or go: a quota is read once a minute.
const alertWithin = 4 * time.Minute

func (s *stack) checkAlerts(ctx context.Context) error {
	for _, t := range s.troubles() {
		if err := s.awaitQuiet(ctx, t.alerts); err != nil {
			return fmt.Errorf("before %s: %w", t.name, err)
		}
		if err := t.make(ctx); err != nil {
			return err
		}
		begun := time.Now()
		seen, err := s.awaitFiring(ctx, t.alerts)
		if err != nil {
			return fmt.Errorf("%s: %w", t.name, err)
		}
		fired := time.Since(begun)
		if err := t.mend(ctx); err != nil {
			return err
		}
		begun = time.Now()
		if err := s.awaitQuiet(ctx, t.alerts); err != nil {
			return fmt.Errorf("%s, mended: %w", t.name, err)
		}
		fmt.Printf("%s: %v fired within %v and cleared %v after it was mended; all that fired meanwhile: %v\n",
			t.name, t.alerts, fired.Round(time.Second), time.Since(begun).Round(time.Second), seen)
	}
	return nil
}

// awaitFiring waits until each of the alerts has fired, and returns all that have. One
// may be over before the next one begins: a pause stops the attempts that failed.
func (s *stack) awaitFiring(ctx context.Context, alerts []string) ([]string, error) {
	var seen []string
	err := lab.Await(ctx, fmt.Sprint(alerts, " to fire"), alertWithin, func() (bool, error) {
		firing, err := s.firing(ctx)
		seen = append(seen, firing...)
		slices.Sort(seen)
		seen = slices.Compact(seen)
		return !slices.ContainsFunc(alerts, func(a string) bool { return !slices.Contains(seen, a) }), err
	})
	if err != nil {
		return nil, fmt.Errorf("%w; these did: %v", err, seen)
	}
	return seen, nil
}

// awaitQuiet waits until none of the alerts fires.
func (s *stack) awaitQuiet(ctx context.Context, alerts []string) error {
	return lab.Await(ctx, fmt.Sprint(alerts, " to clear"), alertWithin, func() (bool, error) {
		firing, err := s.firing(ctx)
		return !slices.ContainsFunc(alerts, func(a string) bool { return slices.Contains(firing, a) }), err
	})
}
