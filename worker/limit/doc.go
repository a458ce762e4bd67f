// Package limit keeps the sends of one app at its rate, by all processes
// together. Nobody is refused: who comes too early waits in line.
//
// # Slots
//
// A slot is a point in time, and the right to send once then. Slots are an
// interval apart, 1/(0.98 rate). One script in Redis lends them, on Redis's
// clock, a few in a row, and each only once:
//
//	Take ─▶ waiting ─▶ asked for ─▶ in stock ─▶ handed out ─▶ Await ─▶ used
//	           ▲         by the        ▲           5 ms          │
//	           │         process       │          before         └──▶ went by: Take again, ahead
//	           └── ctx ends, Close     └── GiveBack
//
// A slot may be used until 20 ms after its time; later it is thrown away. So any
// second holds the uses of the slots of 1.02 seconds, which at 0.98 of the rate
// are no more than the rate. Where the interval is longer than a second it is the
// same share of it. What the network adds between the use and the receiver comes
// on top.
//
// # The line
//
// Slots are lent for a process and given to a waiter only at the last moment: to
// Critical first, then to Default and Bulk by Bulk's share, in the order of Take,
// those who have lost a slot before the others. The 5 ms are for the caller's
// admission in Redis, which so comes directly before the call.
//
// # The questions
//
// A process asks Redis only while somebody waits, one question at a time, when
// the last slot in stock is less than 15 ms away. It asks for what its waiters
// lack, at most 10 ms worth; above 200/s ten slots, or 5 ms worth if that is
// more. More at a time would save little, and what one process holds, an urgent
// send in another waits for. Nothing is lent beyond 2 s and three intervals. The
// questions run in a goroutine that ends with the answer, the rest in a timer: an
// idle limiter costs nothing.
//
// Two durations are measured: the round trip of a question and the time from
// handing out to Await. With a Redis far away both exceed the figures above; then
// slots are asked for and handed out earlier, and lent no sooner than they can be
// used, or none would ever be in time. The first slots are lost to learning this.
//
// # Clocks
//
// Redis's clock decides. Each answer is also a look at it, as in NTP; the most
// exact look, by its round trip and its age, turns slots into times on our
// monotonic clock. Wall clocks of the processes play no part. A look that
// contradicts it replaces it: then Redis's clock was set or another server took
// over.
//
//	what happens …                    what follows
//	a process dies                    its slots in stock, some 10 ms worth, are lost
//	an answer is lost, a command      its slots are lost
//	  is run twice
//	Redis is away                     questions every 50 ms to 2 s; Takes wait until their ctx ends
//	Redis's clock goes back           what was lent stays as far ahead as it was; the rate holds
//	Redis's clock goes forward        lending begins anew at its time: slots in stock and new ones
//	                                  overlap once, for what was lent ahead, usually some 10 ms
//	Redis restarts empty, or a        the same
//	  replica takes over that is late
//	two rates for one app, while a    each process lends at its own
//	  change of it is rolled out
//
// # Key
//
//	the Key of Config: a hash with free, the first slot not lent, and at, Redis's time when that was
//	written, both in µs; kept until a minute after free
package limit
