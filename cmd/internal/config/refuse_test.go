package config

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// canary is part of every hostile value; no error text may hold it.
const canary = "cAnArY"

func TestHostileValues(t *testing.T) {
	tests := map[string][]string{
		"REDIS_URL": {canary, "http://" + canary, "redis://" + canary + "@:x", "redis://h:" + canary, "redis://u:" + canary + "%zz@h:1/0",
			"redis-sentinel://h:1?no_master=" + canary, "redis://h:1/0?" + canary + "=1"},
		"NAMESPACE": {canary + ":", canary + " ", strings.Repeat(canary, 6)},
		"APPS":      {canary + " " + canary, canary + ",," + canary + "2", canary + "," + strings.ToLower(canary), canary + "," + canary, ",", strings.Repeat(canary, 11)},
		"WECHAT_URL": {canary, "ftp://" + canary, "https://", "https://h/?access_token=" + canary, "https://u:" + canary + "@h", "https://h/#" + canary,
			"https://h/%zz" + canary, "https://h?", "http://:80/" + canary},
		"GATEWAY_ADDR":             {canary, canary + ":port", ":65536", ":-1", "a b" + canary + ":1", "http://" + canary + ":1"},
		"CALLBACK_ADDR":            {canary, "http://" + canary + ":1"},
		"ADMIN_ADDR":               {canary},
		"SANDBOX_ADDR":             {canary},
		"DASHBOARD_ADDR":           {canary},
		"DASHBOARD_PROMETHEUS_URL": {canary, "http://u:" + canary + "@h", "http://h/?q=" + canary},
		"GATEWAY_KEYS": {canary, "na me:" + canary + canary + canary, "a:" + canary, "a:" + canary + canary + "," + canary,
			"a:" + canary + canary + canary + ",a:2" + canary + canary + canary, "a:" + canary + canary + canary + ",b:" + canary + canary + canary,
			"a:" + canary + " " + canary + canary, ":" + canary + canary + canary, "a:" + canary + canary + "\u00e9" + canary},
		"DASHBOARD_USER":          {canary + ":", canary + "\n"},
		"DASHBOARD_PASSWORD":      {"x" + canary, canary + canary + "\x01"},
		"MAX_QUEUED":              {canary, "-1", "1000000001", "1e3", "10 ", "99999999999999999999"},
		"GATEWAY_KEY_RATE":        {canary, "-1", "0.009", "100001", "NaN", "Inf", "10/s"},
		"GATEWAY_MAX_CONNECTIONS": {canary, "-1", "1000001", "1e3"},
		"CONCURRENCY":             {canary, "0", "-1", "1025", "1e3", "64 ", "99999999999999999999"},
		"HTTP_TIMEOUT":            {canary, "10", "0s", "-1s", "20s", "1h", "1d" + canary, "-1d", "d", "99999999999999999999d", "65535d"},
		"SHUTDOWN_TIMEOUT":        {canary, "25s", "0"},
		"DEDUPE_WINDOW":           {canary, "0s", "9m59s", "1d-1h", "3651d"},
		"RETRY_HORIZON":           {canary, "-24h"},
		"DEAD_RETENTION":          {canary, "30 d", "0d", "1.5d"},
		"TOKEN_REFRESH_EVERY":     {canary, "59s", "116m"},
		"TIMEZONE":                {canary, "../" + canary, "Asia/" + canary},
		"BULK_SHARE":              {canary, "-0.1", "1.1", "NaN", "+Inf", "20%"},
		appVar + "_RATE":          {canary, "-1", "0.0000001", "100001", "NaN", "Inf", "10/s"},
		"PURGE_CRON": {canary, "@daily", "@every 1h", "0 0 * *", "0 0 * * * *", "60 0 * * *", "0 0 30 2 *", "0 0 * * " + canary, "TZ=" + canary,
			"TZ=UTC 0 0 * *", "CRON_TZ=UTC 0 0 * * *", "0\t0\t*\t*\t*", " 0 0 * * *", "*/0 0 * * *", "-1 0 * * *"},
		"QUOTA_RESET_HOUR": {canary, "24", "-1", "0.5", "12:00", "0 "},
		"LOG_LEVEL":        {canary, "INFO"},
		"LOG_FORMAT":       {canary, "logfmt"},
		appVar + "_SECRET": {"x" + canary, canary + canary + " " + canary, canary + canary + "\t"},
		appVar + "_TOKEN_MODE": {
			canary, "Stable"},
		appVar + "_CALLBACK_TOKEN":   {canary[:2], strings.Repeat(canary, 6), canary + " ", canary + "\n", canary + "\u00e9"},
		appVar + "_CALLBACK_AES_KEY": {canary, aesKey[:42] + "=", aesKey[:42], aesKey + "A", aesKey[:42] + "-", aesKey[:36] + " " + canary, aesKey[:36] + "\n" + canary},
		appVar + "_CREDITS":          {canary, "Enforce", "true"},
		appVar + "_CONSENT_SOURCE":   {canary, "events", "event,report"},
		appVar + "_WECHAT_URL":       {canary, "https://h/?secret=" + canary},
	}
	for name, values := range tests {
		for _, value := range values {
			t.Run(name, func(t *testing.T) {
				setenv(t, map[string]string{"APPS": appID, "DASHBOARD_USER": "ops", "DASHBOARD_PASSWORD": "long enough", name: value})
				_, err := Load()
				refused := (*Error)(nil)
				if !errors.As(err, &refused) {
					t.Fatalf("value %q passes", value)
				}
				if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(canary)) {
					t.Errorf("the value is shown: %v", err)
				}
				for _, p := range refused.Problems {
					if p.Variable == prefix+"_"+name && p.Detail != "" {
						return
					}
				}
				if name != "APPS" {
					t.Errorf("not named: %v", err)
				}
			})
		}
	}
}

func TestEveryVariableHostileAtOnce(t *testing.T) {
	for _, v := range append(variables(prefix, &spec{}), variables(appPrefix(appID), &appSpec{})...) {
		t.Setenv(v.name, canary+" \x01")
	}
	_, err := Load(Redis, Secrets, GatewayKeys, Dashboard)
	if err == nil {
		t.Fatal("nonsense passes")
	}
	// The path of a secret file is no secret and helps; it is the one exception.
	text := strings.ReplaceAll(err.Error(), "the file "+canary, "")
	if strings.Contains(text, canary) {
		t.Errorf("a value is shown: %v", err)
	}
}

func TestUnknownVariables(t *testing.T) {
	tests := map[string]string{
		"REDIS_URI":                     "did you mean WXNOTIFY_REDIS_URL?",
		"CONCURENCY":                    "did you mean WXNOTIFY_CONCURRENCY?",
		"http_timeout":                  "did you mean WXNOTIFY_HTTP_TIMEOUT?",
		"QUOTA_RESET_TIME":              "unknown",
		appVar + "_RATES":               "did you mean WXNOTIFY_" + appVar + "_RATE?",
		"APP_" + appID + "_SECRET":      "did you mean WXNOTIFY_" + appVar + "_SECRET?",
		"APP_WX0_SECRET":                "WX0 is not in WXNOTIFY_APPS",
		"APP_WX0_SECRET_FILE":           "WX0 is not in WXNOTIFY_APPS",
		"APP_WX0_TOKEN_MODE":            "WX0 is not in WXNOTIFY_APPS",
		"APP_WX0_WECHAT_URL":            "WX0 is not in WXNOTIFY_APPS",
		"APP_WX0_CALLBACK_TOKEN":        "WX0 is not in WXNOTIFY_APPS",
		"APP_WX0_CALLBACK_AES_KEY_FILE": "WX0 is not in WXNOTIFY_APPS",
		appVar + "_CALLBACK_AESKEY":     "did you mean WXNOTIFY_" + appVar + "_CALLBACK_AES_KEY?",
		appVar + "_CREDIT":              "did you mean WXNOTIFY_" + appVar + "_CREDITS?",
		"APP_" + "WX0_SECRETS":          "unknown",
		"":                              "unknown",
		"APP__SECRET":                   "unknown",
		"DASHBOARD_USER_FILE":           "unknown",
		"SERVICE_HOSTS":                 "unknown",
		"GATEWAY_SERVICE_HOSTNAME":      "unknown",
		"GATEWAY_PORT_HTTP":             "unknown",
		"APP_WX1234567890ABCDEE_SECRET": "did you mean WXNOTIFY_" + appVar + "_SECRET?",
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			setenv(t, map[string]string{"APPS": appID, name: canary})
			got := refusals(t)
			if !strings.Contains(got[name], want) || strings.Contains(got[name], canary) || len(got) != 1 {
				t.Errorf("problems %v, want %q", got, want)
			}
		})
	}
}

func TestKubernetesIsNotATypo(t *testing.T) {
	for _, name := range []string{
		"SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT", "PORT_8080_TCP", "PORT_8080_TCP_ADDR", "PORT_53_UDP_PROTO",
		"GATEWAY_SERVICE_HOST", "GATEWAY_SERVICE_PORT", "GATEWAY_SERVICE_PORT_HTTP_API", "GATEWAY_PORT", "GATEWAY_PORT_8080_TCP",
		"DASHBOARD_PORT_8083_TCP_PORT", "APP_SERVICE_HOST", "REDIS_PORT_6379_TCP",
	} {
		setenv(t, map[string]string{name: "tcp://10.0.0.1:8080"})
	}
	if got := refusals(t); len(got) != 0 {
		t.Errorf("problems: %v", got)
	}
}

// FuzzValues holds that no value makes Load panic or show what it was given.
func FuzzValues(f *testing.F) {
	names := variables(prefix, &spec{})
	for i := range names {
		f.Add(i, "nonsense")
		f.Add(i, "redis://:nonsense@h/0?x=y")
	}
	f.Fuzz(func(t *testing.T, i int, value string) {
		v := names[uint(i)%uint(len(names))]
		marked := value + canary
		if strings.HasSuffix(v.name, "_FILE") || os.Setenv(v.name, marked) != nil {
			t.Skip()
		}
		defer func() { _ = os.Unsetenv(v.name) }()
		if _, err := Load(Redis); err != nil && strings.Contains(err.Error(), canary) {
			t.Errorf("%s is shown", v.name)
		}
	})
}
