package gateway

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// allowance is what a key may still ask for: so much a second, and no more than one
// second's worth is saved up.
type allowance struct {
	perSecond float64

	mu   sync.Mutex
	left float64
	at   time.Time // when left was right
}

// most is what can be saved up: one request at least, or a slow key could make none.
func (a *allowance) most() float64 { return max(a.perSecond, 1) }

// take asks for one request, and returns how long to wait if there is none left.
func (a *allowance) take(now time.Time) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.at.IsZero() {
		a.left = a.most()
	} else if passed := now.Sub(a.at).Seconds(); passed > 0 {
		a.left = min(a.most(), a.left+passed*a.perSecond)
	}
	a.at = now
	if a.left < 1 {
		return time.Duration((1 - a.left) / a.perSecond * float64(time.Second))
	}
	a.left--
	return 0
}

// charge takes n more for a request that was let in. They may be more than there are:
// then the next requests wait for longer, so that a batch larger than a second's worth
// can be sent and the rate still holds.
func (a *allowance) charge(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.left -= float64(n)
}

func newAllowances(keys keyring, perSecond float64) map[string]*allowance {
	if perSecond <= 0 {
		return nil
	}
	all := map[string]*allowance{}
	for _, k := range keys {
		all[k.name] = &allowance{perSecond: perSecond}
	}
	return all
}

func tooMany(wait time.Duration) *problem {
	return newProblem(http.StatusTooManyRequests,
		"nothing was done: this key has used up its requests per second, of which a batch takes one for each notification; "+
			"repeat it after Retry-After, and if it goes on like this, slow down or have WXNOTIFY_GATEWAY_KEY_RATE raised").
		with("Retry-After", strconv.Itoa(int(math.Ceil(max(wait.Seconds(), 1)))))
}

// refusalsPerSecond is how many refused requests are logged: whoever knocks without a
// key, or without end, must not fill the disk.
const refusalsPerSecond = 3

// sparse says which of many lines are written.
type sparse struct {
	mu      sync.Mutex
	second  int64
	written int
	left    int // not written since the last one that was
}

// take reports whether a line is written at now, and how many were left out before it.
func (s *sparse) take(now time.Time) (leftOut int, write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := now.Unix(); second != s.second {
		s.second, s.written = second, 0
	}
	if s.written >= refusalsPerSecond {
		s.left++
		return 0, false
	}
	leftOut, s.left = s.left, 0
	s.written++
	return leftOut, true
}
