package worker

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/worker/token"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// rule is what follows an answer of one class.
type rule struct {
	next    ledger.Next
	outcome tasks.Outcome
	// delay is how long to wait before the next attempt, by the number of attempts so far.
	delay func(attempts int) time.Duration
	// limit ends the notification as dead with its n-th failure of this class.
	limit int
	// limitReason is why it is dead then, "" where its errcode says it.
	limitReason errcode.Reason
	// failure: counts as failed in asynq's statistics.
	failure bool
	// revokes: the recipient allows no more of what was granted before.
	revokes bool
	// discards: the form id is no good, another one is taken.
	discards bool
	// pause holds more than this message back.
	pause *pauseRule
	// reason says more than the answer's errcode.
	reason errcode.Reason
}

// pauseRule is how an answer holds others back.
type pauseRule struct {
	scope ledger.Scope
	// wide: of the whole app, if it sends nothing but this kind.
	wide bool
	by   ledger.PauseBy
	// first is how long a pause lasts at first, and again, doubling up to most, each
	// time that it proves not to be over.
	first       func(resetHour int) time.Duration
	again, most time.Duration
}

func (p *pauseRule) lengths(resetHour int) ledger.Lengths {
	return ledger.Lengths{First: p.first(resetHour), Again: p.again, Most: p.most}
}

// The pauses of the outcome table.
var (
	// throttledPause: the quota of this minute is used up, for all workers.
	throttledPause = &pauseRule{scope: ledger.ScopeApp, by: ledger.PauseByTime, first: restOfMinute, again: time.Minute, most: time.Minute}
	// exhaustedPause: WeChat counts a day's calls for each API, and says nowhere when its day begins.
	exhaustedPause = &pauseRule{
		scope: ledger.ScopeKind, wide: true, by: ledger.PauseByProbe,
		first: func(hour int) time.Duration { return time.Until(NextQuotaReset(time.Now(), hour)) + resetMargin }, again: 10 * time.Minute, most: time.Hour,
	}
	// tokenlessPause ends as soon as there is a token again.
	tokenlessPause = &pauseRule{
		scope: ledger.ScopeApp, by: ledger.PauseByProbe,
		first: func(int) time.Duration { return 5 * time.Second }, again: 10 * time.Second, most: time.Minute,
	}
	misconfiguredApp      = misconfiguredPause(ledger.ScopeApp)
	misconfiguredKind     = misconfiguredPause(ledger.ScopeKind)
	misconfiguredTemplate = misconfiguredPause(ledger.ScopeTemplate)
)

// resetMargin is how far WeChat's clock may be behind.
const resetMargin = 30 * time.Second

// misconfiguredPause: a person has to mend it; a send finds out now and then whether one did.
func misconfiguredPause(s ledger.Scope) *pauseRule {
	const first, most = time.Minute, 10 * time.Minute
	return &pauseRule{scope: s, by: ledger.PauseByProbe, first: func(int) time.Duration { return first }, again: 2 * first, most: most}
}

// restOfMinute lasts into the next minute; half a second and more covers clocks that differ.
func restOfMinute(int) time.Duration {
	now := time.Now()
	return now.Truncate(time.Minute).Add(time.Minute).Sub(now) + 500*time.Millisecond + rand.N(500*time.Millisecond)
}

// unlistedTries is how often an errcode we do not know is tried, with
// unlistedDelay in about 15 minutes.
const unlistedTries = 5

// outcomes is the outcome table: the only place where an answer becomes an action.
var outcomes = map[errcode.Class]rule{
	errcode.Accepted: {next: ledger.End, outcome: tasks.Accepted},
	// A token was renewed and the call repeated before an answer gets here.
	errcode.Token:     {next: ledger.Retry, delay: backoff, failure: true},
	errcode.Transient: {next: ledger.Retry, delay: backoff, failure: true},
	errcode.Unlisted:  {next: ledger.Retry, delay: unlistedDelay, limit: unlistedTries, limitReason: errcode.ReasonUnlisted, failure: true},
	errcode.Unknown:   {next: ledger.Doubt, delay: resendDelay, failure: true},
	errcode.Throttled: {next: ledger.Hold, delay: pausedDelay, pause: throttledPause},
	errcode.Exhausted: {next: ledger.Hold, delay: pausedDelay, pause: exhaustedPause},
	errcode.Refused:   {next: ledger.End, outcome: tasks.Rejected},
	errcode.Invalid:   {next: ledger.End, outcome: tasks.Dead, failure: true},
	// What waits is not to blame, and goes on once a person has mended the cause.
	errcode.Misconfigured: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredApp, failure: true},
}

// particular says where a code of one kind of message means more than its class.
var particular = map[kindCode]rule{
	{tasks.KindSubscribe, 43101}: {next: ledger.End, outcome: tasks.Rejected, revokes: true},
	{tasks.KindTemplate, 41028}:  {next: ledger.Retry, delay: atOnce, discards: true},
	{tasks.KindTemplate, 41029}:  {next: ledger.Retry, delay: atOnce, discards: true},
	{tasks.KindTemplate, 45103}:  {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredKind, failure: true, reason: errcode.ReasonRetired},

	{tasks.KindSubscribe, 48001}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredKind, failure: true},
	{tasks.KindTemplate, 48001}:  {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredKind, failure: true},
	{tasks.KindSubscribe, 43107}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredTemplate, failure: true},
	{tasks.KindTemplate, 43107}:  {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredTemplate, failure: true},

	{tasks.KindDevice, 48001}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredKind, failure: true},
	{tasks.KindDevice, 43107}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredTemplate, failure: true},

	{tasks.KindCard, 48001}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredKind, failure: true},
	{tasks.KindCard, 85437}: {next: ledger.Retry, delay: freshDelay, limit: freshTries, failure: true},
	// WeChat grants each type of card by itself: others go on.
	{tasks.KindCard, 85461}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredTemplate, failure: true},
	{tasks.KindCard, 85462}: {next: ledger.Hold, delay: pausedDelay, pause: misconfiguredKind, failure: true},
}

// doubted says what a code means after an attempt nobody knows the end of: that
// the lost attempt was accepted, most likely, and used the consent.
var doubted = map[kindCode]rule{
	{tasks.KindSubscribe, 43101}: {next: ledger.End, outcome: tasks.Accepted, revokes: true},
	{tasks.KindSubscribe, 40241}: {next: ledger.End, outcome: tasks.Accepted},
	{tasks.KindTemplate, 41029}:  {next: ledger.End, outcome: tasks.Accepted},
	{tasks.KindCard, 85448}:      {next: ledger.End, outcome: tasks.Accepted},
}

// tokenless is what follows where no token is to be had for a cause that passes. What
// waits is not to blame, and need not find out one by one.
var tokenless = rule{next: ledger.Hold, delay: pausedDelay, pause: tokenlessPause, failure: true}

type kindCode struct {
	kind tasks.Kind
	code int
}

// answer is what an attempt ended with.
type answer struct {
	class   errcode.Class
	msgID   string
	errcode int
	reason  errcode.Reason
	detail  string
}

// ruleFor looks an answer to an attempt up.
func ruleFor(result *answer, a *attempt) rule {
	if a.exchanging {
		return loginRule(result)
	}
	if result.reason == errcode.ReasonNoToken && result.class == errcode.Transient {
		return tokenless
	}
	key := kindCode{a.Kind, result.errcode}
	// A standing consent is not used up: then the refusal is one.
	if r, ok := doubted[key]; ok && a.admitted.Unknowns > 0 && a.templateType != tasks.LongTerm {
		result.reason = errcode.ReasonPresumedAccepted
		return r
	}
	if r, ok := particular[key]; ok {
		result.reason = cmp.Or(r.reason, result.reason)
		return r
	}
	return outcomes[result.class]
}

// loginRule looks up why a login code was not exchanged. An exchange sends nothing,
// so one without an answer leaves no doubt about the message; if it used the code
// up, WeChat says so the next time.
func loginRule(result *answer) rule {
	result.reason = errcode.ReasonLoginCode
	r := outcomes[result.class]
	// That call's quota and rights are its own: what needs no login goes on. And a code
	// does not last, so its message asks ever less often until WeChat says so.
	if r.pause != nil || result.class == errcode.Unknown || result.class == errcode.Token {
		return outcomes[errcode.Transient]
	}
	return r
}

// answerOf reads what a call of WeChat's send API returned.
func answerOf(msgID string, err error) answer {
	if err == nil {
		return answer{class: errcode.Accepted, msgID: msgID}
	}
	var refused *wechat.Error
	if !errors.As(err, &refused) {
		// Not from WeChat's client at all: nobody knows what was written.
		return answer{class: errcode.Unknown, reason: errcode.ReasonUnanswered}
	}
	a := answer{class: refused.Class, errcode: refused.Code, detail: refused.Detail()}
	if refused.Code == 0 {
		a.detail = ""
		a.reason = errcode.ReasonUnconnected
		if refused.Class == errcode.Unknown {
			a.reason = errcode.ReasonUnanswered
		}
	}
	return a
}

// noTokenAnswer reads why no access_token could be had. Nothing was sent, and the
// token manager has judged already whose fault it is: never the message's.
func noTokenAnswer(err error) answer {
	a := answer{class: errcode.Transient, reason: errcode.ReasonNoToken}
	if failed := (*token.Error)(nil); errors.As(err, &failed) {
		a.class, a.errcode = failed.Class, failed.Code
	}
	return a
}

const (
	backoffFirst = time.Second
	backoffMost  = 15 * time.Minute
)

// backoff doubles from 1 s to 15 min, with jitter.
func backoff(attempts int) time.Duration {
	d := backoffMost
	if attempts < 10 {
		d = min(backoffFirst<<max(attempts-1, 0), backoffMost)
	}
	return jitter(d, 0.3)
}

// unlistedDelay spreads unlistedTries over about 15 minutes: 30 s, 2, 4 and 8 min.
func unlistedDelay(attempts int) time.Duration {
	if attempts <= 1 {
		return jitter(30*time.Second, 0.1)
	}
	return jitter(min(time.Minute<<min(attempts-1, 3), 8*time.Minute), 0.1)
}

// resendDelay lets a receipt or a late answer come first.
func resendDelay(int) time.Duration { return jitter(5*time.Second, 0.3) }

func atOnce(int) time.Duration { return 0 }

// pausedDelay is what those wait that were on their way when a pause began. Then the
// pause holds them.
func pausedDelay(int) time.Duration { return jitter(3*time.Second, 0.3) }

// jitter moves d by up to the given share, so that what failed together does not
// come back together.
func jitter(d time.Duration, share float64) time.Duration {
	return time.Duration(float64(d) * (1 + share*(2*rand.Float64()-1)))
}
