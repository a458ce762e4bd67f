package main

import (
	"math"
	"testing"
)

func TestMostIn(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		slower map[float64]float64
		want   int
	}{
		{map[float64]float64{0.005: 0, 0.01: 0}, 1005},
		{map[float64]float64{0.005: 40, 0.01: 3, 0.025: 1, math.Inf(1): 0}, 1013},
		{map[float64]float64{0.005: 400, 0.25: 2, 20: 0}, 1252},
	} {
		if got := mostIn(1000, tc.slower); got != tc.want {
			t.Errorf("%v: %d, want %d", tc.slower, got, tc.want)
		}
	}
}
