package producer_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// A user without a right hears so, and which; once it has it, the same calls work.
func TestForbidden(t *testing.T) {
	b := setup(t)
	allow := func(rights ...any) {
		t.Helper()
		if err := b.rdb.Do(t.Context(), append([]any{"acl", "setuser", "narrow", "on", ">pw", "~*", "+@all"}, rights...)...).Err(); err != nil {
			t.Fatal(err)
		}
	}
	allow("-evalsha")
	narrow := on(t, strings.Replace(b.server.URL, "://", "://narrow:pw@", 1))
	calls := map[string]func() error{
		"Send": func() error { _, err := narrow.client.Send(t.Context(), notification("a")); return err },
		"GrantFormID": func() error {
			_, err := narrow.client.GrantFormID(t.Context(), producer.FormID{App: app, OpenID: user, FormID: "f"})
			return err
		},
	}
	check := func(name string, err error) {
		t.Helper()
		var refused *tasks.ForbiddenError
		if !errors.Is(err, producer.ErrForbidden) || !errors.As(err, &refused) || refused.Command != "evalsha" {
			t.Errorf("%s: %v", name, err)
			return
		}
		if !errors.Is(err, producer.ErrUnavailable) || strings.Contains(err.Error(), "not available") || strings.Contains(err.Error(), user) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, call := range calls {
		check(name, call())
	}
	many := make([]producer.Notification, 100)
	for i := range many {
		many[i] = notification("")
	}
	for _, r := range narrow.client.SendMany(t.Context(), many) {
		check("SendMany", r.Err)
	}
	if errors.Is(producer.ErrUnavailable, producer.ErrForbidden) || errors.Is(producer.ErrForbidden, producer.ErrBusy) {
		t.Error("the errors are mixed up")
	}
	allow("-ping")
	err := narrow.client.Ping(t.Context())
	if !errors.Is(err, producer.ErrForbidden) || !strings.Contains(err.Error(), "the command ping") {
		t.Errorf("Ping: %v", err)
	}
	allow()
	for name, call := range calls {
		if err := call(); err != nil {
			t.Errorf("%s with the right: %v", name, err)
		}
	}
}
