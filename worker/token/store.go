package token

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	readScript       = script("read")
	beginScript      = script("begin")
	storeScript      = script("store")
	failScript       = script("fail")
	releaseScript    = script("release")
	invalidateScript = script("invalidate")
)

// script joins the shared part and one script's own.
func script(name string) *redis.Script {
	return tasks.Script(luaFiles, "lua/record.lua", "lua/"+name+".lua")
}

// store is what Redis knows about the token of one app.
type store struct {
	rdb                          redis.UniversalClient
	token, lock, failure, budget string
}

// newStore names the keys. Their common hash tag keeps them in one slot of a
// Redis Cluster.
func newStore(rdb redis.UniversalClient, ns tasks.Namespace, app string) store {
	key := ns.Key("token:{" + app + "}")
	return store{rdb: rdb, token: key, lock: key + ":lock", failure: key + ":failure", budget: key + ":budget"}
}

// renewal is one question to WeChat: who asks, and its place among all of them.
type renewal struct {
	owner string    // random, the value of the lock
	turn  int64     // grows with every question, whoever asks
	asked time.Time // Redis's clock, before the request was sent
}

func (s store) read(ctx context.Context) (snapshot, error) {
	return s.run(ctx, readScript, s.keys())
}

// begin asks for the right to renew. since is the time of the first snapshot of
// this call, zero before there is one; a manual renewal is content with any
// answer stored after it.
func (s store) begin(ctx context.Context, owner string, cause Cause, since time.Time, l limits) (snapshot, error) {
	var sinceMillis int64
	if !since.IsZero() {
		sinceMillis = since.UnixMilli()
	}
	return s.run(ctx, beginScript, append(s.keys(), s.budget), owner, l.lease().Milliseconds(),
		string(cause), sinceMillis, l.maxPerMinute, l.askEvery.Milliseconds())
}

func (s store) store(ctx context.Context, r renewal, got wechat.AccessToken) (snapshot, error) {
	return s.run(ctx, storeScript, s.keys(), r.owner, r.turn, r.asked.UnixMilli(),
		got.Value, digest(got.Value), got.ExpiresIn.Milliseconds())
}

func (s store) fail(ctx context.Context, r renewal, e *Error) (snapshot, error) {
	hold := holdOff(e.Class)
	return s.run(ctx, failScript, s.keys(), r.owner, r.turn, string(e.Class), e.Code, e.detail(),
		hold.first.Milliseconds(), hold.longest.Milliseconds())
}

func (s store) release(ctx context.Context, r renewal) error {
	return releaseScript.Run(ctx, s.rdb, []string{s.lock}, r.owner).Err()
}

func (s store) invalidate(ctx context.Context, t Token) error {
	return invalidateScript.Run(ctx, s.rdb, []string{s.token}, t.confirmed, digest(t.Value())).Err()
}

func (s store) keys() []string { return []string{s.token, s.lock, s.failure} }

// errReply is an answer that does not have the form of a snapshot.
var errReply = errors.New("unexpected reply of a script")

func (s store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (snapshot, error) {
	sent := time.Now()
	values, err := script.Run(ctx, s.rdb, keys, args...).Slice()
	if err != nil {
		return snapshot{}, err
	}
	r := reply{values: values}
	snap := r.snapshot(sent)
	if r.bad || len(r.values) != 0 {
		return snapshot{}, errReply
	}
	return snap, nil
}

// snapshot is the state at one moment of Redis's clock.
type snapshot struct {
	verdict  string
	now      time.Time
	wait     time.Duration // with the verdicts busy, held and spent
	renewing bool

	token     Token
	turn      int64
	fetchedAt time.Time
	checkedAt time.Time
	expiresAt time.Time
	refusedAt time.Time

	usable time.Duration // how long it may be used from now on; 0: it may not
	window time.Duration // how long before its end its successor is asked for
	until  time.Time     // now + usable on our own monotonic clock

	failure Failure
}

// nearEnd reports whether it is time to ask for a successor.
func (s snapshot) nearEnd() bool {
	return s.usable > 0 && !s.now.Before(s.expiresAt.Add(-s.window))
}

// reply takes a script's answer apart, in the order of snapshot in record.lua.
type reply struct {
	values []any
	bad    bool
}

// snapshot reads the fields. Redis measured what remains after sent, so until is
// never too late, however far apart the two clocks are.
func (r *reply) snapshot(sent time.Time) snapshot {
	s := snapshot{verdict: r.text(), now: r.time(), wait: r.millis(), renewing: r.number() != 0}
	value := r.text()
	s.token = Token{value: &value, generation: r.number(), confirmed: r.number()}
	s.turn, s.fetchedAt, s.checkedAt = r.number(), r.time(), r.time()
	s.expiresAt, s.refusedAt = r.time(), r.time()
	s.usable, s.window = r.millis(), r.millis()
	s.until = sent.Add(s.usable)
	s.failure = Failure{
		Class: errcode.Class(r.text()), Code: int(r.number()), Detail: r.text(), At: r.time(), HeldUntil: r.time(),
	}
	return s
}

func (r *reply) next() any {
	if len(r.values) == 0 {
		r.bad = true
		return nil
	}
	v := r.values[0]
	r.values = r.values[1:]
	return v
}

func (r *reply) text() string {
	s, ok := r.next().(string)
	r.bad = r.bad || !ok
	return s
}

func (r *reply) number() int64 {
	n, ok := r.next().(int64)
	r.bad = r.bad || !ok
	return n
}

func (r *reply) millis() time.Duration { return time.Duration(r.number()) * time.Millisecond }

// time reads a moment; 0 means never.
func (r *reply) time() time.Time {
	n := r.number()
	if n == 0 {
		return time.Time{}
	}
	return time.UnixMilli(n)
}
