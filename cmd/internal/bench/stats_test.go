package main

import (
	"slices"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

func TestSpread(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 2, 9}, spread{3, 1, 9}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("%v: %v, want %v", c.values, got, c.want)
		}
	}
}

func TestRatiosAreTakenRoundByRound(t *testing.T) {
	t.Parallel()
	if got := ratios([]float64{80, 30}, []float64{100, 40}); !slices.Equal(got, []float64{0.8, 0.75}) {
		t.Error(got)
	}
}

func TestPercentile(t *testing.T) {
	t.Parallel()
	all := make([]time.Duration, 200) // 200 ms down to 1 ms
	for i := range all {
		all[i] = time.Duration(200-i) * time.Millisecond
	}
	if got, want := waitsOf(all), (waits{100 * time.Millisecond, 198 * time.Millisecond, 200 * time.Millisecond}); got != want {
		t.Errorf("%v, want %v", got, want)
	}
	if got := waitsOf(all[:1]); got.p50 != all[0] || got.p99 != all[0] || got.most != all[0] {
		t.Error(got)
	}
}

func TestRateCountsIntervals(t *testing.T) {
	t.Parallel()
	r := sandbox.AppReport{Arrivals: 101, FirstArrivalNS: 5e9, LastArrivalNS: 7e9}
	if got := rateOf(r); got != 50 {
		t.Error(got)
	}
}

func TestInfoField(t *testing.T) {
	t.Parallel()
	info := "# Memory\r\nused_memory_rss:5\r\nused_memory:1234\r\n"
	if got, ok := infoField(info, "used_memory"); got != "1234" || !ok {
		t.Error(got, ok)
	}
	if _, ok := infoField(info, "used"); ok {
		t.Error("a part of a name is no name")
	}
}
