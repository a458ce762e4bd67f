package main_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

const redisPassword = "canary-redis-password"

// leastRights reads the README's rules of a user of Redis: what an operator
// copies is what is tested.
func leastRights(t testing.TB) []any {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile(`(?s)ACL SETUSER wxnotify (.*?)` + "```").FindSubmatch(text)
	if block == nil {
		t.Fatal("README.md has no ACL SETUSER wxnotify")
	}
	args := []any{"acl", "setuser", "wxnotify"}
	for _, word := range strings.Fields(strings.ReplaceAll(string(block[1]), "\\\n", " ")) {
		args = append(args, strings.Replace(word, ">PASSWORD", ">"+redisPassword, 1))
	}
	return args
}

// useLeastRights lets all that is started from now on log in with those rights.
func (w *world) useLeastRights() {
	w.t.Helper()
	w.onMasters(leastRights(w.t)...)
	w.logInAs("wxnotify", redisPassword)
}

// wantNothingRefused fails if Redis refused a command for want of rights. It may be a
// clean-up.
func (w *world) wantNothingRefused() {
	w.t.Helper()
	err := taskstest.OnMasters(context.WithoutCancel(w.t.Context()), w.rdb, func(ctx context.Context, node redis.Cmdable) error {
		entries, err := node.ACLLog(ctx, 100).Result()
		for _, e := range entries {
			if e.Object == "config|get" || e.Username == narrowUser { // check asks, and does without
				continue
			}
			w.t.Errorf("Redis refused %d times for its %s: %s (%s)", e.Count, e.Reason, e.Object, e.Context)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}
