package limit

import (
	"context"
	_ "embed" // the script
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

//go:embed lua/lend.lua
var lendText string

var lendScript = redis.NewScript(lendText)

// lender lends the slots of an app to all its processes.
type lender interface {
	// lend asks for n slots, the first of them at least lead from now.
	lend(ctx context.Context, n int, lead time.Duration) (loan, error)
}

// loan is n slots in a row, an interval apart.
type loan struct {
	now   int64         // µs, the lender's clock
	n     int           // 0: all slots within the horizon are lent
	start int64         // µs, the first slot
	wait  time.Duration // with n 0: until then there is none
}

// store is the lender in Redis.
type store struct {
	rdb      redis.UniversalClient
	key      string
	interval time.Duration
}

// horizon is how far ahead slots are lent. Two seconds are much more than a
// process asks for; the intervals let some processes wait side by side where
// slots are rare.
func (s store) horizon() time.Duration { return 2*time.Second + 3*s.interval }

// errReply is an answer that does not have the form of a loan.
var errReply = errors.New("unexpected reply of the script")

// lend may run twice, as go-redis repeats a command whose answer was lost. The
// slots of the lost answer are lost with it.
func (s store) lend(ctx context.Context, n int, lead time.Duration) (loan, error) {
	got, err := lendScript.Run(ctx, s.rdb, []string{s.key},
		n, micros(s.interval), micros(lead), micros(s.horizon())).Int64Slice()
	if err != nil {
		return loan{}, fmt.Errorf("limit: lend: %w", err)
	}
	if len(got) != 4 || got[1] < 0 || got[1] > int64(n) {
		return loan{}, fmt.Errorf("limit: lend: %w", errReply)
	}
	return loan{now: got[0], n: int(got[1]), start: got[2], wait: time.Duration(got[3]) * time.Microsecond}, nil
}

// micros writes d in microseconds, with its nanoseconds as a fraction.
func micros(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 3, 64)
}
