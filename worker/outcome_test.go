package worker

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/token"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// What the design's outcome table says, written out.
func TestOutcomeTable(t *testing.T) {
	t.Parallel()
	want := map[errcode.Class]struct {
		next    ledger.Next
		outcome tasks.Outcome
		endless bool
		first   [2]time.Duration // the delay after a first attempt lies between
	}{
		errcode.Accepted:      {next: ledger.End, outcome: tasks.Accepted},
		errcode.Token:         {next: ledger.Retry, first: [2]time.Duration{700 * time.Millisecond, 1300 * time.Millisecond}},
		errcode.Transient:     {next: ledger.Retry, first: [2]time.Duration{700 * time.Millisecond, 1300 * time.Millisecond}},
		errcode.Unlisted:      {next: ledger.Retry, first: [2]time.Duration{27 * time.Second, 33 * time.Second}},
		errcode.Unknown:       {next: ledger.Doubt, first: [2]time.Duration{3500 * time.Millisecond, 6500 * time.Millisecond}},
		errcode.Throttled:     {next: ledger.Retry, endless: true, first: [2]time.Duration{0, 65 * time.Second}},
		errcode.Exhausted:     {next: ledger.Retry, endless: true, first: [2]time.Duration{10 * time.Second, 20 * time.Second}},
		errcode.Refused:       {next: ledger.End, outcome: tasks.Rejected},
		errcode.Invalid:       {next: ledger.End, outcome: tasks.Dead},
		errcode.Misconfigured: {next: ledger.Retry, endless: true, first: [2]time.Duration{10 * time.Second, 20 * time.Second}},
	}
	for _, class := range errcode.Classes() {
		got, listed := outcomes[class]
		w := want[class]
		if !listed || got.next != w.next || got.outcome != w.outcome || got.endless != w.endless {
			t.Errorf("%s: %+v, want %+v", class, got, w)
		}
		if got.next == ledger.End {
			continue
		}
		if d := got.delay(1); d < w.first[0] || d > w.first[1] {
			t.Errorf("%s: first delay %v, want %v", class, d, w.first)
		}
	}
	if len(outcomes) != len(errcode.Classes()) {
		t.Error("the table has a row for a class that does not exist")
	}
}

// Every errcode we list leads, from WeChat's answer, to its class's row.
func TestEveryErrcodeHasARow(t *testing.T) {
	t.Parallel()
	for _, e := range errcode.All() {
		if e.TokenCalls || e.Code == 0 {
			continue
		}
		a := answerOf("", fmt.Errorf("wrapped: %w", &wechat.Error{Code: e.Code, Class: e.Class, Written: true}))
		if a.class != e.Class || a.errcode != e.Code || a.reason != "" || ruleFor(&a, 0).next == "" {
			t.Errorf("%d: %+v", e.Code, a)
		}
	}
}

func TestAnswersWithoutErrcode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err    error
		class  errcode.Class
		reason errcode.Reason
	}{
		{nil, errcode.Accepted, ""},
		{&wechat.Error{Class: errcode.Transient, Message: "text"}, errcode.Transient, errcode.ReasonUnconnected},
		{&wechat.Error{Class: errcode.Unknown, Written: true}, errcode.Unknown, errcode.ReasonUnanswered},
		{errors.New("anything else"), errcode.Unknown, errcode.ReasonUnanswered},
	} {
		if a := answerOf("", c.err); a.class != c.class || a.reason != c.reason || a.detail != "" {
			t.Errorf("%v: %+v", c.err, a)
		}
	}
}

func TestRefusalAfterAnUnknownAttemptIsPresumedAccepted(t *testing.T) {
	t.Parallel()
	a := answer{class: errcode.Refused, errcode: 43101}
	if r := ruleFor(&a, 1); r.outcome != tasks.Accepted || a.reason != errcode.ReasonPresumedAccepted {
		t.Errorf("%+v %+v", r, a)
	}
	a = answer{class: errcode.Refused, errcode: 43101}
	if r := ruleFor(&a, 0); r.outcome != tasks.Rejected || a.reason != "" {
		t.Errorf("%+v %+v", r, a)
	}
}

// A message without a token was never sent, so it can be neither unknown nor at fault.
func TestNoTokenIsNeverTheMessagesFault(t *testing.T) {
	t.Parallel()
	for _, class := range []errcode.Class{errcode.Transient, errcode.Exhausted, errcode.Misconfigured} {
		a := noTokenAnswer(&token.Error{Class: class, Code: 40164})
		if r := ruleFor(&a, 1); r.next != ledger.Retry || a.errcode != 40164 || a.reason != errcode.ReasonNoToken {
			t.Errorf("%s: %+v %+v", class, r, a)
		}
	}
	if a := noTokenAnswer(errors.New("x")); a.class != errcode.Transient {
		t.Errorf("%+v", a)
	}
}

func TestBackoffGrowsToItsBound(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 10: 15 * time.Minute, 1 << 40: 15 * time.Minute,
	} {
		for range 50 {
			if d := backoff(attempts); d < want*7/10 || d > want*13/10 {
				t.Fatalf("after %d attempts %v, want about %v", attempts, d, want)
			}
		}
	}
	var total time.Duration
	for n := 1; n < unlistedTries; n++ {
		total += unlistedDelay(n)
	}
	if total < 13*time.Minute || total > 17*time.Minute {
		t.Errorf("an unlisted errcode is tried for %v, want about 15m", total)
	}
}

func TestWhatAsynqIsTold(t *testing.T) {
	t.Parallel()
	waits := fmt.Errorf("wrapped: %w", &later{after: time.Minute, why: "x"})
	if retryDelay(3, waits, nil) != time.Minute || isFailure(waits) {
		t.Error("a wait is no failure")
	}
	if !isFailure(&later{failure: true}) || !isFailure(bury("dead")) {
		t.Error("failures are failures")
	}
	if isFailure(asynq.ErrLeaseExpired) || retryDelay(0, asynq.ErrLeaseExpired, nil) > 10*time.Second {
		t.Error("a dead worker's task comes back soon and is no failure")
	}
}
