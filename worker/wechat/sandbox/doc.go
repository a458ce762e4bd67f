// Package sandbox is WeChat as a server: for tests, for `wxnotify dev`, for load and for other teams who want to see how
// their side behaves when WeChat does not.
//
// It serves three of WeChat's calls, GET /cgi-bin/token, POST /cgi-bin/stable_token and POST
// /cgi-bin/message/subscribe/send, and a control API under /_sandbox/ (GET /_sandbox/ prints its help). It misbehaves when
// told to, the same way for the same seed, and reports what it received.
//
// # One call
//
//	request ─→ front (404, 412, 413 pages)
//	        ─→ arrival noted; the fault for this arrival number is chosen
//	        ─→ judged: the checks below, in order       (skipped by faults that stop a request before it is processed)
//	        ─→ latency, during which a send is "in flight" for its openid
//	        ─→ answer, or what the fault makes of it
//
// A send is judged in this order: access_token (41001, 40014, 42001, 40001), method (43002), body (44002, 47001), touser
// (40003), template_id (40037), page (41030), miniprogram_state and lang (47001), data (47003), blocked template (43107),
// subscription (43101), another send to this openid in flight (43108), sensitive words (45168), quotas (45011, 45009).
// Judging and recording are one step under the app's lock: a message counted as accepted is accepted whatever becomes of
// the answer.
//
// # Faithful to WeChat's documentation
//
// Business errors are HTTP 200 with {"errcode","errmsg"} and a rid whose first group is the time. A classic fetch
// supersedes the earlier token, which works on for five minutes; a stable fetch answers the same token with its remaining
// seconds until its last five minutes, then a new one while the old one works to its end; the two kinds never touch each
// other; force_refresh works 20 times a day and not twice within 30 seconds. & < > may come escaped as \u0026 and so on.
// msgid is a number above 2^53. POSTs without Content-Length get an HTTP 412 page.
//
// # Assumptions, where WeChat's documentation is silent or contradicts itself
//
//   - Only the newest token of a kind and the one before it work: a third fetch within the overlap ends the first token.
//   - After one force_refresh the previous token works for another 30 seconds. A force_refresh that refreshes nothing
//     (within 30 seconds) answers as normal mode does and does not count towards the 20.
//   - With a TokenLifetime shorter than 20 minutes the overlap, and the grace after force_refresh, are at most a quarter of it.
//   - A secret of another known app is answered 40001, any other wrong secret 40125.
//   - The order of the checks; the wording of most errmsg; 47001 for a miniprogram_state or lang outside the list and for
//     a body without data; 47003 for a key the template does not have.
//   - Quotas are counted in calendar seconds and minutes, and in days that begin at midnight in China (UTC+8). A call that fails an
//     earlier check is not counted, nor is the refused call itself. A per-second quota answers 45011 as the per-minute one.
//   - A failed send consumes no credit.
//   - The rules of each data type (20 characters for thing and so on) are not applied, only that values are neither empty
//     nor hold control characters. JSON member names are matched as encoding/json does, without regard to case.
//
// # What the report shows
//
// Reports never hold a token, a secret or an openid. A message is named by the value of the app's IDKey in its data or,
// without one, by a hash of touser, template_id and data. Only the names of messages accepted more than once are
// always listed; all of them, with their counts and first arrival, with ?ids=1. Memory is bounded: for each app 2 000 000 arrival times,
// 1 048 576 messages and as many users; what came beyond is counted as not kept. Reset empties the report, the
// quota counts and the arrival numbers the faults go by; apps, tokens, users, quotas and faults stay.
//
// # Being away
//
// "down" in the faults acts on connections that were accepted. A connection that is refused as such (nothing
// listens) is had by Running.Shutdown and a later Start on the same address, which keeps all state, or by stopping the process.
package sandbox
