package limit

import (
	"testing"
	"time"
)

func TestSight(t *testing.T) {
	t.Parallel()
	start := time.Now()
	see := func(at, trip time.Duration, remote int64) sight {
		return newSight(start.Add(at-trip/2), start.Add(at+trip/2), remote)
	}
	kept := see(0, 2*ms, 1_000_000)
	for name, tc := range map[string]struct {
		fresh sight
		taken bool
	}{
		"less exact":                      {see(time.Second, 4*ms, 2_000_000), false},
		"more exact":                      {see(time.Second, ms, 2_000_500), true},
		"as exact by now":                 {see(10*time.Second, 4*ms, 11_000_000), true},
		"within what both may be wrong":   {see(time.Second, 4*ms, 2_003_000), false},
		"not both right: the clock moved": {see(time.Second, 4*ms, 2_004_000), true},
		"an hour back":                    {see(time.Second, 40*ms, 2_000_000-3_600_000_000), true},
		"an hour on":                      {see(time.Second, 40*ms, 2_000_000+3_600_000_000), true},
	} {
		if got := kept.better(tc.fresh) == tc.fresh; got != tc.taken {
			t.Errorf("%s: taken %v, want %v", name, got, tc.taken)
		}
	}
	if got := (sight{}).better(kept); got != kept {
		t.Error("the first one is not taken")
	}
	if at := kept.at(1_500_000); !at.Equal(start.Add(500 * ms)) {
		t.Errorf("half a second later is %v later", at.Sub(start))
	}
}

func TestTypical(t *testing.T) {
	t.Parallel()
	d := typical{most: 250 * ms}
	if d.value() != leastTypical {
		t.Errorf("before the first: %v", d.value())
	}
	if d.see(20 * ms); d.value() != 20*ms {
		t.Errorf("after the first: %v", d.value())
	}
	for range 20 {
		d.see(40 * ms)
	}
	if d.value() < 35*ms || d.value() > 60*ms {
		t.Errorf("after many of 40 ms: %v", d.value())
	}
	for range 200 {
		d.see(ms)
	}
	low := d.value()
	d.see(time.Second)
	if low > 1500*time.Microsecond || d.value() != 2*low {
		t.Errorf("after many of 1 ms %v, one of 1 s makes it %v", low, d.value())
	}
	for range 100 {
		d.see(time.Minute)
	}
	if d.value() != 250*ms {
		t.Errorf("at most %v", d.value())
	}
}
