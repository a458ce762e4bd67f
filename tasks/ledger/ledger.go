package ledger

import (
	"context"
	"embed"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// Ledger reads and writes the records. It is safe for concurrent use and does
// not own its connection.
type Ledger struct {
	rdb redis.UniversalClient
	ns  tasks.Namespace
	o   Options
}

// Options are how long things are kept.
type Options struct {
	// DedupeWindow is how long an outcome is kept, and with it the guard against
	// a second send of the same id. Default 24 h.
	DedupeWindow time.Duration
	// DeadRetention is how long a dead letter is kept. Default 30 days.
	DeadRetention time.Duration
}

// openTTL keeps a record that has no outcome yet. Every admission renews it; it
// outlasts the longest schedule and a long pause after it.
const openTTL = tasks.MaxAhead + 15*24*time.Hour

// New returns a ledger on a connection made by tasks.ConnectRedis.
func New(rdb redis.UniversalClient, ns tasks.Namespace, o Options) *Ledger {
	if o.DedupeWindow <= 0 {
		o.DedupeWindow = 24 * time.Hour
	}
	if o.DeadRetention <= 0 {
		o.DeadRetention = 30 * 24 * time.Hour
	}
	return &Ledger{rdb: rdb, ns: ns, o: o}
}

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	admitScript  = script("admit")
	settleScript = script("settle")
	cancelScript = script("cancel")
)

// script joins the shared part and one script's own.
func script(name string) *redis.Script {
	return tasks.Script(luaFiles, "lua/record.lua", "lua/"+name+".lua")
}

// run calls a script and returns the fields of its answer.
func (l *Ledger) run(ctx context.Context, s *redis.Script, keys []string, args ...any) (reply, error) {
	values, err := s.Run(ctx, l.rdb, keys, args...).Slice()
	if err != nil {
		return nil, err
	}
	return reply(values), nil
}

// ErrNewer says that a record has a state this version does not know. Asking
// again does not help; a later version wrote it.
var ErrNewer = errors.New("ledger: the record was written by a newer version of wxnotify")

// reply is a script's answer: strings and integers in a fixed order. A field that
// is missing or of the wrong type reads as empty, and an empty state is ErrNewer.
type reply []any

func (r reply) text(i int) string {
	if i < len(r) {
		if s, ok := r[i].(string); ok {
			return s
		}
	}
	return ""
}

func (r reply) number(i int) int64 {
	if i < len(r) {
		if n, ok := r[i].(int64); ok {
			return n
		}
	}
	return 0
}

func (r reply) millis(i int) time.Duration { return time.Duration(r.number(i)) * time.Millisecond }

func (r reply) status(i int) (tasks.Status, error) {
	s, ok := statusOf[r.text(i)]
	if !ok {
		return "", ErrNewer
	}
	return s, nil
}

// runEnding calls a script that ends a notification, and in the same round trip
// shortens the pointer's life to that of the outcome. A pointer that stays longer
// costs memory and keeps the id taken; that is no reason to fail the settlement.
func (l *Ledger) runEnding(ctx context.Context, ref Ref, o tasks.Outcome, s *redis.Script, keys []string, args ...any) (reply, error) {
	pipe := l.rdb.Pipeline()
	answer := s.EvalSha(ctx, pipe, keys, args...)
	pipe.PExpire(ctx, l.pointerKey(ref.App, ref.ID), l.endTTL(o))
	_, _ = pipe.Exec(ctx) // each command has its own error
	values, err := answer.Slice()
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return l.run(ctx, s, keys, args...)
	}
	if err != nil {
		return nil, err
	}
	return reply(values), nil
}

// keep is the pointer's part of runEnding, for an end that only the answer tells.
func (l *Ledger) keep(ctx context.Context, ref Ref, s tasks.Status) {
	_ = l.rdb.PExpire(ctx, l.pointerKey(ref.App, ref.ID), l.endTTL(tasks.Outcome(s))).Err()
}

func (l *Ledger) endTTL(o tasks.Outcome) time.Duration {
	if o == tasks.Dead {
		return l.o.DeadRetention
	}
	return l.o.DedupeWindow
}
