package tasks_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// asUser returns a client of a user with these rights.
func asUser(t *testing.T, server *taskstest.Server, rights ...any) redis.UniversalClient {
	t.Helper()
	set := append([]any{"acl", "setuser", "narrow", "reset", "on", ">pw"}, rights...)
	if err := server.Client(t).Do(t.Context(), set...).Err(); err != nil {
		t.Fatal(err)
	}
	rdb, err := tasks.ConnectRedis(strings.Replace(server.URL, "://", "://narrow:pw@", 1), tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	return rdb
}

// What a real Redis says to a user without a right, on the way of a command, of a task,
// of a batch and of a script; the key is never told.
func TestForbidden(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	rdb := asUser(t, server, "+@all", "~kAnArY:*", "~asynq:*", "-get", "-config|get", "-hset")
	c := tasks.NewClient(rdb, "")
	push := tasks.Event{App: "wx1", OpenID: "o1", Name: tasks.EventSent, At: time.Now(), Source: "s1"}
	script := func(text, key string) error {
		return redis.NewScript(text).Run(t.Context(), rdb, []string{key}).Err()
	}
	for name, err := range map[string]struct {
		err     error
		command string
	}{
		"command":    {rdb.Get(t.Context(), "kAnArY:1").Err(), "get"},
		"subcommand": {rdb.ConfigGet(t.Context(), "maxmemory").Err(), "config|get"},
		"key":        {rdb.Set(t.Context(), "other:kAnArY", 1, 0).Err(), ""},
		"batch":      {tasks.Batching(rdb).Get(t.Context(), "kAnArY:1").Err(), "get"},
		"task":       {c.Enqueue(t.Context(), sealed(t, c, "a")), ""},
		"push":       {c.EnqueueEvent(t.Context(), push), ""},
		"script":     {script(`return redis.call("GET", KEYS[1])`, "kAnArY:1"), ""},
		"pcall":      {script(`return redis.pcall("GET", KEYS[1])`, "kAnArY:1"), ""},
		"script key": {script(`return redis.call("SET", "other:kAnArY", 1)`, "kAnArY:1"), ""},
	} {
		refused := tasks.Forbidden(err.err)
		if refused == nil || refused.Command != err.command {
			t.Errorf("%s: %v of %v, want the command %q", name, refused, err.err, err.command)
			continue
		}
		if text := refused.Error(); strings.Contains(text, "kAnArY") || !strings.Contains(text, "ACL LOG") || !strings.Contains(text, err.command) {
			t.Errorf("%s: %s", name, text)
		}
		if tasks.Forbidden(fmt.Errorf("again: %w", refused)) != nil {
			t.Errorf("%s: said twice", name)
		}
	}
}

// Newer versions say it in other words.
func TestForbiddenInOtherWords(t *testing.T) {
	t.Parallel()
	for text, command := range map[string]string{
		"NOPERM User gateway has no permissions to run the 'evalsha' command":                                                           "evalsha",
		"NOPERM No permissions to access a key":                                                                                         "",
		"ERR ACL failure in script: User gateway has no permissions to run the 'hset' command script: 6b1f, on @user_script:1.":         "hset",
		"ERR ACL failure in script: No permissions to access a key script: 6b1f, on @user_script:1.":                                    "",
		"NOPERM this user has no permissions to run the 'get' command or its subcommand":                                                "get",
		"tasks: enqueue: UNKNOWN: redis eval error: NOPERM this user has no permissions to run the 'evalsha' command":                   "evalsha",
		"ERR Error running script (call to f_0): @user_script:1: The user executing the script can't run this command or subcommand":    "",
		"NOPERM this user has no permissions to run the 'wxn:r:{wx1:oSecret} of somebody, who has a name far too long for it' command.": "",
	} {
		if refused := tasks.Forbidden(errors.New(text)); refused == nil || refused.Command != command {
			t.Errorf("%s: %v, want the command %q", text, refused, command)
		}
	}
	for _, other := range []error{nil, redis.Nil, errors.New("WRONGPASS invalid username-password pair"), errors.New("i/o timeout")} {
		if refused := tasks.Forbidden(other); refused != nil {
			t.Errorf("%v: %v", other, refused)
		}
	}
}
