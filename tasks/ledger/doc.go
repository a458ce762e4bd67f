// Package ledger records what was sent to whom, and what each recipient allowed.
// One record per notification says how far it came; a worker may call WeChat only
// after Admit let it in, and every call ends in Settle.
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
// fact and replaces any other outcome. An accepted notification becomes delivered
// or undelivered when WeChat's receipt comes.
//
// An attempt holds a lease (HTTP timeout + 5 s, on Redis's clock) in its record, and
// one credit or one use of a form id. Nothing has to be cleaned up after a crash: a
// lease that ran out means that its attempt died, and the next admission says what
// follows.
//
//	a worker dies …                  record             the next admission            status meanwhile  credit
//	before Claim                     none               first attempt                 queued            free
//	after Claim, before Admit        none (pointer)     first attempt                 queued            free
//	after Admit, before the request  sending, lease     busy until the lease ends,    sending           held; the next
//	                                                    then as an unknown answer                       attempt has it
//	request written                  the same           the same: nobody can know     sending           the same
//	answer read, before Settle       the same           the same: nobody can know     sending           the same
//	after Settle (an outcome)        the outcome        done: the task is dropped     the outcome       spent or returned
//	after Settle (retry)             retrying           next attempt                  retrying          returned, or held
//	                                                                                                    after a lost answer
//	after Settle (dead), before      dead               one more attempt, as for a    dead              spent or returned;
//	  asynq archived the task                           replay, in the old horizon                      it takes another
//	after Settle (dead), before      dead, no letter    the same; archived all the same, it is found    dead              the same
//	  KeepDead, or in the midst of it                   by ListedDead and BuryArchived, which keep it
//	after a replay was enqueued,     dead, listed       one more attempt; then the list drops it, or    dead, or queued   it takes another
//	  before ForgetDead                                 a second replay finds the task there
//	after Cancel                     canceled           done                          canceled          spent if it was held
//
// As an unknown answer means: on_unknown resend gets one more attempt, drop and
// a second unknown end with outcome unknown.
//
// A login code is exchanged under an admission of its own, whose recipient is the
// code; it sends nothing, so its death leaves no doubt. Then the pointer names the
// openid, and the rest goes as above.
//
// Every script may run twice, because go-redis repeats a command whose reply
// was lost, and may arrive late, after the attempt's own settlement, because a
// command given up by its client can still be on its way: an attempt carries a
// random id, the record remembers it, and the same id gets the same answer or,
// once it is settled, nothing. All decisions about time are made on Redis's clock.
//
// # Credits
//
// What an attempt holds has left the user's consent, and stands in the record. The
// settlement spends it (accepted; unknown, since it may have been used), leaves it
// with the notification (an unknown answer, of which a resend follows) or gives it
// back (everything else). It does not come back to a user who refused or was erased
// meanwhile, nor does a form id that WeChat refused; and a resend does not go by what its
// user refused meanwhile.
//
// A one-time subscription is a row of grants, taken in the order of their arrival. A
// refusal ends those made up to its time, whichever of the two arrives first. 43101
// ends those that had arrived when the attempt was admitted: a counter in the hold
// tells them from later ones. A form id is either stored or marked as gone; the one
// that expires first is taken first.
//
// An erasure empties both and leaves its time. A notification made before it is
// never sent any more; a later one is.
//
// # Several recipients
//
// A device message has one record, turn and outcome for all its recipients, under the tag
// of their sorted list. It needs no credit. An erasure leaves its mark with each user, so a
// worker asks Forgotten before it lets such a message in, and leaves those out; if none is
// left, the message ends as canceled. The record itself tells nobody's openid; a dead letter,
// which holds the task, is deleted with the first of its recipients who is erased.
//
// # Dead letters
//
// A dead record is beside a letter, which holds the task: asynq's archive forgets
// all but the last 10 000. The list of an app's letters is no evidence either. Whoever
// reads it looks at the letters and at the records, and drops what is not dead any more;
// so it does not matter which way a task was brought back. A letter and its place in
// the list carry the time of the death, and are dropped for that death alone.
//
// # Keys
//
//	wxn:p:{D(app,id)}               content hash and recipient tag of an id ("pointer"), and
//	                                the openid that its login code was exchanged for
//	wxn:r:{D(app,openid)}:D(app,id) the record
//	wxn:t:{D(app,openid)}           the recipient's turn: the attempt that may call
//	wxn:c:{D(app,openid)}           what the recipient said ("consent"), a hash:
//	                                  s<template>  granted;changed;refused;at*count,at,…
//	                                  !<source>    when it came: a grant's source, digested
//	                                  !<form id>   when it was used up, digested; negative if WeChat refused it
//	                                  x            when the recipient was erased, in milliseconds
//	wxn:f:{D(app,openid)}           form ids, a sorted set of <uses>;<form id> by expiry in milliseconds
//	wxn:m:{D(app,openid)}:<msgid>   D(app,id) of an accepted notification, or !state;errcode;detail of
//	                                a receipt that came before it; of a service card under its CardReceipt
//	wxn:d:{D(app,id)}               a dead letter: when it died, ';', a JSON object with the task
//	wxn:dead:<app>                  an app's dead letters, a sorted set of ids by when they died
//	wxn:pauses                      what is held back, a hash by app;scope;name: began;since;until;probe;
//	                                tries;by;errcode;reason;lanes, where lanes are those that a person had
//	                                paused before; and by app;resumed; when the last pause of an app ended
//	wxn:kinds                       when an app last sent a kind of message, by app;kind
//	wxn:erase                       erasures whose records are not deleted yet: when, by D(app,openid)
//	wxn:purge:<run>                 how far a purge came: a cursor for each node
//
// D is 96 bits of SHA-256 in base64url. So keys are short (a queue of millions
// leaves as many records), no openid stands in a key name, where SLOWLOG, MONITOR
// and a memory report would show it, and all keys of one recipient share a slot
// of Redis Cluster. The pointer is never evidence that a task exists.
//
// A record is one string of fields joined by ';', trailing empty ones left out:
//
//	state;kind;attempts;created;age;msgid;unknowns;unlisted;attempt;lease;base;errcode;reason;detail;due;hold
//
// What an accepted one holds comes first: with at most 44 bytes Redis keeps the
// value in one piece.
//
// state is S sending, R retrying, A accepted, V delivered, X undelivered, J rejected,
// E expired, N no_credit, C canceled, U unknown, D dead; c and u are those that
// Cancel ended and whose task was not met yet. Times are milliseconds; age is the
// last change after created, base the time of a replay, due the earliest time of the
// next attempt, hold what an attempt holds (see lua/consent.lua). In a subscription,
// granted counts all grants ever made, the rest are times in seconds: of the last
// change, of the last refusal, and of the grants that are left.
package ledger
