package sandbox

import (
	"slices"
	"time"
)

// RateReport is how fast the sends of one API arrived at an app.
type RateReport struct {
	Arrivals int64 `json:"arrivals"`
	// FirstNS and LastNS are Unix times in nanoseconds.
	FirstNS int64 `json:"first_unix_ns"`
	LastNS  int64 `json:"last_unix_ns"`
	// MeanPerSecond is the rate from the first to the last of them, 0 for less than two.
	MeanPerSecond float64 `json:"mean_per_second"`
	// BusiestSecond is the highest number within any one second, wherever it begins.
	BusiestSecond int `json:"busiest_second"`
	// LargestGapNS is the longest time between two of them that follow each other, in nanoseconds.
	LargestGapNS int64 `json:"largest_gap_ns"`
}

// arrivals is when the sends of one API arrived. The app's mutex guards it; a copy may be read without, as the elements
// of times never change.
type arrivals struct {
	count int64
	last  int64   // Unix ns
	times []int64 // Unix ns, of the first maxArrivals
}

func (a *arrivals) add(ns int64) {
	a.count++
	a.last = ns
	if len(a.times) < maxArrivals {
		a.times = append(a.times, ns)
	}
}

// rate makes the report. There is at least one arrival.
func (a arrivals) rate() RateReport {
	times := inOrder(a.times)
	r := RateReport{
		Arrivals: a.count, FirstNS: times[0], LastNS: a.last,
		BusiestSecond: busiestSecond(times), LargestGapNS: largestGap(times),
	}
	if took := time.Duration(r.LastNS - r.FirstNS); took > 0 {
		r.MeanPerSecond = float64(a.count-1) / took.Seconds()
	}
	return r
}

// inOrder sorts times if the clock was set back meanwhile.
func inOrder(times []int64) []int64 {
	if slices.IsSorted(times) {
		return times
	}
	return slices.Sorted(slices.Values(times))
}

// busiestSecond returns the highest number of times, which are in order, within any [t, t+1s).
func busiestSecond(times []int64) int {
	busiest, from := 0, 0
	for i, t := range times {
		for t-times[from] >= int64(time.Second) {
			from++
		}
		busiest = max(busiest, i-from+1)
	}
	return busiest
}

// largestGap returns the longest time between two of times, which are in order.
func largestGap(times []int64) int64 {
	gap := int64(0)
	for i := 1; i < len(times); i++ {
		gap = max(gap, times[i]-times[i-1])
	}
	return gap
}
