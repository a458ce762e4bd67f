package main_test

import (
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// cpu is the processor time a process has used, as Linux counts it.
func (p *process) cpu() time.Duration {
	p.t.Helper()
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(p.cmd.Process.Pid) + "/stat")
	if os.IsNotExist(err) {
		p.t.Skip("no /proc")
	}
	if err != nil {
		p.t.Fatal(err)
	}
	// After the name in parentheses: user and system time are the 12th and 13th.
	_, rest, _ := strings.Cut(string(stat), ") ")
	fields := strings.Fields(rest)
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			p.t.Fatalf("%s: %v", stat, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond // 100 a second on every platform of Go's
}

// With Redis gone for a while a worker hardly uses the processor nor fills its log, and
// what is queued goes out soon after Redis is back.
func TestWorkerRestsWhileRedisIsAway(t *testing.T) {
	const n = 50
	w := newWorld(t, "--appendonly", "yes", "--appendfsync", "always")
	g := w.gateway()
	a := w.worker("a", nil)
	all, ids := messages("away", n, n)
	due := time.Now().Add(6 * time.Second)
	for i := range all {
		all[i]["send_at"] = due.Format(time.RFC3339)
	}
	g.enqueue(all)
	w.redis.Stop(t)

	<-time.After(2 * time.Second) // until the first failures are over
	const span = 10 * time.Second
	before, written := a.cpu(), strings.Count(a.out.String(), "\n")
	<-time.After(span)
	used, lines := a.cpu()-before, strings.Count(a.out.String(), "\n")-written
	t.Logf("%v of processor time and %d lines in %v", used, lines, span)
	if used > span/10 {
		t.Errorf("the worker used %v of processor time in %v without Redis, want at most a tenth", used, span)
	}
	if lines > 40 {
		t.Errorf("the worker wrote %d lines in %v without Redis, want at most 40", lines, span)
	}

	w.redis.Start(t)
	back := time.Now()
	taskstest.Eventually(t, 30*time.Second, func() string {
		if sent := w.sandbox.report(testApp, false).Accepted; sent < n {
			return strconv.FormatInt(sent, 10) + " of " + strconv.Itoa(n) + " sent"
		}
		return ""
	})
	t.Logf("all sent %v after Redis was back", time.Since(back).Round(100*time.Millisecond))
	wantAll(t, g.outcomes(testApp, ids, 30*time.Second), "accepted")
	wantCleanExit(t, a.process, g.process)
}
