package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

func TestRestartOnTheSameAddressKeepsState(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	ctx := context.Background()
	if status, text, err := n.post(ctx, sendBody("n1")); status != 200 || err != nil {
		t.Fatal(status, text, err)
	}
	addr := n.running.Addr()
	if err := n.running.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	n.client.CloseIdleConnections() // else the first try may only find that its connection is gone
	if _, _, err := n.post(ctx, sendBody("n2")); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("while away: %v", err)
	}
	again, err := n.s.Start(addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		n.client.CloseIdleConnections()
		if err := again.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	if _, text, err := n.post(ctx, sendBody("n2")); err != nil || !strings.Contains(text, `"errcode":0`) {
		t.Errorf("back again: %s %v", text, err)
	}
	if got := n.s.Report(false).Apps[testApp].Accepted; got != 2 {
		t.Errorf("accepted %d", got)
	}
}

func TestShutdownEndsHangs(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	n.setFaults(Faults{Down: FaultHang})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if _, _, err := n.post(context.Background(), sendBody("n1")); err == nil {
			t.Error("a hanging send was answered")
		}
	})
	n.eventually("the send hangs", func() bool { return n.s.Report(false).Apps[testApp].Arrivals == 1 })
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := n.running.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	if err := n.running.Wait(); err != nil {
		t.Error(err)
	}
}

func TestStartOnATakenAddress(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	if _, err := n.s.Start(n.running.Addr()); err == nil {
		t.Error("two listeners on one address")
	}
}

// TestManyAtOnce is for the race detector: sends, tokens and control together, and the sums must fit.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.AllowAnyOpenID = true })
	b.setFaults(Faults{Calls: map[string]CallFaults{APISubscribeSend: {Errcodes: map[int]float64{-1: 0.1}}}})
	token := b.stable(false).AccessToken
	var all sync.WaitGroup
	var accepted atomic.Int64
	for worker := range 8 {
		all.Go(func() {
			openid := "o" + string(rune('a'+worker))
			for range 200 {
				if b.send(token, strings.Replace(sendBody(openid), testUser, openid, 1)).Errcode == 0 {
					accepted.Add(1)
				}
				b.classic()
			}
		})
	}
	all.Go(func() {
		for range 50 {
			b.s.Report(true)
			_ = b.s.SetUser(testApp, User{OpenID: "oz"})
			_ = b.s.SetQuotas("", nil)
			_ = b.s.KillTokens(testApp, Classic)
			_ = b.s.AddApp(App{AppID: "wxother", Secret: "other"})
		}
	})
	all.Wait()
	r := b.s.Report(true).Apps[testApp]
	sum := int64(0)
	for _, n := range r.AcceptedByID {
		sum += n
	}
	if r.Arrivals != 1600 || r.Accepted != accepted.Load() || sum != r.Accepted || r.MaxInFlightPerOpenID != 1 {
		t.Errorf("accepted %d, report %+v", accepted.Load(), r)
	}
}

func BenchmarkSend(b *testing.B) {
	a := testAppConfig()
	a.AllowAnyOpenID = true
	s, err := New(Config{Apps: []App{a}})
	if err != nil {
		b.Fatal(err)
	}
	r, err := s.Start("127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	client := &http.Client{Transport: transport}
	target := r.URL() + "/cgi-bin/message/subscribe/send?access_token=" + s.apps[0].tokens.fetchStable(s.now()).value
	var workers atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(8)
	b.RunParallel(func(pb *testing.PB) {
		body := strings.Replace(sendBody("n1"), testUser, "o"+string(rune('a'+workers.Add(1))), 1)
		for pb.Next() {
			resp, err := client.Post(target, "application/json", strings.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			_ = resp.Body.Close()
		}
	})
	b.StopTimer()
	transport.CloseIdleConnections()
	if err := r.Shutdown(context.Background()); err != nil {
		b.Error(err)
	}
	if got := s.Report(false).Apps[testApp]; got.Accepted != int64(b.N) {
		b.Errorf("accepted %d of %d", got.Accepted, b.N)
	}
}
