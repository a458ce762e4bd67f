package config

import (
	"strings"
	"testing"
)

func TestTableIsComplete(t *testing.T) {
	t.Parallel()
	rows := map[string]Row{}
	for _, r := range Table() {
		rows[r.Variable] = r
		if r.English == "" || r.Chinese == "" {
			t.Errorf("%s has no meaning", r.Variable)
		}
	}
	known := append(variables(prefix, &spec{}), variables(prefix+"_APP_<APPID>", &appSpec{})...)
	for _, v := range known {
		name, twin := strings.CutSuffix(v.name, "_FILE")
		if _, own := rows[v.name]; own {
			continue // of a certificate: there is no variable for what the file holds
		}
		if r, ok := rows[name]; !ok || twin && !r.Secret {
			t.Errorf("%s is not in the table", v.name)
		}
	}
	if len(meanings) != len(rows) {
		t.Errorf("%d meanings for %d rows", len(meanings), len(rows))
	}
}

// TestNamesAreTheContract holds the names against envconfig's way to split words.
func TestNamesAreTheContract(t *testing.T) {
	t.Parallel()
	want := strings.Fields(`REDIS_URL NAMESPACE APPS WECHAT_URL GATEWAY_ADDR CALLBACK_ADDR GATEWAY_KEYS GATEWAY_KEY_RATE
		GATEWAY_MAX_CONNECTIONS GATEWAY_TLS_CERT_FILE GATEWAY_TLS_KEY_FILE CALLBACK_TLS_CERT_FILE CALLBACK_TLS_KEY_FILE ADMIN_ADDR SANDBOX_ADDR
		DASHBOARD_ADDR DASHBOARD_USER DASHBOARD_PASSWORD DASHBOARD_PROMETHEUS_URL DASHBOARD_TLS_CERT_FILE DASHBOARD_TLS_KEY_FILE MAX_QUEUED CONCURRENCY BULK_SHARE HTTP_TIMEOUT SHUTDOWN_TIMEOUT
		DEDUPE_WINDOW RETRY_HORIZON DEAD_RETENTION TOKEN_REFRESH_EVERY PURGE_CRON QUOTA_RESET_HOUR TIMEZONE LOG_LEVEL LOG_FORMAT
		APP_<APPID>_SECRET APP_<APPID>_TOKEN_MODE APP_<APPID>_CALLBACK_TOKEN APP_<APPID>_CALLBACK_AES_KEY
		APP_<APPID>_CREDITS APP_<APPID>_CONSENT_SOURCE APP_<APPID>_WECHAT_URL APP_<APPID>_RATE`)
	var got, secrets []string
	for _, r := range Table() {
		got = append(got, strings.TrimPrefix(r.Variable, prefix+"_"))
		if r.Secret {
			secrets = append(secrets, r.Variable)
		}
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if len(secrets) != 6 {
		t.Errorf("secrets: %v", secrets)
	}
}

func TestMarkdownTable(t *testing.T) {
	t.Parallel()
	for lang, want := range map[string][]string{
		"en": {"| Variable | Default | Meaning |", "| `WXNOTIFY_DEAD_RETENTION` | `30d` | How long dead letters are kept. |", "`…_FILE` names"},
		"zh": {"| 变量 | 默认值 | 含义 |", "| `WXNOTIFY_DEAD_RETENTION` | `30d` | 死信的保留时间。 |", "可改用 `…_FILE`"},
	} {
		table := MarkdownTable(lang)
		for _, line := range want {
			if !strings.Contains(table, line) {
				t.Errorf("%s lacks %s", lang, line)
			}
		}
		for line := range strings.Lines(table) {
			if strings.Count(line, "|") != 4 {
				t.Errorf("not three columns: %s", line)
			}
		}
	}
}
