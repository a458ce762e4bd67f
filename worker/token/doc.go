// Package token keeps one access_token per app in Redis for all workers. It is
// fetched when it is needed, renewed by one process at a time, and given up
// when WeChat refuses it.
//
//	missing ─┐                          ┌──── a different token ◀───┐
//	expired ─┼─ needed ─▶ fetching ──┐  │                           │
//	refused ─┘               │    WeChat answers                    │
//	         ◀── no token ───┘       └──▼                           │
//	                               fresh ── its end is near ──▶ near end: asks once a minute
//	refused ◀── Invalidate ──────────┴──────────────────────────────┤
//	expired ◀── nothing else came ──────────────────────────────────┘
//
// Near the end means min(5 min, a quarter of its life) before it: in its last five
// minutes, and not before, stable mode answers a new token. After a question that
// brought no token nobody asks again for a while.
//
// Fetching is no state of the token but a lock beside it: while a scheduled or
// near-end renewal runs, and until the new token is stored, the old one is
// handed out. In classic mode WeChat lets it live five minutes longer.
//
// # Use
//
// A token is used until min(10 s, a tenth of its life) before its end. The ten
// seconds cover a call in flight; the tenth is there because a stable token may
// arrive with only 300 s left, and a margin fixed in seconds could leave nothing
// of a short life. Its end is the moment the question was asked, on Redis's
// clock, plus expires_in: never later than the true one. Processes turn what
// remains of it into a deadline on their own monotonic clock, so their clocks
// may differ as they like.
//
// Get answers from memory and calls nobody. Maintain refreshes that memory every
// few seconds, so that a renewal by another process is taken up long before the
// old token dies; one that was killed is noticed by whoever WeChat refuses. With
// Redis away the token in memory is used until its end, and nothing is fetched,
// because nobody could know who else does.
//
// # Order
//
// Whoever is about to ask WeChat gets a turn from Redis: a number that grows with
// every question. It is trusted further than the lock, which ends by itself when
// its holder hangs. An answer is stored unless the answer to a later question is
// stored already. A token's generation is the turn that first brought it; the
// same value again keeps its generation, moves its end if more is known of it
// now, and takes the new turn as its confirmation. A report that a token was
// refused counts only if it names this value with this confirmation: a report
// about an older token, or from before WeChat confirmed it, changes nothing.
//
// # The same token after a refusal
//
// Stable mode may answer the very token that was just refused. WeChat then says
// that it is the latest one, so it is stored as usable again; who got it tries
// once more, and if it is refused once more that is a transient failure of the
// message. Every such round is one question, six a minute are the bound for all
// processes together, and force_refresh is never used: it would take the token
// from everybody else, and there are 20 a day.
//
// # Failures
//
// A question that brought no token is remembered in Redis, and until a moment
// that moves away with every failure nobody repeats it: thousands of messages
// that need the token make a handful of calls. Only a renewal by hand asks at
// once. An answer of WeChat ends the waiting for all.
//
//	what happens …                      what follows
//	the holder of the lock dies         the lock ends (HTTP timeout + 5 s), the next who needs the token asks
//	the answer of WeChat is lost        a failure like others; classic: the stored token has five minutes
//	                                    left, is then refused and renewed
//	the holder hangs, its lock ends,    both answers have turns: the later question wins; classic, if
//	  another asks, both answer         WeChat saw them the other way round: refused, renewed
//	dies between answer and store       as if the answer were lost
//	stored, but the reply is lost       the script runs again and tells the same
//	Redis is away when it is stored     stored once it is back, for half a minute; then as if lost
//	Redis restarts empty                tokens in memory are used on; who has none asks. Turns follow the
//	                                    clock, so what was asked before is older than what comes now
//	Redis's clock goes back             turns grow on; a token that seems to live too long is refused
//	                                    at its true end and renewed
//	the report of a refusal is lost     this process does not use the token and reports it again
//
// # Keys
//
//	wxn:token:{app}          the token: value, digest, generation, confirmed, turn, life and times
//	wxn:token:{app}:lock     who is asking WeChat
//	wxn:token:{app}:failure  the last failure, and until when it holds questions off
//	wxn:token:{app}:budget   the questions of this minute, and when the last one was asked
//
// Every script may run twice, because go-redis repeats a command whose reply was
// lost; every decision about time is made on Redis's clock. All times are in
// milliseconds.
package token
