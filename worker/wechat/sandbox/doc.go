// Package sandbox is WeChat as a server: for tests, for `wxnotify dev`, for load and for other teams who want to see how
// their side behaves when WeChat does not.
//
// It serves twelve of WeChat's calls:
//
//	GET  /cgi-bin/token                        a token, classic
//	POST /cgi-bin/stable_token                 a token, stable
//	POST /cgi-bin/message/subscribe/send       a subscribe message
//	POST /cgi-bin/message/wxopen/template/send a template message, with a form id
//	GET  /sns/jscode2session                   a login code for an openid
//	GET  /wxaapi/newtmpl/gettemplate           the templates of the app
//	POST /cgi-bin/openapi/quota/get            what is left of the quota of one call
//	POST /cgi-bin/clear_quota                  the day's quotas begin again
//	POST /cgi-bin/message/device/subscribe/send a device message
//	POST /wxa/set_user_notify                  a service card: activate or update
//	POST /wxa/set_user_notifyext               a service card: further details
//	POST /wxa/get_user_notify                  what is known of a service card
//
// and a control API under /_sandbox/ (GET /_sandbox/ prints its help). It pushes events to a callback URL as WeChat does.
// It misbehaves when told to, the same way for the same seed, and reports what it received.
//
// # One call
//
//	request ─→ front (404, 412, 413 pages)
//	        ─→ arrival noted; the fault for this arrival number is chosen
//	        ─→ judged: the checks below, in order       (skipped by faults that stop a request before it is processed)
//	        ─→ latency, during which a send is "in flight" for its openid
//	        ─→ answer, or what the fault makes of it
//	        ─→ the receipt of an accepted subscribe message is pushed
//
// A subscribe message is judged in this order: access_token (41001, 40014, 42001, 40001), method (43002), body (44002, 47001), touser
// (40003), template_id (40037), page (41030), miniprogram_state and lang (47001), data (47003), blocked template (43107),
// subscription (43101), another send to this openid in flight (43108), sensitive words (45168), quotas (45011, 45009).
// A template message: access_token, method, body, retired (45103), touser, template_id, page, form id (41028, 41029),
// in flight, quotas. A login code: appid and secret as for a token, js_code (41008, 40029, 40163), user (40226), quotas.
// The quota calls: access_token, method, body, quotas, then cgi_path (76022, 76021), or appid (40013) and ten times a month (48006).
// A device message: access_token, method, body, number of openids (40032), sn (9800001, 9800002), model (9800003, 9800006), openids,
// template_id, page, then as a subscribe message, but for concurrent sends and sensitive words.
// A service card: access_token, method, body, openid (40003), notify_type (85434, 85461), notify_code (85437, 85436, 85438, 85449), quotas,
// content_json (85435, 85443, 85440, 85441), check_json of a payment's activation (85433), state (85439, 85448), sensitive words (85442).
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
// A one-time subscription allows one message for each acceptance, a long-term one any number until it is refused. A form
// id is its user's alone, is valid for seven days and allows one message, or as many as were said. A login code is
// exchanged once within five minutes.
//
// # Pushes
//
// With a Callback every accepted subscribe message is followed by its subscribe_msg_sent_event, and every answer of a user
// (Server.Answer) by its popup or change event; Server.PushEvent pushes any other. Pushes are signed with the callback
// token and, in safe and compatible mode, sealed. A list of one item is an object in JSON; numbers come as JSON numbers or as
// texts, by the seed. A push that is not answered 200 within five seconds is tried again, three times in all; an answer
// other than success or nothing fails it. A message whose answer a fault takes away has its receipt pushed all the same,
// before the fault acts, which may be a hang.
//
// Of each app 32 deliveries are under way at a time and 65 536 pushes wait; what comes beyond is dropped and counted. The
// events of one Answer are pushed one after another, all else side by side. A delay is waited for in a delivery's place, so
// 32 that wait hold up those behind them.
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
//   - quota/get answers 76022 for paths under /sns/ and 76021 for others it does not serve; a call without a daily limit has
//     one of 30 000 000. It tells the limit per minute, or else per second, as rate_limit. Neither quota call has a limit
//     of its own unless one is set, but for the clearing: ten times a calendar month of China.
//   - clear_quota begins the day's counts again of all calls but those that hand out tokens.
//   - A failed send consumes no credit, form id or login code.
//   - A refusal in the dialog takes away the one-time credits earned before, as one in the message's menu does.
//   - Each answer of a user has a CreateTime at least a second after the one before, unless a time is given.
//   - From a user's first answer about a template on, their credits for it are counted: if they were without end, one
//     acceptance then allows one message.
//   - App.Credits does not hold for long-term templates: those are open to whoever has not refused, or with ConsentNeeded
//     to whoever has accepted.
//   - Template messages: data is not judged beyond its form, nor is emphasis_keyword; concurrent ones to one openid, of either kind, are
//     answered 43108; the answer has no msgid, and no event is pushed about them. A form id both used up and
//     expired is answered 41029. Both kinds of message share one list of templates.
//   - Device messages: at most 20 openids; either name of the model counts; a device that was not made known goes with any
//     model; every user's subscription is a standing one, and one who refuses makes the whole message answer 43101; there is
//     no msgid, no event, and no difference between device templates and others.
//   - Service cards: states go up, by any step, and the same state again is answered 85448, whatever the rest of the content;
//     no state is the last. Of the content only cur_status is judged, of check_json that pay_amount and pay_time are there, of
//     ext_json that it is an object. A code of another user is answered 85437. A code lives 24 hours (payment) or 5 minutes
//     (button), and 30 days or 24 hours from its activation on. No failure event is pushed unless asked for with Server.PushEvent.
//   - jscode2session: a missing js_code is answered 41008; no minute quota unless one is set; no unionid.
//   - gettemplate: errcode 404 for another method, 300 calls a day.
//   - A push is tried again after a third of the five seconds. Redirects are not followed. Receipts come at once unless delayed.
//   - What a failed receipt says: WeChat lists no values, here they are error code 1 and the text "failed".
//   - The rules of each data type (20 characters for thing and so on) are applied to templates that are known, in their widest
//     reading: an emoji is one character, whatever it is made of. With AllowAnyTemplate, of other templates' values only that they are neither empty
//     nor hold control characters. JSON member names are matched as encoding/json does, without regard to case.
//
// # What the report shows
//
// Reports never hold a token, a secret, a session_key or an openid. A message is named by the value of the app's IDKey in its data, or of a
// card in its content, or without one by a hash of touser, template_id and data, or of the card. Only the names of messages accepted more than once are
// always listed; all of them, with their counts and first arrival, with ?ids=1. The rates are measured on the times when
// requests had been read, before any latency of a fault. Memory is bounded: for each app 1 000 000 arrival times of each kind of
// message, of 8 bytes each, 1 048 576 messages, which beyond that are counted as not kept, and as many users, subscriptions, form ids and login
// codes, which beyond that are refused (-1 where WeChat's call would need one more). Reset empties the report, the quota counts
// and the arrival numbers the faults go by; apps, tokens, users, templates, form ids, codes, quotas and faults stay.
//
// # Being away
//
// "down" in the faults acts on connections that were accepted. A connection that is refused as such (nothing
// listens) is had by Running.Shutdown and a later Start on the same address, which keeps all state but the pushes that
// waited, or by stopping the process.
package sandbox
