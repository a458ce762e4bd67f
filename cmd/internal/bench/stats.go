package main

import (
	"math"
	"slices"
	"time"
)

// spread is a median with what it lies between.
type spread struct{ median, least, most float64 }

// spreadOf needs at least one value.
func spreadOf(values []float64) spread {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return spread{median: (sorted[(n-1)/2] + sorted[n/2]) / 2, least: sorted[0], most: sorted[n-1]}
}

// ratios divides round by round: what disturbed one round disturbed both sides.
func ratios(a, b []float64) []float64 {
	list := make([]float64, len(a))
	for i := range a {
		list[i] = a[i] / b[i]
	}
	return list
}

// waits are the figures of a latency measurement.
type waits struct{ p50, p99, most time.Duration }

func waitsOf(all []time.Duration) waits {
	sorted := slices.Sorted(slices.Values(all))
	return waits{p50: percentile(sorted, 50), p99: percentile(sorted, 99), most: sorted[len(sorted)-1]}
}

// percentile is the smallest value that p per cent of all do not exceed.
func percentile(sorted []time.Duration, p float64) time.Duration {
	rank := int(math.Ceil(p / 100 * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
