package sandbox

import (
	"strconv"
	"testing"
	"time"
)

func TestQuotas(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if err := b.s.SetQuotas(testApp, Quotas{APISubscribeSend: {PerSecond: 2, PerMinute: 5, PerDay: 8}}); err != nil {
		t.Fatal(err)
	}
	token := b.stable(false).AccessToken
	sent := 0
	want := func(codes ...int) {
		t.Helper()
		for _, code := range codes {
			sent++
			b.wantCode(b.send(token, sendBody("n"+strconv.Itoa(sent))), code)
		}
	}
	want(0, 0, 45011) // second
	b.clock.advance(time.Second)
	want(0, 0, 45011)
	b.clock.advance(time.Second)
	want(0, 45011) // minute
	b.clock.advance(time.Minute)
	want(0, 0)
	b.clock.advance(time.Second)
	want(0, 45009) // day
	b.clock.advance(time.Minute)
	want(45009)
	b.clock.advance(12*time.Hour - 3*time.Minute) // before midnight in China
	token = b.stable(false).AccessToken           // the first one has expired
	want(45009)
	b.clock.advance(time.Minute) // midnight
	want(0)
}

func TestQuotaOfTokens(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for range 2000 {
		b.wantCode(b.classic(), 0)
	}
	b.wantCode(b.classic(), 45009)
	b.wantCode(b.stable(false), 0)
}

func TestQuotasRefuseBadInput(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, q := range []Quotas{{"sned": {}}, {APIToken: {PerDay: -1}}} {
		if b.s.SetQuotas("", q) == nil {
			t.Errorf("%v was taken", q)
		}
	}
	if b.s.SetQuotas("wxnone", nil) == nil {
		t.Error("an unknown app was taken")
	}
}
