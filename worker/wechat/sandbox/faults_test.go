package sandbox

import (
	"context"
	"errors"
	"io"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

func shares() Faults {
	return Faults{Calls: map[string]CallFaults{APISubscribeSend: {
		Jitter:   Duration(time.Second),
		Errcodes: map[int]float64{-1: 0.1, 45011: 0.05},
		Shares:   map[Fault]float64{FaultLostCut: 0.02, FaultDrop: 0.2},
	}}}
}

// draws returns what the first n sends to the app meet.
func draws(b *bundle, n int) []hit {
	a := b.s.apps[0]
	hits := make([]hit, n)
	for i := range hits {
		hits[i] = a.choose(APISubscribeSend)
	}
	return hits
}

func TestSameSeedSameFaults(t *testing.T) {
	t.Parallel()
	one, two := setup(t, nil), setup(t, nil)
	one.setFaults(shares())
	// The second one meets its first 300 sends without faults and has other calls in between: the rest is the same.
	draws(two, 300)
	two.classic()
	two.setFaults(shares())
	all := draws(one, 1000)
	if !slices.Equal(all[300:], draws(two, 700)) {
		t.Error("what an arrival meets does not depend on its number alone")
	}
	one.s.Reset()
	if !slices.Equal(all, draws(one, 1000)) {
		t.Error("a reset does not begin again")
	}
	other, err := New(Config{Apps: []App{testAppConfig()}, Seed: 8})
	if err != nil {
		t.Fatal(err)
	}
	if err := other.SetFaults("", shares()); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(all, draws(&bundle{T: t, s: other}, 1000)) {
		t.Error("another seed gives the same faults")
	}
}

func TestSharesAreMet(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.setFaults(shares())
	const n = 10_000
	met, delay := map[hit]int{}, time.Duration(0)
	for _, h := range draws(b, n) {
		delay += h.delay
		h.delay = 0
		met[h]++
	}
	for h, share := range map[hit]float64{
		{fault: FaultErrcode, errcode: -1}: 0.1, {fault: FaultErrcode, errcode: 45011}: 0.05,
		{fault: FaultLostCut}: 0.02, {fault: FaultDrop}: 0.2, {}: 0.63,
	} {
		if got := float64(met[h]) / n; math.Abs(got-share) > 4*math.Sqrt(share*(1-share)/n) {
			t.Errorf("%+v met by %.4f, want %.4f", h, got, share)
		}
	}
	if mean := delay / n; mean < 480*time.Millisecond || mean > 520*time.Millisecond {
		t.Errorf("mean jitter %s of up to 1s", mean)
	}
}

// TestWhatTheClientSees sends once through every fault, and looks at what the client gets and what was accepted.
func TestWhatTheClientSees(t *testing.T) {
	t.Parallel()
	page := func(status int) func(int, string, error) bool {
		return func(s int, text string, err error) bool {
			return err == nil && s == status && strings.Contains(text, "nginx")
		}
	}
	cutShort := func(_ int, _ string, err error) bool { return errors.Is(err, io.EOF) }
	timeout := func(_ int, _ string, err error) bool { return errors.Is(err, context.DeadlineExceeded) }
	for fault, tc := range map[Fault]struct {
		ok       func(status int, text string, err error) bool
		accepted int64
	}{
		FaultDrop:           {cutShort, 0},
		FaultHang:           {timeout, 0},
		FaultUnavailable:    {page(503), 0},
		FaultBadGateway:     {page(502), 0},
		FaultLostCut:        {cutShort, 1},
		FaultLostHang:       {timeout, 1},
		FaultLostBadGateway: {page(502), 1},
		FaultGarbled: {func(s int, text string, err error) bool {
			return err == nil && s == 200 && strings.HasPrefix(text, `{"errcode"=0`)
		}, 1},
		FaultTruncated: {func(s int, text string, err error) bool {
			return s == 200 && errors.Is(err, io.ErrUnexpectedEOF) && strings.HasPrefix(text, `{"errcode"`)
		}, 1},
		FaultHalfOpen: {func(s int, text string, err error) bool {
			return s == 200 && errors.Is(err, context.DeadlineExceeded) && strings.HasPrefix(text, `{"errcode"`)
		}, 1},
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			n := listen(setup(t, nil))
			n.setFaults(Faults{Next: []Script{{API: APISubscribeSend, Do: fault}}})
			patience := 10 * time.Second
			if fault == FaultHang || fault == FaultLostHang || fault == FaultHalfOpen {
				patience = 1500 * time.Millisecond // in which it must have arrived
			}
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if status, text, err := n.post(ctx, sendBody("n1")); !tc.ok(status, text, err) {
				t.Errorf("HTTP %d %q %v", status, text, err)
			}
			r := n.s.Report(true).Apps[testApp]
			if r.Accepted != tc.accepted || r.ReceivedByID["n1"] != 1 || r.AcceptedByID["n1"] != tc.accepted {
				t.Errorf("accepted %d, report %+v", r.Accepted, r)
			}
			if r.Calls[APISubscribeSend].Faults[fault] != 1 || r.Calls[APISubscribeSend].Errcodes[0] != tc.accepted {
				t.Errorf("counted %+v", r.Calls[APISubscribeSend])
			}
			if status, _, err := n.post(context.Background(), sendBody("n2")); status != 200 || err != nil {
				t.Errorf("after the script: HTTP %d %v", status, err)
			}
		})
	}
}

func TestHangIsBounded(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Apps: []App{testAppConfig()}, HangLimit: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	n := listen(&bundle{T: t, s: s})
	n.setFaults(Faults{Down: FaultHang})
	if _, _, err := n.post(context.Background(), sendBody("n1")); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want a cut connection", err)
	}
}

func TestScriptsAndErrcodes(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.setFaults(Faults{Next: []Script{
		{API: APISubscribeSend, Errcode: -1, Count: 2}, {API: APIStableToken, Errcode: 40164}, {API: APISubscribeSend, Errcode: 43116},
	}})
	r := b.stable(false)
	b.wantCode(r, 40164)
	if !strings.Contains(r.Errmsg, "invalid ip 192.0.2.1 ipv6 ::ffff:192.0.2.1, not in whitelist rid: ") {
		t.Errorf("errmsg %q", r.Errmsg)
	}
	token := b.stable(false).AccessToken
	for _, code := range []int{-1, -1, 43116, 0} {
		b.wantCode(b.send(token, sendBody("n1")), code)
	}
	if f, err := b.s.Faults(testApp); err != nil || len(f.Next) != 0 {
		t.Errorf("left: %+v, %v", f.Next, err)
	}
	if r := b.s.Report(true).Apps[testApp]; r.Accepted != 1 || r.ReceivedByID["n1"] != 4 {
		t.Errorf("report %+v", r)
	}
}

func TestFaultsOfOneApp(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.s.AddApp(App{AppID: "wxother", Secret: "other"}); err != nil {
		t.Fatal(err)
	}
	if err := b.s.SetFaults("wxother", Faults{Down: FaultUnavailable}); err != nil {
		t.Fatal(err)
	}
	b.wantCode(b.stable(false), 0)
	other := "/cgi-bin/token?grant_type=client_credential&appid=wxother&secret=other"
	if r := b.do("GET", other, ""); r.status != http.StatusServiceUnavailable {
		t.Errorf("HTTP %d", r.status)
	}
	b.setFaults(Faults{Down: FaultBadGateway})
	if err := b.s.AddApp(App{AppID: "wxlate", Secret: "late"}); err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{other, strings.ReplaceAll(other, "other", "late"), "/cgi-bin/token?appid=nobody"} {
		if r := b.do("GET", target, ""); r.status != http.StatusBadGateway {
			t.Errorf("%s: HTTP %d", target, r.status)
		}
	}
}

func TestFaultsAreCopied(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	f := shares()
	b.setFaults(f)
	delete(f.Calls, APISubscribeSend)
	got, err := b.s.Faults(testApp)
	if err != nil || len(got.Calls) != 1 {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Calls[APISubscribeSend].Shares[FaultDrop] = 1
	if again, _ := b.s.Faults(""); again.Calls[APISubscribeSend].Shares[FaultDrop] != 0.2 {
		t.Error("what Faults returned is the sandbox's own")
	}
}

func TestFaultsRefuseBadInput(t *testing.T) {
	t.Parallel()
	call := func(c CallFaults) Faults { return Faults{Calls: map[string]CallFaults{APIToken: c}} }
	for want, f := range map[string]Faults{
		"down:":                       {Down: FaultLostCut},
		"calls.sned:":                 {Calls: map[string]CallFaults{"sned": {}}},
		"calls.token.latency":         call(CallFaults{Latency: -1}),
		"latency, jitter:":            call(CallFaults{Jitter: Duration(time.Hour)}),
		"calls.token.errcodes.0:":     call(CallFaults{Errcodes: map[int]float64{0: 0.1}}),
		"calls.token.errcodes.-1:":    call(CallFaults{Errcodes: map[int]float64{-1: 1.1}}),
		"calls.token.errcodes.7:":     call(CallFaults{Errcodes: map[int]float64{7: math.NaN()}}),
		"calls.token.shares.drop:":    call(CallFaults{Shares: map[Fault]float64{FaultDrop: -0.1}}),
		"calls.token.shares.hang:":    call(CallFaults{Shares: map[Fault]float64{FaultDrop: 0.6, FaultHang: 0.6}}),
		"calls.token.shares.errcode:": call(CallFaults{Shares: map[Fault]float64{FaultErrcode: 0.1}}),
		"next[0].api:":                {Next: []Script{{Do: FaultDrop}}},
		"next[0].do, errcode:":        {Next: []Script{{API: APIToken}}},
		"next[1].do, errcode:":        {Next: []Script{{API: APIToken, Errcode: 1}, {API: APIToken, Do: FaultDrop, Errcode: 1}}},
		"next[0].do:":                 {Next: []Script{{API: APIToken, Do: "explode"}}},
		"next[0].count:":              {Next: []Script{{API: APIToken, Do: FaultDrop, Count: -1}}},
	} {
		if _, err := f.plan(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", f, err, want)
		}
	}
}
