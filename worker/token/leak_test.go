package token

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

func newFailing() func(context.Context) (wechat.AccessToken, error) {
	return func(context.Context) (wechat.AccessToken, error) { return wechat.AccessToken{}, wrongSecret() }
}

func noCanary(t *testing.T, text string) {
	t.Helper()
	for _, canary := range []string{tokenCanary, secretCanary} {
		if strings.Contains(text, canary) {
			t.Errorf("%q holds %s", text, canary)
		}
	}
}

// noLeak prints v in every way there is.
func noLeak(t *testing.T, v any) {
	t.Helper()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T"} {
		noCanary(t, fmt.Sprintf(verb, v))
		noCanary(t, fmt.Sprintf(verb, []any{v, &v}))
	}
	var log syncBuffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("text", "v", v)
	slog.New(slog.NewJSONHandler(&log, nil)).Info("json", "v", v)
	noCanary(t, log.String())
	if text, err := json.Marshal(v); err == nil {
		noCanary(t, string(text))
	}
}

func TestNothingPrintsTokenOrSecret(t *testing.T) {
	b := setup(t)
	var log syncBuffer
	m := b.process(func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		noCanary(t, fmt.Sprintf("%v %+v %#v %s", *c, c, *c, c.Apps))
	})
	tok := b.get(m)
	if !strings.HasPrefix(tok.Value(), tokenCanary) {
		t.Fatal("no canary to look for")
	}
	noLeak(t, tok)
	noLeak(t, &tok)
	noCanary(t, tok.String()+tok.GoString())
	noLeak(t, struct{ inner Token }{tok})
	noLeak(t, map[string]Token{"t": tok})
	noLeak(t, b.state(m))
	s, err := b.keys.read(b.ctx())
	if err != nil {
		t.Fatal(err)
	}
	noLeak(t, s)
	idle := b.process() // printing reads what a busy one writes
	idle.apps[appID].local.adopt(s)
	noLeak(t, idle)
	noLeak(t, idle.apps[appID])
	if log.String() == "" {
		t.Error("a new token was not logged")
	}
	noCanary(t, log.String())
}

func TestNoErrorHoldsTokenOrSecret(t *testing.T) {
	b := setup(t)
	m := b.process()
	tok := b.get(m)
	raw := fmt.Errorf("get \"https://api.weixin.qq.com/cgi-bin/token?secret=%s\": %w", secretCanary, errors.New(tok.Value()))
	for _, cause := range []error{raw, wrongSecret(), &wechat.Error{Class: errcode.Unknown, Err: context.DeadlineExceeded}} {
		b.fake.fail(cause)
		_, err := m.Refresh(b.ctx(), appID, Manual)
		for ; err != nil; err = errors.Unwrap(err) {
			noLeak(t, err)
		}
		noLeak(t, b.state(m))
	}
	b.invalidate(m, tok)
	_, err := m.Get(b.ctx(), appID)
	noLeak(t, err)
	for _, key := range []string{b.keys.token, b.keys.lock, b.keys.failure, b.keys.budget} {
		noCanary(t, key)
	}
}
