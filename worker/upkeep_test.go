package worker

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"
)

func TestLastDue(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 5, 14, 30, 20, 0, shanghai)
	for spec, want := range map[string]time.Time{
		"0 0 * * *":      time.Date(2026, 3, 5, 0, 0, 0, 0, shanghai),
		"30 14 * * *":    time.Date(2026, 3, 5, 14, 30, 0, 0, shanghai),
		"31 14 * * *":    time.Date(2026, 3, 4, 14, 31, 0, 0, shanghai),
		"*/5 * * * *":    time.Date(2026, 3, 5, 14, 30, 0, 0, shanghai),
		"0 3 1 * *":      time.Date(2026, 3, 1, 3, 0, 0, 0, shanghai),
		"0 3 6 * *":      time.Date(2026, 2, 6, 3, 0, 0, 0, shanghai),
		"15 4 24 12 *":   time.Date(2025, 12, 24, 4, 15, 0, 0, shanghai),
		"0 12 * * MON":   time.Date(2026, 3, 2, 12, 0, 0, 0, shanghai),
		"0 0 5 3 *":      time.Date(2026, 3, 5, 0, 0, 0, 0, shanghai),
		"59 23 4 3 *":    time.Date(2026, 3, 4, 23, 59, 0, 0, shanghai),
		"0 0-14/7 * * *": time.Date(2026, 3, 5, 14, 0, 0, 0, shanghai),
	} {
		s, err := cron.ParseStandard(spec)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := lastDue(s, now); !ok || !got.Equal(want) {
			t.Errorf("%s: %v %v, want %v", spec, got, ok, want)
		}
	}
	never, err := cron.ParseStandard("0 0 29 2 *")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := lastDue(never, now); ok {
		t.Errorf("29 February within the last year: %v", got)
	}
}
