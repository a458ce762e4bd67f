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
	rdb   redis.UniversalClient
	batch *redis.AutoPipeliner // nil: every command goes on its own
	ns    tasks.Namespace
	o     Options
}

// Options are how long things are kept.
type Options struct {
	// DedupeWindow is how long an outcome is kept, and with it the guard against
	// a second send of the same id. Default 24 h.
	DedupeWindow time.Duration
	// DeadRetention is how long a dead letter is kept. Default 30 days.
	DeadRetention time.Duration
	// Grace is how long a notification waits for a credit or a form id that may be
	// on its way. Default 10 s.
	Grace time.Duration
	// Batch sends the commands of many goroutines together, which a worker gains
	// from. Each still gets its own answer. It does nothing on a Redis Cluster.
	// Default off.
	Batch bool
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
	if o.Grace <= 0 {
		o.Grace = 10 * time.Second
	}
	return &Ledger{rdb: rdb, batch: batcher(rdb, o.Batch), ns: ns, o: o}
}

// Grace is how long a notification waits for a credit that may be on its way.
func (l *Ledger) Grace() time.Duration { return l.o.Grace }

// batcher returns the client's own batching face, which ends with the client. There
// is none for a Redis Cluster, as tasks.Batching explains.
func batcher(rdb redis.UniversalClient, wanted bool) *redis.AutoPipeliner {
	client, able := rdb.(*redis.Client)
	if !wanted || !able {
		return nil
	}
	batch, err := client.AsyncAutoPipeline()
	if err != nil { // only for options we do not set
		return nil
	}
	return batch
}

//go:embed lua/*.lua
var luaFiles embed.FS

var (
	admitScript       = script("admit")
	settleScript      = script("settle")
	cancelScript      = script("cancel")
	grantScript       = script("grant")
	grantFormIDScript = script("grantform")
	receiptScript     = script("receipt")
	eraseScript       = script("erase")
	erasedScript      = script("erased")
	purgeScript       = script("purge")
	buryScript        = script("bury")
	keepDeadScript    = script("keepdead")
	dropLetterScript  = script("dropletter")
	unlistScript      = script("unlist")
)

// script joins the shared parts and one script's own.
func script(name string) *redis.Script {
	return tasks.Script(luaFiles, "lua/record.lua", "lua/consent.lua", "lua/"+name+".lua")
}

// run calls a script and returns the fields of its answer.
func (l *Ledger) run(ctx context.Context, s *redis.Script, keys []string, args ...any) (reply, error) {
	cmd := redis.NewSliceCmd(ctx, evalsha(s, keys, args)...)
	err := l.do(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		values, err := s.Eval(ctx, l.rdb, keys, args...).Slice()
		return reply(values), err
	}
	if err != nil {
		return nil, err
	}
	return reply(cmd.Val()), nil
}

// runText calls a script that answers with one text.
func (l *Ledger) runText(ctx context.Context, s *redis.Script, keys []string, args ...any) (string, error) {
	cmd := redis.NewCmd(ctx, evalsha(s, keys, args)...)
	err := l.do(ctx, cmd)
	if redis.HasErrorPrefix(err, "NOSCRIPT") {
		return s.Eval(ctx, l.rdb, keys, args...).Text()
	}
	if err != nil {
		return "", err
	}
	return cmd.Text()
}

func evalsha(s *redis.Script, keys []string, args []any) []any {
	all := make([]any, 0, 3+len(keys)+len(args))
	all = append(all, "evalsha", s.Hash(), len(keys))
	for _, k := range keys {
		all = append(all, k)
	}
	return append(all, args...)
}

// do runs a command, batched with those of other goroutines where Options say so.
// A batched command goes on when ctx ends before its answer, as one whose reply
// was lost does: every command here may be repeated. Its result must then not be
// read any more.
func (l *Ledger) do(ctx context.Context, cmd redis.Cmder) error {
	if l.batch == nil {
		return l.rdb.Process(ctx, cmd)
	}
	if err := l.batch.Submit(ctx, cmd).WaitContext(ctx); err != nil {
		return err
	}
	return cmd.Err()
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

// keep sets a pointer's life to that of the outcome, where Claim's does not do: a
// dead letter is kept longer, a canceled notification was claimed for long. It is
// no reason to fail if it does not succeed.
func (l *Ledger) keep(ctx context.Context, ref Ref, s tasks.Status) {
	_ = l.rdb.PExpire(ctx, l.pointerKey(ref.App, ref.ID), l.endTTL(tasks.Outcome(s))).Err()
}

func (l *Ledger) endTTL(o tasks.Outcome) time.Duration {
	if o == tasks.Dead {
		return l.o.DeadRetention
	}
	return l.o.DedupeWindow
}
