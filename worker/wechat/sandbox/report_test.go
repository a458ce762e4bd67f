package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestConcurrentSendsToOneOpenID(t *testing.T) {
	t.Parallel()
	n := listen(setup(t, nil))
	n.setFaults(Faults{Calls: map[string]CallFaults{APISubscribeSend: {Latency: Duration(5 * time.Minute)}}})
	ctx, cancel := context.WithCancel(context.Background())
	var first sync.WaitGroup
	first.Go(func() { _, _, _ = n.post(ctx, sendBody("n1")) }) // canceled below
	n.eventually("the first send is in flight", func() bool { return n.s.Report(false).Apps[testApp].Arrivals == 1 })
	n.setFaults(Faults{})
	for _, tc := range []struct{ body, want string }{
		{sendBody("n2"), `"errcode":43108,"errmsg":"Cannot make concurrent calls to the same OpenID, please try again rid: `},
		{strings.Replace(sendBody("n3"), testUser, "oUser2", 1), `"errcode":0`},
	} {
		if _, text, err := n.post(context.Background(), tc.body); err != nil || !strings.Contains(text, tc.want) {
			t.Errorf("%s %v, want %s", text, err, tc.want)
		}
	}
	n.setForm(FormID{ID: "f1"})
	n.wantCode(n.sendForm(n.token, formBody("f1")), 43108) // the two kinds of message share the turn
	cancel()                                               // the client leaves: that ends the flight
	first.Wait()
	n.eventually("the first send has left", func() bool {
		_, text, err := n.post(context.Background(), sendBody("n4"))
		return err == nil && strings.Contains(text, `"errcode":0`)
	})
	r := n.s.Report(true).Apps[testApp]
	if r.MaxInFlightPerOpenID != 2 || r.AcceptedByID["n1"] != 1 || r.AcceptedByID["n2"] != 0 {
		t.Errorf("report %+v", r)
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	start := b.clock.now().UnixNano()
	token := b.stable(false).AccessToken
	for _, id := range []string{"n1", "n2", "n1", "forbidden", "n1"} {
		b.send(token, sendBody(id))
		b.clock.advance(400 * time.Millisecond)
	}
	b.send(token, "no JSON")
	b.send("", sendBody("n9")) // belongs to no app
	r := b.s.Report(true)
	a := r.Apps[testApp]
	got := fmt.Sprint(a.Arrivals, a.Accepted, a.Messages, a.AcceptedMessages, a.Duplicates, a.MaxInFlightPerOpenID, a.BusiestSecond,
		a.FirstArrivalNS-start, a.LastArrivalNS-start, a.ArrivalsNotKept, a.MessagesNotKept, a.ReceivedByID, a.AcceptedByID)
	if want := "6 4 3 2 map[n1:3] 1 3 0 2000000000 0 0 map[forbidden:1 n1:3 n2:1] map[n1:3 n2:1]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if a.ArrivalUnixNS["n2"] != start+400e6 {
		t.Errorf("n2 arrived %d", a.ArrivalUnixNS["n2"]-start)
	}
	send := r.Calls[APISubscribeSend]
	if send.Received != 7 || send.Errcodes[0] != 4 || send.Errcodes[45168] != 1 || send.Errcodes[47001] != 1 || send.Errcodes[41001] != 1 {
		t.Errorf("totals %+v", send)
	}
	b.s.Reset()
	a = b.s.Report(true).Apps[testApp]
	if a.Arrivals != 0 || len(a.ReceivedByID) != 0 || a.Calls[APIStableToken].Received != 0 {
		t.Errorf("after the reset: %+v", a)
	}
	b.wantCode(b.send(token, sendBody("n1")), 0) // the token is still good
}

func TestReportHoldsNoSecretTokenOrOpenID(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.IDKey = "" })
	token, classic := b.stable(false).AccessToken, b.classic().AccessToken
	b.wantCode(b.send(token, sendBody("n1")), 0)
	b.wantCode(b.send(token, sendBody("n1")), 0)
	text, err := json.Marshal(b.s.Report(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, private := range []string{token, classic, testSecret, testUser, "n1", testTpl} {
		if strings.Contains(string(text), private) {
			t.Errorf("the report holds %s", private)
		}
	}
	if d := b.s.Report(false).Apps[testApp].Duplicates; len(d) != 1 {
		t.Errorf("duplicates without an id key: %v", d)
	}
}

func TestMessageName(t *testing.T) {
	t.Parallel()
	m := message{ToUser: "o", TemplateID: "T", Data: map[string]dataValue{"a": {"1"}, "b": {"2"}}}
	other := m
	other.Data = map[string]dataValue{"a": {"1\x00b\x002"}}
	switch {
	case m.name("a") != "1":
		t.Error("the id key's value is not the name")
	case m.name("") != m.name("c"), len(m.name("")) != 32:
		t.Error("without the key the hash is the name")
	case m.name("") == other.name("c"):
		t.Error("different messages, one name")
	}
	m.Data["a"] = dataValue{strings.Repeat("x", maxIDLength+1)}
	if m.name("a") != m.name("") {
		t.Error("a long value is kept as a name")
	}
}
