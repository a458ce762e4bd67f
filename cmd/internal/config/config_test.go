package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The tests set the environment of the process, so none of them is parallel.
func TestMain(m *testing.M) {
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, prefix+"_") {
			if err := os.Unsetenv(name); err != nil {
				panic(err)
			}
		}
	}
	os.Exit(m.Run())
}

// setenv sets variables, named without the prefix, for one test.
func setenv(t *testing.T, vars map[string]string) {
	t.Helper()
	for name, value := range vars {
		t.Setenv(prefix+"_"+name, value)
	}
}

// refusals loads and returns the problems by variable, without the prefix.
func refusals(t *testing.T, need ...Need) map[string]string {
	t.Helper()
	_, err := Load(need...)
	found := map[string]string{}
	if err == nil {
		return found
	}
	var refused *Error
	if !errors.As(err, &refused) {
		t.Fatalf("Load: %T, want *Error", err)
	}
	for _, p := range refused.Problems {
		found[strings.TrimPrefix(p.Variable, prefix+"_")] += p.Detail + "\n"
	}
	return found
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	appID  = "wx1234567890abcdef"
	appVar = "APP_WX1234567890ABCDEF"
	secret = "0123456789abcdef0123456789abcdef"
	key    = "key-0123456789abcdef"
	// aesKey ends as many real keys do: its last character has bits set that stand
	// for nothing.
	aesKey = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN+/9"
	token  = "callback-T0ken"
)

func TestDefaultsAreTheContract(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprintln(c.RedisURL, c.Embedded, c.Namespace, len(c.Apps), c.WechatURL, c.GatewayAddr, c.CallbackAddr, len(c.GatewayKeys),
		c.AdminAddr, c.SandboxAddr, c.DashboardAddr, c.DashboardUser, c.DashboardPassword, c.DashboardPrometheusURL,
		c.MaxQueued, c.Concurrency, c.HTTPTimeout, c.ShutdownTimeout, c.DedupeWindow, c.RetryHorizon, c.DeadRetention,
		c.TokenRefreshEvery, c.PurgeCron, c.QuotaResetHour, c.Timezone, c.LogLevel, c.LogFormat)
	want := " false  0 https://api.weixin.qq.com :8080  0 :8081 127.0.0.1:8082 :8083    0 64 10s 30s 24h0m0s 24h0m0s 720h0m0s 1h30m0s 0 0 * * * 0 Asia/Shanghai info text\n"
	if got != want {
		t.Errorf("defaults:\n got %s want %s", got, want)
	}
}

func TestEverythingSet(t *testing.T) {
	setenv(t, map[string]string{
		"REDIS_URL": "rediss://user:p%40ss-word@redis.internal:6380/2", "NAMESPACE": "staging",
		"APPS": appID + ", wxFEDCBA0987654321", appVar + "_SECRET": secret, appVar + "_TOKEN_MODE": "classic",
		appVar + "_CALLBACK_TOKEN": token, appVar + "_CALLBACK_AES_KEY": aesKey, appVar + "_CREDITS": "enforce", appVar + "_CONSENT_SOURCE": "report",
		"APP_WXFEDCBA0987654321_SECRET": secret + "2", "APP_WXFEDCBA0987654321_CALLBACK_TOKEN": "abc", "APP_WXFEDCBA0987654321_CREDITS": "off",
		"CALLBACK_ADDR": ":8090", "PURGE_CRON": "*/30 3-5 1,15 JAN-DEC MON-FRI", "QUOTA_RESET_HOUR": "23",
		"APP_WXFEDCBA0987654321_WECHAT_URL": "http://127.0.0.1:9/private/",
		"WECHAT_URL":                        "https://proxy.internal/", "GATEWAY_ADDR": "127.0.0.1:0", "GATEWAY_KEYS": "shop:" + key + ",crm:" + key + "=2:",
		"ADMIN_ADDR": "[::1]:9001", "SANDBOX_ADDR": "localhost:1", "DASHBOARD_ADDR": "0.0.0.0:80", "DASHBOARD_USER": "ops",
		"DASHBOARD_PASSWORD": "pass word", "DASHBOARD_PROMETHEUS_URL": "http://prometheus:9090", "CONCURRENCY": "1", "MAX_QUEUED": "1000000000",
		"HTTP_TIMEOUT": "1500ms", "SHUTDOWN_TIMEOUT": "26s", "DEDUPE_WINDOW": "2d", "RETRY_HORIZON": "1d12h", "DEAD_RETENTION": "7d",
		"TOKEN_REFRESH_EVERY": "115m", "TIMEZONE": "UTC", "LOG_LEVEL": "debug", "LOG_FORMAT": "json",
	})
	c, err := Load(Redis, Apps, Secrets, GatewayKeys, Dashboard)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Apps) != 2 || c.Apps[0].ID != appID || c.Apps[0].Secret != secret || c.Apps[0].TokenMode != "classic" ||
		c.Apps[0].WechatURL != "https://proxy.internal" || c.Apps[1].WechatURL != "http://127.0.0.1:9/private" || c.Apps[1].TokenMode != "stable" {
		t.Errorf("apps: %+v", c.Apps)
	}
	if a := c.Apps[0]; a.CallbackToken != token || a.CallbackAESKey != aesKey || a.Credits != "enforce" || a.ConsentSource != "report" {
		t.Errorf("the first app's callback and consent: %+v", a)
	}
	if a := c.Apps[1]; a.CallbackToken != "abc" || a.CallbackAESKey != "" || a.Credits != "off" || a.ConsentSource != "event" {
		t.Errorf("the second app's callback and consent: %+v", a)
	}
	if c.CallbackAddr != ":8090" || c.PurgeCron != "*/30 3-5 1,15 JAN-DEC MON-FRI" {
		t.Errorf("callback at %s, purge at %s", c.CallbackAddr, c.PurgeCron)
	}
	if c.QuotaResetHour != 23 {
		t.Errorf("quotas begin anew at %d", c.QuotaResetHour)
	}
	if len(c.GatewayKeys) != 2 || c.GatewayKeys[0].Name != "shop" || c.GatewayKeys[0].Key != key || c.GatewayKeys[1].Key != key+"=2:" {
		t.Errorf("gateway keys: %+v", c.GatewayKeys)
	}
	if c.RetryHorizon != 36*time.Hour || c.DedupeWindow != 48*time.Hour || c.HTTPTimeout != 1500*time.Millisecond || c.Timezone != time.UTC {
		t.Errorf("times: %v %v %v %v", c.RetryHorizon, c.DedupeWindow, c.HTTPTimeout, c.Timezone)
	}
	if c.MaxQueued != 1_000_000_000 {
		t.Errorf("max queued: %d", c.MaxQueued)
	}
	secrets := strings.Join(c.Secrets(), " ")
	for _, s := range []string{"p@ss-word", secret, secret + "2", key, "pass word", token, aesKey} {
		if !strings.Contains(secrets, s) {
			t.Errorf("Secrets() lacks one of %d", len(c.Secrets()))
		}
	}
}

func TestSentinelPasswordsAreSecrets(t *testing.T) {
	setenv(t, map[string]string{"REDIS_URL": "redis-sentinel://:sentry-secret@10.0.0.1:26379/0?master_name=m&password=redis-secret"})
	c, err := Load(Redis)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Secrets(); strings.Join(got, " ") != "sentry-secret redis-secret" {
		t.Errorf("%d secrets", len(got))
	}
}

// TestNothingFormatsASecret tries the ways a value reaches a text.
func TestNothingFormatsASecret(t *testing.T) {
	c := &Config{
		RedisURL: "redis://:canary@h", DashboardPassword: "canary",
		Apps: []App{{ID: appID, Secret: "canary", CallbackToken: "canary", CallbackAESKey: "canary"}}, GatewayKeys: []GatewayKey{{Name: "shop", Key: "canary"}},
	}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		_, _ = fmt.Fprintf(&out, verb+verb, c, *c)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("config", "config", c, "key", c.Apps[0].Secret)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("config", "config", c, "key", c.Apps[0].Secret)
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	out.Write(text)
	if shown := out.String(); strings.Contains(shown, "canary") || strings.Contains(shown, "63616e617279") {
		t.Errorf("a secret is shown: %s", shown)
	}
}

func TestUnprefixedNamesAreNotRead(t *testing.T) {
	for _, v := range variables(prefix, &spec{}) {
		t.Setenv(strings.TrimPrefix(v.name, prefix+"_"), "canary")
	}
	t.Setenv("SECRET", "canary-canary")
	setenv(t, map[string]string{"APPS": appID})
	if got := refusals(t, Secrets, Redis); len(got) != 2 || got["REDIS_URL"] == "" || got[appVar+"_SECRET"] == "" {
		t.Errorf("problems: %v", got)
	}
}

func TestNeeds(t *testing.T) {
	tests := map[string]struct {
		vars map[string]string
		need []Need
		want []string
	}{
		"nothing":                     {},
		"redis":                       {need: []Need{Redis}, want: []string{"REDIS_URL"}},
		"redis empty":                 {map[string]string{"REDIS_URL": ""}, []Need{Redis}, []string{"REDIS_URL"}},
		"redis embedded":              {map[string]string{"REDIS_URL": "embedded"}, []Need{Redis}, []string{"REDIS_URL"}},
		"embedded in dev":             {map[string]string{"REDIS_URL": "embedded"}, []Need{Dev}, nil},
		"apps":                        {need: []Need{Apps}, want: []string{"APPS"}},
		"apps without secrets":        {map[string]string{"APPS": appID}, []Need{Apps}, nil},
		"secrets":                     {need: []Need{Secrets}, want: []string{"APPS"}},
		"secrets missing":             {map[string]string{"APPS": appID + ",wx2"}, []Need{Secrets}, []string{appVar + "_SECRET", "APP_WX2_SECRET"}},
		"secrets empty":               {map[string]string{"APPS": appID, appVar + "_SECRET": ""}, []Need{Secrets}, []string{appVar + "_SECRET"}},
		"gateway keys":                {need: []Need{GatewayKeys}, want: []string{"GATEWAY_KEYS"}},
		"dashboard open":              {need: []Need{Dashboard}, want: []string{"DASHBOARD_USER"}},
		"dashboard on loopback":       {map[string]string{"DASHBOARD_ADDR": "127.0.0.1:1"}, []Need{Dashboard}, nil},
		"dashboard on ipv6 loopback":  {map[string]string{"DASHBOARD_ADDR": "[::1]:1"}, []Need{Dashboard}, nil},
		"dashboard with login":        {map[string]string{"DASHBOARD_USER": "ops", "DASHBOARD_PASSWORD": "long enough"}, []Need{Dashboard}, nil},
		"dev":                         {need: []Need{Dev}},
		"dev with an app, no secret":  {map[string]string{"APPS": appID}, []Need{Dev}, []string{appVar + "_SECRET"}},
		"dev with an open dashboard":  {map[string]string{"DASHBOARD_ADDR": ":8083"}, []Need{Dev}, []string{"DASHBOARD_USER"}},
		"unused is checked for form":  {map[string]string{"GATEWAY_KEYS": "nonsense"}, []Need{Redis}, []string{"GATEWAY_KEYS", "REDIS_URL"}},
		"user without password":       {map[string]string{"DASHBOARD_USER": "ops"}, nil, []string{"DASHBOARD_PASSWORD"}},
		"password without user":       {map[string]string{"DASHBOARD_PASSWORD": "long enough"}, nil, []string{"DASHBOARD_USER"}},
		"broken is not missing":       {map[string]string{"APPS": "not an id"}, []Need{Apps}, []string{"APPS"}},
		"empty counts as not set":     {map[string]string{"CONCURRENCY": "", "LOG_LEVEL": "", "NAMESPACE": ""}, nil, nil},
		"everything wrong is told":    {map[string]string{"CONCURRENCY": "x", "LOG_LEVEL": "x", "TIMEZONE": "x"}, []Need{Redis}, []string{"CONCURRENCY", "LOG_LEVEL", "TIMEZONE", "REDIS_URL"}},
		"aes key without a token":     {map[string]string{"APPS": appID, appVar + "_CALLBACK_AES_KEY": aesKey}, nil, []string{appVar + "_CALLBACK_TOKEN"}},
		"token without an aes key":    {map[string]string{"APPS": appID, appVar + "_CALLBACK_TOKEN": token}, nil, nil},
		"aes key that came out empty": {map[string]string{"APPS": appID, appVar + "_CALLBACK_TOKEN": token, appVar + "_CALLBACK_AES_KEY": ""}, nil, []string{appVar + "_CALLBACK_AES_KEY"}},
		"callback on the gateway":     {map[string]string{"GATEWAY_ADDR": ":8080", "CALLBACK_ADDR": ":8080"}, nil, []string{"CALLBACK_ADDR"}},
		"enforce without a token":     {map[string]string{"APPS": appID, appVar + "_CREDITS": "enforce"}, nil, nil},
		"aes key, broken token file":  {map[string]string{"APPS": appID, appVar + "_CALLBACK_AES_KEY": aesKey, appVar + "_CALLBACK_TOKEN_FILE": "/absent"}, nil, []string{appVar + "_CALLBACK_TOKEN_FILE"}},
		"secret of an app not listed": {map[string]string{"APPS": appID, "APP_WX9_SECRET": secret}, nil, []string{"APP_WX9_SECRET"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			setenv(t, tc.vars)
			got := refusals(t, tc.need...)
			for _, variable := range tc.want {
				if got[variable] == "" {
					t.Errorf("no problem with %s", variable)
				}
			}
			if len(got) != len(tc.want) {
				t.Errorf("problems: %v, want %v", got, tc.want)
			}
		})
	}
}

func TestDevKeepsToThisMachine(t *testing.T) {
	setenv(t, map[string]string{"GATEWAY_ADDR": ":9000"})
	c, err := Load(Dev)
	if err != nil {
		t.Fatal(err)
	}
	if c.GatewayAddr != ":9000" || c.AdminAddr != "127.0.0.1:8081" || c.DashboardAddr != "127.0.0.1:8083" {
		t.Errorf("addresses: %s %s %s", c.GatewayAddr, c.AdminAddr, c.DashboardAddr)
	}
}

func TestDashboardRefusalNamesBothRemedies(t *testing.T) {
	detail := refusals(t, Dashboard)["DASHBOARD_USER"]
	for _, want := range []string{"WXNOTIFY_DASHBOARD_USER", "WXNOTIFY_DASHBOARD_PASSWORD", "WXNOTIFY_DASHBOARD_ADDR=127.0.0.1:8083"} {
		if !strings.Contains(detail, want) {
			t.Errorf("%q lacks %s", detail, want)
		}
	}
}

func TestFiles(t *testing.T) {
	setenv(t, map[string]string{
		"REDIS_URL_FILE": writeFile(t, "redis://127.0.0.1:6379/0\n"), "REDIS_URL": "",
		"GATEWAY_KEYS_FILE": writeFile(t, "shop:"+key+"\r\n"), "DASHBOARD_USER": "ops",
		"DASHBOARD_PASSWORD_FILE": writeFile(t, "long enough"), "APPS": appID, appVar + "_SECRET_FILE": writeFile(t, secret+"\n"),
		appVar + "_CALLBACK_TOKEN_FILE": writeFile(t, token+"\n"), appVar + "_CALLBACK_AES_KEY_FILE": writeFile(t, aesKey+"\r\n"),
	})
	c, err := Load(Redis, Secrets, GatewayKeys, Dashboard)
	if err != nil {
		t.Fatal(err)
	}
	if c.RedisURL != "redis://127.0.0.1:6379/0" || c.GatewayKeys[0].Key != key || c.DashboardPassword != "long enough" || c.Apps[0].Secret != secret ||
		c.Apps[0].CallbackToken != token || c.Apps[0].CallbackAESKey != aesKey {
		t.Error("a value differs from its file")
	}
}

func TestBadFiles(t *testing.T) {
	tests := map[string]struct{ path, want string }{
		"absent":    {filepath.Join(t.TempDir(), "absent"), "no such file"},
		"empty":     {writeFile(t, " \n"), "is empty"},
		"directory": {t.TempDir(), "is a directory"},
		"huge":      {writeFile(t, strings.Repeat("x", maxFile+1)), "larger"},
	}
	for _, name := range []string{"REDIS_URL", "GATEWAY_KEYS", "DASHBOARD_PASSWORD", appVar + "_SECRET", appVar + "_CALLBACK_TOKEN", appVar + "_CALLBACK_AES_KEY"} {
		for what, tc := range tests {
			t.Run(name+" "+what, func(t *testing.T) {
				setenv(t, map[string]string{"APPS": appID, "DASHBOARD_USER": "ops", name + "_FILE": tc.path})
				got := refusals(t, Redis, Secrets, GatewayKeys)
				if detail := got[name+"_FILE"]; !strings.Contains(detail, tc.want) || !strings.Contains(detail, tc.path) {
					t.Errorf("detail %q, want the path and %q", detail, tc.want)
				}
				if got[name] != "" {
					t.Errorf("also called missing: %q", got[name])
				}
			})
		}
	}
}

func TestCallbackTokenAndFileTogether(t *testing.T) {
	setenv(t, map[string]string{"APPS": appID, appVar + "_CALLBACK_TOKEN": token, appVar + "_CALLBACK_TOKEN_FILE": writeFile(t, token), appVar + "_CALLBACK_AES_KEY": aesKey})
	if got := refusals(t); !strings.Contains(got[appVar+"_CALLBACK_TOKEN"], "_FILE") || len(got) != 1 {
		t.Errorf("problems: %v", got)
	}
}

func TestVariableAndFileTogether(t *testing.T) {
	setenv(t, map[string]string{"REDIS_URL": "redis://127.0.0.1:1", "REDIS_URL_FILE": writeFile(t, "redis://127.0.0.1:1")})
	if got := refusals(t, Redis); !strings.Contains(got["REDIS_URL"], "WXNOTIFY_REDIS_URL_FILE") || len(got) != 1 {
		t.Errorf("problems: %v", got)
	}
}
