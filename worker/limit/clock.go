package limit

import "time"

// drift is how far two clocks may come apart, as a share of the time that
// passes. Good ones stay far below it; while one is being adjusted it may be
// five times as much; then two sights contradict each other soon.
const drift = 100e-6

// sight is a look at the lender's clock, as NTP takes it: halfway through the
// round trip it showed remote. It is wrong by at most half the round trip.
type sight struct {
	local  time.Time // monotonic
	remote int64     // µs
	trip   time.Duration
}

func newSight(sent, got time.Time, remote int64) sight {
	trip := got.Sub(sent)
	return sight{local: sent.Add(trip / 2), remote: remote, trip: trip}
}

// at is the local time when the lender's clock shows remote.
func (s sight) at(remote int64) time.Time {
	return s.local.Add(time.Duration(remote-s.remote) * time.Microsecond)
}

// doubt is by how much at may be wrong at a time near now.
func (s sight) doubt(now time.Time) time.Duration {
	return s.trip/2 + time.Duration(drift*float64(now.Sub(s.local)))
}

// better returns the sight to go by: the new one when it is the more exact one
// by now, or when the two cannot both be right. Then the lender's clock was set,
// or another server answers.
func (s sight) better(fresh sight) sight {
	old, apart := s.doubt(fresh.local), s.at(fresh.remote).Sub(fresh.local).Abs()
	if fresh.trip/2 <= old || apart > old+fresh.trip/2 {
		return fresh
	}
	return s
}

// typical follows a duration that varies, so that about one in ten exceeds it.
// After the first one, a single one, however long, at most doubles it.
type typical struct{ d, most time.Duration }

// leastTypical is what a typical starts with and never falls below.
const leastTypical = 500 * time.Microsecond

func (t *typical) see(d time.Duration) {
	switch {
	case t.d == 0:
		t.d = d
	case d > 2*t.d:
		t.d *= 2
	case d > t.d:
		t.d += t.d / 4
	default:
		t.d -= t.d / 32
	}
	t.d = min(max(t.d, leastTypical), t.most)
}

func (t *typical) value() time.Duration { return max(t.d, leastTypical) }
