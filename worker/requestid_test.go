package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// Whoever has a request's id finds what became of its notification in the worker's
// log, and its failed attempts.
func TestRequestIDReachesTheOutcome(t *testing.T) {
	b := setup(t)
	b.next(send("", -1, 1))
	b.start()
	named := notification("named")
	named.RequestID = "req-4711"
	b.send(named)
	b.await("named", "accepted")
	b.send(notification("nameless"))
	b.await("nameless", "accepted")
	taskstest.Eventually(t, 60*time.Second, func() string {
		for _, want := range []string{"waits after a failed attempt", "notification ended"} {
			if line := b.line(want, " id=named "); !strings.Contains(line, "request_id=req-4711") {
				return "no line with " + want + " and the request's id: " + line
			}
		}
		if line := b.line("notification ended", " id=nameless "); line == "" || strings.Contains(line, "request_id") {
			return "the line of what came with none: " + line
		}
		return ""
	})
}

// line is the first line of the log that says what about a notification.
func (b *bundle) line(what, about string) string {
	for line := range strings.Lines(b.log.String()) {
		if strings.Contains(line, what) && strings.Contains(line, about) {
			return line
		}
	}
	return ""
}
