package sandbox

import (
	"strings"
	"testing"
	"time"
)

func TestRates(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	start := b.clock.now().UnixNano()
	token := b.stable(false).AccessToken
	for _, wait := range []time.Duration{0, 100, 100, 700, 200, 1900} { // ms before each send
		b.clock.advance(wait * time.Millisecond)
		b.send(token, sendBody("n"))
	}
	b.clock.advance(time.Second)
	b.setForm(FormID{ID: "f1"})
	b.sendForm(token, formBody("f1"))
	a := b.s.Report(false).Apps[testApp]
	if len(a.Rates) != 2 || a.BusiestSecond != 4 || a.Arrivals != 7 || a.LastArrivalNS != start+4e9 {
		t.Errorf("report %+v", a)
	}
	if got, want := a.Rates[APISubscribeSend], (RateReport{
		Arrivals: 6, FirstNS: start, LastNS: start + 3e9, MeanPerSecond: 5.0 / 3, BusiestSecond: 4, LargestGapNS: 19e8,
	}); got != want {
		t.Errorf("subscribe messages\n%+v, want\n%+v", got, want)
	}
	if got, want := a.Rates[APITemplateSend], (RateReport{Arrivals: 1, FirstNS: start + 4e9, LastNS: start + 4e9, BusiestSecond: 1}); got != want {
		t.Errorf("template messages\n%+v, want\n%+v", got, want)
	}
	text := b.must("GET", "report", "")
	if !strings.Contains(text, `"rates":{"subscribe_send":{"arrivals":6,"first_unix_ns":`) ||
		!strings.Contains(text, `"mean_per_second":1.6666666666666667,"busiest_second":4,"largest_gap_ns":1900000000}`) {
		t.Errorf("report %s", text)
	}
	b.s.Reset()
	if a := b.s.Report(false).Apps[testApp]; len(a.Rates) != 0 || a.BusiestSecond != 0 || a.FirstArrivalNS != 0 {
		t.Errorf("after the reset: %+v", a)
	}
}

// TestRateCountsBothKindsOfSends: an app's busiest second is that of all its sends together.
func TestRateCountsBothKindsOfSends(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	b.setForm(FormID{ID: "f1", Uses: 3})
	for range 3 {
		b.send(token, sendBody("n"))
		b.clock.advance(300 * time.Millisecond)
		b.sendForm(token, formBody("f1"))
		b.clock.advance(300 * time.Millisecond)
	}
	a := b.s.Report(false).Apps[testApp]
	if s, f := a.Rates[APISubscribeSend].BusiestSecond, a.Rates[APITemplateSend].BusiestSecond; a.BusiestSecond != 4 || s != 2 || f != 2 {
		t.Errorf("together %d, single %d and %d", a.BusiestSecond, s, f)
	}
}

func TestRateOfManyArrivals(t *testing.T) {
	t.Parallel()
	a := arrivals{times: make([]int64, maxArrivals-1)} // the first second has them all
	a.count = int64(len(a.times))
	a.add(5)
	a.add(int64(time.Second))
	if len(a.times) != maxArrivals {
		t.Errorf("%d times are kept", len(a.times))
	}
	want := RateReport{
		Arrivals: maxArrivals + 1, LastNS: 1e9, MeanPerSecond: maxArrivals, BusiestSecond: maxArrivals, LargestGapNS: 5,
	}
	if got := a.rate(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestRateWhenTheClockWasSetBack(t *testing.T) {
	t.Parallel()
	a := arrivals{}
	for _, at := range []time.Duration{time.Hour, time.Hour + time.Second, 1, time.Second} {
		a.add(int64(at))
	}
	want := RateReport{Arrivals: 4, FirstNS: 1, LastNS: 1e9, BusiestSecond: 2, LargestGapNS: int64(time.Hour - time.Second)}
	if got := a.rate(); got.MeanPerSecond < 3 || got.MeanPerSecond > 3.1 || got.LargestGapNS != want.LargestGapNS ||
		got.FirstNS != want.FirstNS || got.LastNS != want.LastNS || got.BusiestSecond != want.BusiestSecond {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestBusiestSecond(t *testing.T) {
	t.Parallel()
	const second = int64(time.Second)
	for want, times := range map[int][]int64{
		0: nil,
		1: {0, second, 2 * second},
		2: {0, second - 1, 2*second - 1},
		3: {3 * second / 2, second / 2, 0, second, second/2 + second - 1}, // not sorted
		4: {5, 5, 5, 5, 5 + second},
	} {
		if got := busiestSecond(inOrder(times)); got != want {
			t.Errorf("%v: %d, want %d", times, got, want)
		}
	}
}
