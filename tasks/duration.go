package tasks

import (
	"strconv"
	"strings"
	"time"
)

// maxDuration is far beyond every use and far from overflow.
const maxDuration = 10 * 365 * 24 * time.Hour

// ParseDuration reads what time.ParseDuration reads, and days before it: 30d, 1d12h.
func ParseDuration(value string) (time.Duration, bool) {
	days, rest, hasDays := strings.Cut(value, "d")
	if !hasDays {
		d, err := time.ParseDuration(value)
		return d, err == nil
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, false
	}
	total := time.Duration(n) * 24 * time.Hour
	if rest == "" {
		return total, true
	}
	d, err := time.ParseDuration(rest)
	return total + d, err == nil && d >= 0 && d <= maxDuration
}
