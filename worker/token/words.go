package token

// Mode is which of WeChat's two token calls an app uses. Their tokens are
// separate: neither call touches the tokens of the other (wechat-api 1.2).
type Mode string

const (
	// Stable asks POST /cgi-bin/stable_token, always in normal mode: the same token
	// until its last five minutes, whoever asks. The default.
	Stable Mode = "stable"
	// Classic asks GET /cgi-bin/token, as the older guides do: every question makes
	// a new token and ends the one before within five minutes.
	Classic Mode = "classic"
)

// Cause is why a token is renewed. It is a closed set, used as a metric label.
type Cause string

const (
	// Demand: a token is needed and there is none that may be used.
	Demand Cause = "demand"
	// Scheduled: the scheduled task came round.
	Scheduled Cause = "scheduled"
	// NearEnd: the token is about to end and WeChat may have its successor ready.
	NearEnd Cause = "near_end"
	// Manual: a person asked for it, whatever was remembered about failures.
	Manual Cause = "manual"
)

// Causes lists every cause.
func Causes() []Cause { return []Cause{Demand, Scheduled, NearEnd, Manual} }

// Result is how a renewal ended. It is a closed set, used as a metric label.
type Result string

const (
	// Renewed: WeChat gave a token that was not the stored one.
	Renewed Result = "renewed"
	// Same: WeChat gave the stored token again, as stable mode does.
	Same Result = "same"
	// Late: the answer to a later question was stored before this one came.
	Late Result = "late"
	// Failed: WeChat gave no token.
	Failed Result = "failed"
	// Unstored: WeChat gave a token and Redis did not take it in time.
	Unstored Result = "unstored"
	// Spent: WeChat was not called, the budget of this minute is used up.
	Spent Result = "spent"
)

// Results lists every result.
func Results() []Result { return []Result{Renewed, Same, Late, Failed, Unstored, Spent} }

// Phase is where the token of an app stands; see the package comment.
type Phase string

// The phases.
const (
	Missing Phase = "missing"  // none stored
	Fresh   Phase = "fresh"    // usable, its end is far
	Ending  Phase = "near_end" // usable, a successor is asked for
	Ended   Phase = "expired"  // its time is over
	Refused Phase = "refused"  // WeChat refused it
)
