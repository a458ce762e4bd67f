// Package ledger records what was sent to whom. One record per notification
// says how far it came; a worker may call WeChat only after Admit let it in,
// and every call ends in Settle.
//
//	              Admit                    Settle
//	(none) ────────────────▶ sending ──────────────▶ an outcome
//	  │  ▲                    │  ▲  │
//	  │  └───── release ──────┘  │  │ retry / first unknown answer
//	  │                    Admit │  ▼
//	  │ Settle, no token       retrying ── Settle, horizon over ──▶ dead
//	  └───────────────────────────▲ │
//	                              │ └── Admit: not_after over ──▶ expired
//	dead ── Admit of a replay ────┘ └── Cancel ──▶ canceled
//
// Outcomes: accepted, rejected, expired, no_credit, canceled, unknown, dead. An
// outcome other than dead stands, with one exception: a late "accepted" is a
// fact and replaces any other outcome.
//
// An attempt holds a lease (HTTP timeout + 5 s, on Redis's clock) in its record.
// Nothing has to be cleaned up after a crash: a lease that ran out means that
// its attempt died, and the next admission says what follows.
//
//	a worker dies …                  record             the next admission            status meanwhile
//	before Claim                     none               first attempt                 queued
//	after Claim, before Admit        none (pointer)     first attempt                 queued
//	after Admit, before the request  sending, lease     busy until the lease ends,    sending
//	                                                    then as an unknown answer
//	request written                  the same           the same: nobody can know     sending
//	answer read, before Settle       the same           the same: nobody can know     sending
//	after Settle (an outcome)        the outcome        done: the task is dropped     the outcome
//	after Settle (retry)             retrying           next attempt                  retrying
//	after Settle (dead), before      dead               one more attempt, as for a    dead
//	  asynq archived the task                           replay, in the old horizon
//	after Cancel                     canceled           done                          canceled
//
// As an unknown answer means: on_unknown resend gets one more attempt, drop and
// a second unknown end with outcome unknown.
//
// Every script may run twice, because go-redis repeats a command whose reply
// was lost, and may arrive late, after the attempt's own settlement, because a
// command given up by its client can still be on its way: an attempt carries a
// random id, the record remembers it, and the same id gets the same answer or,
// once it is settled, nothing. All decisions about time are made on Redis's clock.
//
// # Keys
//
//	wxn:p:{D(app,id)}            content hash and recipient tag of an id ("pointer")
//	wxn:r:{D(app,openid)}:D(id)  the record
//	wxn:t:{D(app,openid)}        the recipient's turn: the attempt that may call
//
// D is 96 bits of SHA-256 in base64url. So keys are short (a queue of millions
// leaves as many records), no openid stands in a key name, where SLOWLOG, MONITOR
// and a memory report would show it, and all keys of one recipient share a slot
// of Redis Cluster. The pointer is never evidence that a task exists.
//
// A record is one string of fields joined by ';', trailing empty ones left out:
//
//	state;kind;attempts;created;age;msgid;unknowns;unlisted;attempt;lease;base;errcode;reason;detail;due
//
// What an accepted one holds comes first: with at most 44 bytes Redis keeps the
// value in one piece.
//
// state is S sending, R retrying, A accepted, J rejected, E expired, N no_credit,
// C canceled, U unknown, D dead; c and u are those that Cancel ended and whose
// task was not met yet. Times are milliseconds; age is the last change after
// created, base the time of a replay, due the earliest time of the next attempt.
package ledger
