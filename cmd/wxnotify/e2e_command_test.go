package main_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestCommandsOfAnOperator(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--appendonly", "yes")
	a := w.worker("a", nil)

	t.Run("send and status", func(t *testing.T) { sendAndStatus(t, w.env) })
	t.Run("token", func(t *testing.T) { tokenCommands(t, w) })
	t.Run("check", func(t *testing.T) {
		command(t, w.env, "check").want(t, 0, "append-only file", "noeviction", "token of "+testApp, "1 running",
			"warn", "consents of "+testApp, "WeChat has pushed nothing yet", "quota of "+testApp+" subscribe_send")
		command(t, w.env.with(env{appVariable(testApp, "CREDITS"): "enforce"}), "check").want(t, 1, "FAIL", "nothing is sent")
		command(t, w.env.with(env{appVariable(testApp, "CONSENT_SOURCE"): "report"}), "check").want(t, 0, "by what the front end reports")
		var findings []struct{ Level, What, Detail string }
		decode(t, command(t, w.env, "check", "--json"), &findings)
		if len(findings) < 5 {
			t.Errorf("check --json has %d findings, want each line of the table", len(findings))
		}
	})
	t.Run("healthcheck", func(t *testing.T) {
		at := env{"ADMIN_ADDR": strings.TrimPrefix(a.admin, "http://")}
		command(t, at, "healthcheck").want(t, 0, "ok")
		command(t, at, "healthcheck", "--ready").want(t, 0, "ok")
		command(t, env{"ADMIN_ADDR": refusingAddr}, "healthcheck").want(t, 1, "/healthz")
	})
}

// sendAndStatus needs no secret: a machine that only enqueues has none.
func sendAndStatus(t *testing.T, all env) {
	e := all.redisOnly()
	send := []string{"send", "--to", openID(1), "--template", "e2e-template", "--data", idKey + "=cli", "--data", "thing2=a,b=c;d", "--id", "cli-1"}
	command(t, e, send...).want(t, 0, "cli-1: queued")
	command(t, e, append(send, "--priority", "bulk")...).want(t, 0, "cli-1: ", "enqueued before")
	taskstest.Eventually(t, 10*time.Second, func() string {
		if r := command(t, e, "status", "cli-1"); !strings.Contains(r.stdout, "accepted") {
			return "want accepted, status prints " + r.stdout + r.stderr
		}
		return ""
	})
	command(t, e, "status", "cli-1").want(t, 0, "msgid", "attempts  1")
	var s state
	decode(t, command(t, e, "status", "cli-1", "--app", testApp, "--json"), &s)
	if s.Status != "accepted" || s.MsgID == "" || s.ID != "cli-1" || s.App != testApp || s.Attempts != 1 {
		t.Errorf("status --json: %+v, want cli-1 accepted with an msgid by one attempt", s)
	}
	var receipt state
	decode(t, command(t, e, append(send, "--json")...), &receipt)
	if receipt.Status != "accepted" || !receipt.Duplicate {
		t.Errorf("send --json of a sent id: %+v, want it accepted and a duplicate", receipt)
	}
	command(t, e, "status", "never-sent").want(t, 1, "nothing is known")
	command(t, e, "send", "--to", openID(2), "--template", "other", "--data", "thing2=x", "--id", "cli-1").want(t, 1, "other content")
	command(t, e, "send", "--app", "wxnobody", "--to", openID(2), "--template", "t", "--data", "thing2=x").want(t, 1, "no worker serves this app")
	command(t, e.with(env{"APPS": ""}), "status", "cli-1").want(t, 2, "--app")
}

// decode reads the JSON a command printed.
func decode(t *testing.T, r result, v any) {
	t.Helper()
	r.want(t, 0)
	if err := json.Unmarshal([]byte(r.stdout), v); err != nil {
		t.Errorf("want JSON alone on stdout, got %v:\n%s", err, r.stdout)
	}
}

func tokenCommands(t *testing.T, w *world) {
	command(t, w.env, "token", "refresh").want(t, 0, testApp, "fresh", "expires")
	value := w.token(testApp)
	for _, args := range [][]string{
		{"token", "status"}, {"token", "status", testApp}, {"token", "status", "--json"},
		{"token", "refresh"}, {"token", "refresh", testApp, "--json"},
	} {
		r := command(t, w.env, args...)
		r.want(t, 0, testApp)
		noLeak(t, strings.Join(args, " "), r.stdout+r.stderr, value)
	}
	var states []struct{ App, Phase string }
	decode(t, command(t, w.env, "token", "status", "--json"), &states)
	if len(states) != 1 || states[0].App != testApp || states[0].Phase != "fresh" {
		t.Errorf("token status --json: %+v, want one fresh token of %s", states, testApp)
	}
	command(t, w.env, "token", "status", "wxnobody").want(t, 1, "wxnobody")
}

func TestUsageErrorsExitWith2(t *testing.T) {
	t.Parallel()
	e := env{"REDIS_URL": "redis://" + refusingAddr + "/0", "APPS": testApp}
	for name, args := range map[string][]string{
		"no command":       {},
		"unknown command":  {"sends"},
		"unknown flag":     {"version", "--jsno"},
		"missing flags":    {"send"},
		"missing argument": {"status"},
		"no such language": {"status", "x", "--lang", "fr"},
		"no duration":      {"healthcheck", "--timeout", "soon"},
		"bad time":         {"send", "--to", "o", "--template", "t", "--data", "a=b", "--send-at", "tomorrow"},
		"bad id":           {"send", "--to", "o", "--template", "t", "--data", "a=b", "--id", "with blanks"},
		"bad priority":     {"send", "--to", "o", "--template", "t", "--data", "a=b", "--priority", "urgent"},
		"bad openid":       {"send", "--to", "no openid!", "--template", "t", "--data", "a=b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := command(t, e, args...)
			r.want(t, 2)
			if r.stderr == "" {
				t.Error("nothing on stderr, want what is wrong")
			}
		})
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	command(t, nil, "version").want(t, 0, "wxnotify dev", "go1.")
	var v map[string]string
	decode(t, command(t, nil, "version", "--json"), &v)
	if v["version"] == "" || v["commit"] == "" || v["go"] == "" {
		t.Errorf("version --json: %v, want version, commit and go", v)
	}
	for _, args := range [][]string{{"--help"}, {"worker", "--help"}, {"token", "--help"}} {
		command(t, nil, args...).want(t, 0, "Usage: wxnotify")
	}
}

// With Redis away every command says so, in time and without the password.
func TestCommandsWithRedisAway(t *testing.T) {
	t.Parallel()
	const password = "canary-redis-password-92eb5ffee6ae"
	e := env{
		"REDIS_URL": "redis://:" + password + "@" + refusingAddr + "/0", "APPS": testApp,
		appVariable(testApp, "SECRET"): appSecret,
	}
	for name, args := range map[string][]string{
		"check": {"check"}, "status": {"status", "x"}, "token status": {"token", "status"}, "token refresh": {"token", "refresh"},
		"send": {"send", "--to", openID(1), "--template", "t", "--data", "thing2=" + contentCanary},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			began := time.Now()
			r := command(t, e, args...)
			r.want(t, 1, "edis")
			noLeak(t, name, r.stdout+r.stderr, password)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("it took %v, want an answer within 10s", took)
			}
		})
	}
}

// Wrong variables are named, all at once, and their values are not shown.
func TestWrongVariablesAreNamedWithoutTheirValues(t *testing.T) {
	t.Parallel()
	const value = "canary-value-4a8a08f09d37b737"
	e := env{
		"REDIS_URL": "redis//" + value, "APPS": testApp + ",no id " + value, "GATEWAY_KEYS": value,
		"CONCURRENCY": value, "HTTP_TIMEOUT": value, "LOG_LEVEL": value, "WECHAT_URL": value, "ADMIN_ADDR": value,
		"GATEWAY_ADRR": value, "APP_WXNOBODY_SECRET": value, "SERVICE_PORT_HTTP": value,
	}
	wrong := []string{
		"WXNOTIFY_REDIS_URL", "WXNOTIFY_APPS", "WXNOTIFY_GATEWAY_KEYS", "WXNOTIFY_CONCURRENCY", "WXNOTIFY_HTTP_TIMEOUT",
		"WXNOTIFY_LOG_LEVEL", "WXNOTIFY_WECHAT_URL", "WXNOTIFY_ADMIN_ADDR", "WXNOTIFY_GATEWAY_ADRR", "did you mean WXNOTIFY_GATEWAY_ADDR",
		"WXNOTIFY_APP_WXNOBODY_SECRET",
	}
	for _, name := range []string{"worker", "gateway", "dashboard", "sandbox", "dev", "check", "healthcheck"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := command(t, e, name)
			r.want(t, 1, wrong...)
			noLeak(t, name, r.stdout+r.stderr, value, "SERVICE_PORT")
		})
	}
	command(t, env{"REDIS_URL": "redis://" + refusingAddr}, "gateway").want(t, 1, "WXNOTIFY_GATEWAY_KEYS", "required")
	command(t, env{"REDIS_URL": "redis://" + refusingAddr, "APPS": testApp}, "worker").want(t, 1, "WXNOTIFY_"+appVariable(testApp, "SECRET"), "required")
	command(t, env{"REDIS_URL": "embedded", "APPS": testApp, appVariable(testApp, "SECRET"): appSecret}, "worker").want(t, 1, "WXNOTIFY_REDIS_URL", "embedded")
	command(t, env{"REDIS_URL": "redis://" + refusingAddr, "DASHBOARD_ADDR": ":0"}, "dashboard").want(t, 1, "WXNOTIFY_DASHBOARD_USER")
}
