// Package gateway is the producer package over HTTP and JSON, for services that
// are not written in Go. GET /v1/openapi.json describes it; the rules behind
// the description are these.
//
// # Strict in what it takes
//
// A request that could mean two things is refused, and the answer names every
// field that is wrong, not the first one: a field or query parameter nobody
// knows, a field that appears twice, a value of another JSON type, an empty
// string where a field could have been left out (page excepted, where "" means
// no jump). null is the same as leaving a field out; a value inside data cannot
// be left out, so null is refused there. Half of a surrogate pair, which comes
// from cutting a text inside an emoji, is refused instead of being replaced.
//
// # Answers
//
// Errors are RFC 9457 problems. detail and errors tell what to do about them and
// never repeat a value of the request; names of unknown fields are repeated
// only if they are too short to be an openid. No answer holds an openid.
//
//	400  the body is no JSON, no UTF-8, no object, or has something behind it
//	401  no key or a wrong one
//	404  no such route, or nothing is known (any more) about the id
//	405  the route has other methods; see Allow
//	409  the id belongs to another content; or too late to cancel
//	413  body over 64 KiB; batch over 1 MiB or over 1000 notifications: split it
//	415  Content-Type is not application/json in UTF-8
//	422  the JSON is fine, fields are not
//	429  the key has used up its requests per second; repeat after Retry-After
//	503  Redis does not answer, or refuses the gateway's user, or is full, or too many large bodies arrive at once,
//	     or no worker has said yet whether reports count; repeat with the same id
//	     after Retry-After
//
// A batch answers 200 with one result per notification, in order; a result is a
// receipt or a problem with a status of its own, whose fields are named as in a
// single notification. Only when every one of them failed with 503 is the whole
// answer 503, so that generic clients and load balancers see the outage.
//
// # Keys
//
// Every route but the OpenAPI document wants a key. The document holds nothing
// secret, and tools that generate clients from it know no keys. Several keys are
// valid at once, so that one can be replaced without an interruption. The name
// of a key appears in the log, the key nowhere.
package gateway
