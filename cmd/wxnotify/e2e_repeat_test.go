package main_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// The same id in every way it can come again: one send, and the contract's
// answers.
func TestAnIDIsSentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	// Long enough that requests made at once meet before the first one's outcome,
	// however busy the machine is.
	w.sandbox.slow(1500 * time.Millisecond)
	w.worker("a", nil)
	g := w.gateway()

	t.Run("at once", func(t *testing.T) { g.on(t).sameAtOnce("at-once") })
	t.Run("at once with other priorities", func(t *testing.T) { g.on(t).prioritiesAtOnce("priorities") })
	t.Run("at once with other contents", func(t *testing.T) { g.on(t).contentsAtOnce("contents") })
	t.Run("one after the other", func(t *testing.T) { g.on(t).sameAgain("again") })

	// Each id arrived once, whatever its content: the report names it by the id.
	received := w.sandbox.report(testApp, true).ReceivedByID
	for _, id := range []string{"at-once", "priorities", "contents", "again"} {
		if received[id] != 1 {
			t.Errorf("%s arrived %d times at the sandbox, want once", id, received[id])
		}
	}
}

// on is the same gateway for a subtest.
func (g *gatewayProcess) on(t *testing.T) *gatewayProcess {
	p := *g.process
	p.t = t
	return &gatewayProcess{&p, g.admin, g.url}
}

// atOnce sends all at the same time and counts the answers by status.
func (g *gatewayProcess) atOnce(all ...notification) map[int]int {
	g.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	codes := map[int]int{}
	for _, n := range all {
		wg.Go(func() {
			code, s := g.send(n)
			if (code == http.StatusOK) != s.Duplicate {
				g.t.Errorf("answer %d with duplicate %v, want duplicate with 200 alone", code, s.Duplicate)
			}
			mu.Lock()
			defer mu.Unlock()
			codes[code]++
		})
	}
	wg.Wait()
	return codes
}

func (g *gatewayProcess) wantAccepted(id string) {
	g.t.Helper()
	if s := g.awaitOutcome(testApp, id, time.Now().Add(20*time.Second)); s.Status != "accepted" || s.MsgID == "" || s.Attempts != 1 {
		g.t.Errorf("%s: %+v, want it accepted with an msgid by one attempt", id, s)
	}
}

func (g *gatewayProcess) sameAtOnce(id string) {
	g.t.Helper()
	all := make([]notification, 16)
	for i := range all {
		all[i] = message(id, 1)
	}
	codes := g.atOnce(all...)
	if codes[http.StatusAccepted] != 1 || codes[http.StatusOK] != len(all)-1 {
		g.t.Errorf("answers %v, want one 202 and %d times 200", codes, len(all)-1)
	}
	g.wantAccepted(id)
}

// prioritiesAtOnce: each lane may take the id before it sees the others; then the
// ledger lets one of them through.
func (g *gatewayProcess) prioritiesAtOnce(id string) {
	g.t.Helper()
	var all []notification
	for range 4 {
		for _, p := range []string{"critical", "default", "bulk"} {
			all = append(all, message(id, 2).with("priority", p))
		}
	}
	codes := g.atOnce(all...)
	if codes[http.StatusAccepted] < 1 || codes[http.StatusAccepted] > 3 || codes[http.StatusAccepted]+codes[http.StatusOK] != len(all) {
		g.t.Errorf("answers %v, want 202 for at most one of each lane and 200 for all others", codes)
	}
	g.wantAccepted(id)
}

func (g *gatewayProcess) contentsAtOnce(id string) {
	g.t.Helper()
	var all []notification
	for i := range 8 {
		all = append(all, message(id, 3).with("template_id", fmt.Sprintf("template-%d", i)))
	}
	codes := g.atOnce(all...)
	if codes[http.StatusAccepted] != 1 || codes[http.StatusConflict] != len(all)-1 {
		g.t.Errorf("answers %v, want one 202 and %d times 409", codes, len(all)-1)
	}
	g.wantAccepted(id)
}

// sameAgain repeats an id while it waits or is sent, and after its outcome.
func (g *gatewayProcess) sameAgain(id string) {
	g.t.Helper()
	g.wantAnswer("first", message(id, 4), http.StatusAccepted)
	for _, when := range []string{"before the outcome", "after the outcome"} {
		g.wantAnswer("the same "+when, message(id, 4), http.StatusOK)
		g.wantAnswer("another priority "+when, message(id, 4).with("priority", "bulk"), http.StatusOK)
		g.wantAnswer("another page "+when, message(id, 4).with("page", "pages/other/other"), http.StatusConflict)
		g.wantAnswer("another recipient "+when, message(id, 5), http.StatusConflict)
		g.wantAccepted(id)
	}
	if code, s := g.send(message(id, 4)); code != http.StatusOK || s.Status != "accepted" {
		g.t.Errorf("the same after the outcome: %d %+v, want 200 and status accepted", code, s)
	}
	if code, _ := request(g.t, http.MethodDelete, g.url+"/v1/notifications/"+id+"?app="+testApp, gatewayKey, nil); code != http.StatusConflict {
		g.t.Errorf("cancel after the outcome: %d, want 409", code)
	}
}

func (g *gatewayProcess) wantAnswer(what string, n notification, want int) {
	g.t.Helper()
	if code, s := g.send(n); code != want || s.Duplicate != (want == http.StatusOK) {
		g.t.Errorf("%s: %d %+v, want %d", what, code, s, want)
	}
}
