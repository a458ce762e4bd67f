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
		pause   ledger.Scope
		first   [2]time.Duration // the delay after a first attempt lies between
	}{
		errcode.Accepted:      {next: ledger.End, outcome: tasks.Accepted},
		errcode.Token:         {next: ledger.Retry, first: [2]time.Duration{700 * time.Millisecond, 1300 * time.Millisecond}},
		errcode.Transient:     {next: ledger.Retry, first: [2]time.Duration{700 * time.Millisecond, 1300 * time.Millisecond}},
		errcode.Unlisted:      {next: ledger.Retry, first: [2]time.Duration{27 * time.Second, 33 * time.Second}},
		errcode.Unknown:       {next: ledger.Doubt, first: [2]time.Duration{3500 * time.Millisecond, 6500 * time.Millisecond}},
		errcode.Throttled:     {next: ledger.Hold, pause: ledger.ScopeApp, first: [2]time.Duration{2 * time.Second, 4 * time.Second}},
		errcode.Exhausted:     {next: ledger.Hold, pause: ledger.ScopeKind, first: [2]time.Duration{2 * time.Second, 4 * time.Second}},
		errcode.Refused:       {next: ledger.End, outcome: tasks.Rejected},
		errcode.Invalid:       {next: ledger.End, outcome: tasks.Dead},
		errcode.Misconfigured: {next: ledger.Hold, pause: ledger.ScopeApp, first: [2]time.Duration{2 * time.Second, 4 * time.Second}},
	}
	for _, class := range errcode.Classes() {
		got, listed := outcomes[class]
		w := want[class]
		if !listed || got.next != w.next || got.outcome != w.outcome || scopeOf(got) != w.pause {
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

func scopeOf(r rule) ledger.Scope {
	if r.pause == nil {
		return ""
	}
	return r.pause.scope
}

// Every errcode we list leads, from WeChat's answer, to its class's row.
func TestEveryErrcodeHasARow(t *testing.T) {
	t.Parallel()
	for _, e := range errcode.All() {
		if e.TokenCalls || e.Code == 0 {
			continue
		}
		a := answerOf("", fmt.Errorf("wrapped: %w", &wechat.Error{Code: e.Code, Class: e.Class, Written: true}))
		if a.class != e.Class || a.errcode != e.Code || a.reason != "" || ruleFor(&a, tried(0)).next == "" {
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

// tried is a subscription message whose end nobody knew so many times.
func tried(unknowns int) *attempt {
	return &attempt{Envelope: tasks.Envelope{Notification: tasks.Notification{Kind: tasks.KindSubscribe}}, admitted: ledger.Admitted{Unknowns: unknowns}}
}

func TestRefusalAfterAnUnknownAttemptIsPresumedAccepted(t *testing.T) {
	t.Parallel()
	a := answer{class: errcode.Refused, errcode: 43101}
	if r := ruleFor(&a, tried(1)); r.outcome != tasks.Accepted || a.reason != errcode.ReasonPresumedAccepted {
		t.Errorf("%+v %+v", r, a)
	}
	a = answer{class: errcode.Refused, errcode: 43101}
	if r := ruleFor(&a, tried(0)); r.outcome != tasks.Rejected || a.reason != "" {
		t.Errorf("%+v %+v", r, a)
	}
}

func TestWhatCodesMeanForAKind(t *testing.T) {
	t.Parallel()
	type want struct {
		next              ledger.Next
		outcome           tasks.Outcome
		revokes, discards bool
		presumed          bool
		pause             ledger.Scope
	}
	for _, c := range []struct {
		name     string
		kind     tasks.Kind
		code     int
		unknowns int
		template tasks.TemplateType
		want     want
	}{
		{"refused", tasks.KindSubscribe, 43101, 0, tasks.OneTime, want{next: ledger.End, outcome: tasks.Rejected, revokes: true}},
		{"refused after a lost answer", tasks.KindSubscribe, 43101, 1, tasks.OneTime, want{next: ledger.End, outcome: tasks.Accepted, revokes: true, presumed: true}},
		{"refused, of a type nobody knows", tasks.KindSubscribe, 43101, 1, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Accepted, revokes: true, presumed: true}},
		{"a standing consent is not used up", tasks.KindSubscribe, 43101, 1, tasks.LongTerm, want{next: ledger.End, outcome: tasks.Rejected, revokes: true}},
		{"repeated after a lost answer", tasks.KindSubscribe, 40241, 1, tasks.OneTime, want{next: ledger.End, outcome: tasks.Accepted, presumed: true}},
		{"blocked login is no consent", tasks.KindSubscribe, 40226, 1, tasks.OneTime, want{next: ledger.End, outcome: tasks.Rejected}},
		{"form id expired", tasks.KindTemplate, 41028, 0, tasks.TypeUnknown, want{next: ledger.Retry, discards: true}},
		{"form id expired after a lost answer", tasks.KindTemplate, 41028, 1, tasks.TypeUnknown, want{next: ledger.Retry, discards: true}},
		{"form id used", tasks.KindTemplate, 41029, 0, tasks.TypeUnknown, want{next: ledger.Retry, discards: true}},
		{"form id used after a lost answer", tasks.KindTemplate, 41029, 1, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Accepted, presumed: true}},
		{"form ids are no matter of subscriptions", tasks.KindSubscribe, 41028, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"retired", tasks.KindTemplate, 45103, 0, tasks.TypeUnknown, want{next: ledger.Hold, pause: ledger.ScopeKind}},
		{"an API the app may not use", tasks.KindSubscribe, 48001, 0, tasks.OneTime, want{next: ledger.Hold, pause: ledger.ScopeKind}},
		{"a template that is blocked", tasks.KindSubscribe, 43107, 0, tasks.OneTime, want{next: ledger.Hold, pause: ledger.ScopeTemplate}},
		{"a device's API the app may not use", tasks.KindDevice, 48001, 0, tasks.TypeUnknown, want{next: ledger.Hold, pause: ledger.ScopeKind}},
		{"a device template that is blocked", tasks.KindDevice, 43107, 0, tasks.TypeUnknown, want{next: ledger.Hold, pause: ledger.ScopeTemplate}},
		{"a device's user who refuses", tasks.KindDevice, 43101, 1, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Rejected}},
		{"too many users", tasks.KindDevice, 40032, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"an sn that is too long", tasks.KindDevice, 9800001, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"an sn of other characters", tasks.KindDevice, 9800002, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"an unknown model", tasks.KindDevice, 9800003, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"another device", tasks.KindDevice, 9800006, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"a card's API the app may not use", tasks.KindCard, 48001, 0, tasks.TypeUnknown, want{next: ledger.Hold, pause: ledger.ScopeKind}},
		{"a card, WeChat's error", tasks.KindCard, 85431, 0, tasks.TypeUnknown, want{next: ledger.Retry}},
		{"a card's content", tasks.KindCard, 85435, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"a card that is banned", tasks.KindCard, 85436, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Rejected}},
		{"a card that is not known yet", tasks.KindCard, 85437, 0, tasks.TypeUnknown, want{next: ledger.Retry}},
		{"a card that is over", tasks.KindCard, 85438, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Rejected}},
		{"a card that goes back", tasks.KindCard, 85439, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"a card that fails the audit", tasks.KindCard, 85442, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Dead}},
		{"a state pushed already", tasks.KindCard, 85448, 0, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Rejected}},
		{"a state pushed already, after a lost answer", tasks.KindCard, 85448, 1, tasks.TypeUnknown, want{next: ledger.End, outcome: tasks.Accepted, presumed: true}},
		{"a card that is locked", tasks.KindCard, 85449, 0, tasks.TypeUnknown, want{next: ledger.Retry}},
		{"a type of card that is denied", tasks.KindCard, 85461, 0, tasks.TypeUnknown, want{next: ledger.Hold, pause: ledger.ScopeTemplate}},
		{"cards that are denied", tasks.KindCard, 85462, 0, tasks.TypeUnknown, want{next: ledger.Hold, pause: ledger.ScopeKind}},
		{"an address that is not allowed", tasks.KindSubscribe, 40164, 0, tasks.OneTime, want{next: ledger.Hold, pause: ledger.ScopeApp}},
	} {
		a := tried(c.unknowns)
		a.Kind, a.templateType = c.kind, c.template
		result := answerOf("", &wechat.Error{Code: c.code, Class: errcode.Lookup(c.code).Class, Written: true})
		r := ruleFor(&result, a)
		got := want{r.next, r.outcome, r.revokes, r.discards, result.reason == errcode.ReasonPresumedAccepted, scopeOf(r)}
		if got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
	}
}

// A fresh payment's code is tried each minute, ten times, and no horizon or other reason is
// named at the end than WeChat's own.
func TestFreshCodesAreTriedEachMinute(t *testing.T) {
	t.Parallel()
	r := particular[kindCode{tasks.KindCard, 85437}]
	if r.limit != freshTries || r.limitReason != "" || outcomes[errcode.Unlisted].limitReason != errcode.ReasonUnlisted {
		t.Errorf("%+v", r)
	}
	for range 50 {
		if d := r.delay(3); d < 54*time.Second || d > 66*time.Second {
			t.Fatalf("after %v, want about a minute", d)
		}
	}
}

// An exchange sends nothing: whatever becomes of it, the message was not sent.
func TestLoginCodes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err     *wechat.Error
		next    ledger.Next
		outcome tasks.Outcome
	}{
		{&wechat.Error{Code: 40029, Class: errcode.Invalid, Written: true}, ledger.End, tasks.Dead},
		{&wechat.Error{Code: 40163, Class: errcode.Invalid, Written: true}, ledger.End, tasks.Dead},
		{&wechat.Error{Code: 40226, Class: errcode.Refused, Written: true}, ledger.End, tasks.Rejected},
		{&wechat.Error{Code: 40125, Class: errcode.Misconfigured, Written: true}, ledger.Retry, ""},
		{&wechat.Error{Code: 45009, Class: errcode.Exhausted, Written: true}, ledger.Retry, ""},
		{&wechat.Error{Code: 45011, Class: errcode.Throttled, Written: true}, ledger.Retry, ""},
		{&wechat.Error{Class: errcode.Unknown, Written: true}, ledger.Retry, ""},
		{&wechat.Error{Class: errcode.Transient}, ledger.Retry, ""},
	} {
		a := tried(0)
		a.exchanging = true
		result := answerOf("", c.err)
		if r := ruleFor(&result, a); r.next != c.next || r.outcome != c.outcome || r.pause != nil || result.reason != errcode.ReasonLoginCode {
			t.Errorf("%v: %+v, reason %s", c.err, r, result.reason)
		}
	}
}

// A message without a token was never sent, so it can be neither unknown nor at fault.
func TestNoTokenIsNeverTheMessagesFault(t *testing.T) {
	t.Parallel()
	for class, next := range map[errcode.Class]ledger.Next{
		errcode.Transient: ledger.Hold, errcode.Exhausted: ledger.Hold, errcode.Misconfigured: ledger.Hold,
	} {
		a := noTokenAnswer(&token.Error{Class: class, Code: 40164})
		if r := ruleFor(&a, tried(1)); r.next != next || a.errcode != 40164 || a.reason != errcode.ReasonNoToken {
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
	if retryDelay(waits) != time.Minute || isFailure(waits) {
		t.Error("a wait is no failure")
	}
	if !isFailure(&later{failure: true}) || !isFailure(bury("dead")) {
		t.Error("failures are failures")
	}
	if isFailure(asynq.ErrLeaseExpired) || retryDelay(asynq.ErrLeaseExpired) > 10*time.Second {
		t.Error("a dead worker's task comes back soon and is no failure")
	}
}
