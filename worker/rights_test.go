package worker

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// What Redis refuses to the worker's user is said once a minute, of each command, and
// nothing else is.
func TestMissingRightsAreNamed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		r := newRights(slog.New(slog.NewTextHandler(&out, nil)))
		denied := func(command string) error {
			return redisError("NOPERM this user has no permissions to run the '" + command + "' command")
		}
		single := func(err error) error {
			return r.ProcessHook(func(context.Context, redis.Cmder) error { return err })(t.Context(), redis.NewCmd(t.Context()))
		}
		batch := func(err error) error {
			return r.ProcessPipelineHook(func(context.Context, []redis.Cmder) error { return err })(t.Context(), nil)
		}
		for _, err := range []error{nil, redis.Nil, errors.New("connection refused"), redisError("OOM command not allowed")} {
			if !errors.Is(single(err), err) || !errors.Is(batch(err), err) || out.Len() > 0 {
				t.Fatalf("%v: %s", err, out.String())
			}
		}
		for range 100 {
			_, _ = single(denied("evalsha")), batch(denied("zadd"))
			time.Sleep(time.Second)
		}
		for command, want := range map[string]int{"evalsha": 2, "zadd": 2, "level=ERROR": 4, "ACL LOG": 4} {
			if got := strings.Count(out.String(), command); got != want {
				t.Errorf("%s: %d times, want %d:\n%s", command, got, want, out.String())
			}
		}
	})
}
