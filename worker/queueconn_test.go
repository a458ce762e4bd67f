package worker

import (
	"context"
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// scripted is a Redis that answers each script with the next error.
type scripted struct {
	redis.UniversalClient
	answers []error
}

func (s *scripted) EvalSha(ctx context.Context, _ string, _ []string, _ ...any) *redis.Cmd {
	cmd := redis.NewCmd(ctx)
	cmd.SetErr(s.answers[0])
	s.answers = s.answers[1:]
	return cmd
}

func (s *scripted) Eval(ctx context.Context, text string, keys []string, args ...any) *redis.Cmd {
	return s.EvalSha(ctx, text, keys, args...)
}

type redisError string

func (e redisError) Error() string { return string(e) }
func (redisError) RedisError()     {}

var dequeue = []string{"asynq:{q}:pending", "asynq:{q}:paused", "asynq:{q}:active", "asynq:{q}:lease"}

// A dequeue that fails takes longer each time, up to about a second; an answer, also
// that there is no task, ends that.
func TestDequeueBacksOff(t *testing.T) {
	t.Parallel()
	away := errors.New("connection refused")
	noScript, full := redisError("NOSCRIPT No matching script."), redisError("OOM command not allowed")
	const ms = time.Millisecond
	steps := []struct {
		answer    error
		low, high time.Duration
	}{
		{redis.Nil, 0, 0},
		{away, 70 * ms, 130 * ms},
		{away, 140 * ms, 260 * ms},
		{noScript, 0, 0},
		{full, 280 * ms, 520 * ms},
		{away, 560 * ms, 1040 * ms},
		{away, 700 * ms, 1300 * ms},
		{away, 700 * ms, 1300 * ms},
		{nil, 0, 0},
		{away, 70 * ms, 130 * ms},
	}
	synctest.Test(t, func(t *testing.T) {
		q := &queueConn{life: t.Context()}
		direct := &scripted{}
		for _, s := range steps {
			direct.answers = append(direct.answers, s.answer)
		}
		q.direct = direct
		face := q.face()
		run := face.EvalSha
		for i, s := range steps {
			if i == 4 { // what follows NOSCRIPT
				run = face.Eval
			}
			begun := time.Now()
			if err := run(t.Context(), "", dequeue).Err(); !errors.Is(err, s.answer) {
				t.Errorf("step %d: %v, want %v", i, err, s.answer)
			}
			if took := time.Since(begun); took < s.low || took > s.high {
				t.Errorf("step %d: took %v, want %v to %v", i, took, s.low, s.high)
			}
			run = face.EvalSha
		}
	})
}

// What is no dequeue fails at once, and a worker that stops waits for nothing.
func TestOnlyDequeuesBackOff(t *testing.T) {
	t.Parallel()
	away := errors.New("connection refused")
	synctest.Test(t, func(t *testing.T) {
		life, stop := context.WithCancel(t.Context())
		all := []error{away, away, away, away, away, away, away}
		q := &queueConn{direct: &scripted{answers: all}, batching: &scripted{answers: all}, life: life, stop: stop}
		face, begun := q.face(), time.Now()
		for range 5 {
			_ = face.EvalSha(t.Context(), "", []string{"asynq:{q}:active", "asynq:{q}:lease"})
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("other scripts waited %v, want nothing", took)
		}
		go func() {
			<-time.After(10 * time.Millisecond)
			q.stop()
		}()
		for range 5 {
			_ = face.EvalSha(t.Context(), "", dequeue)
		}
		if took := time.Since(begun); took != 10*time.Millisecond {
			t.Errorf("dequeues waited %v after the worker was stopped, want 10ms", took)
		}
	})
}

// A dial that failed answers for others to that address for half a second.
func TestDialGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		refused, dials := errors.New("connection refused"), 0
		answer := refused
		dial := newDialGate().DialHook(func(ctx context.Context, _, _ string) (net.Conn, error) {
			dials++
			return nil, errors.Join(answer, ctx.Err())
		})
		want := func(addr string, err error, n int) {
			t.Helper()
			if _, got := dial(t.Context(), "tcp", addr); !errors.Is(got, err) || dials != n {
				t.Errorf("%s: %v after %d dials, want %v after %d", addr, got, dials, err, n)
			}
		}
		want("a:1", refused, 1)
		want("a:1", refused, 1)
		want("b:1", refused, 2) // another address
		<-time.After(dialAgainAfter)
		want("a:1", refused, 3)
		<-time.After(dialAgainAfter)
		answer = nil
		want("a:1", nil, 4)
		want("a:1", nil, 5)

		given, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := dial(given, "tcp", "a:1"); !errors.Is(err, context.Canceled) {
			t.Errorf("%v, want the context's error", err)
		}
		want("a:1", nil, 7) // whoever gave up says nothing about Redis
	})
}
