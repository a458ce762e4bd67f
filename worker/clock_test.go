package worker

import (
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// A worker whose clock is off says so once, and its retries come at the right time.
func TestAClockThatIsOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		g := newGate(nil, nil, nil, slog.New(slog.NewTextHandler(&log, nil)), nil, 0)
		delay := onRedisClock(g.ahead)
		for _, c := range []struct {
			ahead, want time.Duration
			lines       int
		}{
			{0, time.Minute, 0},
			{2 * time.Second, time.Minute, 0}, // within what a look may take
			{24 * time.Hour, time.Minute - 24*time.Hour, 1},
			{24 * time.Hour, time.Minute - 24*time.Hour, 1},
			{-time.Hour, time.Minute + time.Hour, 1},
			{0, time.Minute, 2},
		} {
			g.learn(ledger.Paused{Now: time.Now().Add(-c.ahead)})
			g.tellClock()
			if got := delay(0, &later{after: time.Minute}, (*asynq.Task)(nil)); got != c.want {
				t.Errorf("%v ahead: %v, want %v", c.ahead, got, c.want)
			}
			if lines := strings.Count(log.String(), "\n"); lines != c.lines {
				t.Errorf("%v ahead: %d lines, want %d", c.ahead, lines, c.lines)
			}
		}
	})
}
