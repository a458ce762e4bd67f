package config

import (
	"fmt"
	"strings"
)

// Row describes one variable.
type Row struct {
	// Variable is the full name; <APPID> stands for an AppID in upper case.
	Variable string
	// Default applies where the variable is absent or empty. Empty: none.
	Default string
	// English and Chinese say what it means.
	English, Chinese string
	// Secret says that its value is never shown and that Variable + "_FILE" may
	// name a file that holds it.
	Secret bool
}

// Table lists every variable, in the order of the README. The _FILE twins of
// secrets are part of their row.
func Table() []Row {
	list := variables(prefix, &spec{})
	list = append(list, variables(prefix+"_APP_<APPID>", &appSpec{})...)
	named, secret := map[string]bool{}, map[string]bool{}
	for _, v := range list {
		named[v.name] = true
		if twin, ok := strings.CutSuffix(v.name, "_FILE"); ok {
			secret[twin] = true
		}
	}
	var rows []Row
	for _, v := range list {
		if twin, ok := strings.CutSuffix(v.name, "_FILE"); ok && named[twin] {
			continue
		}
		m := meanings[strings.TrimPrefix(v.name, prefix+"_")]
		rows = append(rows, Row{Variable: v.name, Default: v.def, English: m.english, Chinese: m.chinese, Secret: secret[v.name]})
	}
	return rows
}

// MarkdownTable renders Table for a README: lang is "en" or "zh".
func MarkdownTable(lang string) string {
	var b strings.Builder
	header := "| Variable | Default | Meaning |\n|---|---|---|\n"
	if lang == "zh" {
		header = "| 变量 | 默认值 | 含义 |\n|---|---|---|\n"
	}
	b.WriteString(header)
	for _, r := range Table() {
		def := ""
		if r.Default != "" {
			def = "`" + r.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s |\n", r.Variable, def, strings.ReplaceAll(r.meaning(lang), "|", `\|`))
	}
	return b.String()
}

func (r Row) meaning(lang string) string {
	switch {
	case lang == "zh" && r.Secret:
		return r.Chinese + "可改用 `…_FILE` 指定存放它的文件。"
	case lang == "zh":
		return r.Chinese
	case r.Secret:
		return r.English + " Or `…_FILE` names a file that holds it."
	}
	return r.English
}

type meaning struct{ english, chinese string }

// meanings is keyed by the name without its prefix.
var meanings = map[string]meaning{
	"REDIS_URL": {
		"Redis: `redis://`, `rediss://`, `redis-sentinel://` or `redis-cluster://`. Required but in `dev`, where `embedded` (or nothing) starts one that keeps nothing.",
		"Redis 地址：`redis://`、`rediss://`、`redis-sentinel://` 或 `redis-cluster://`。除 `dev` 外必填；`dev` 中填 `embedded`（或留空）会启动一个不持久化的内嵌 Redis。",
	},
	"NAMESPACE": {
		"Prefix of queues and keys, to share a Redis with another installation.",
		"队列与键的前缀，用于与另一套部署共用同一个 Redis。",
	},
	"APPS": {
		"The AppIDs, separated by commas. Workers serve these.",
		"AppID 列表，用逗号分隔；worker 只服务这些小程序。",
	},
	"WECHAT_URL": {
		"The WeChat API, or a proxy or sandbox in its place.",
		"微信 API 地址，也可以是代理或沙箱的地址。",
	},
	"GATEWAY_ADDR": {
		"Where the HTTP API listens.",
		"HTTP API 的监听地址。",
	},
	"CALLBACK_ADDR": {
		"Where WeChat's pushes to `/wechat/<APPID>` arrive. Empty: at `WXNOTIFY_GATEWAY_ADDR`.",
		"接收微信推送（`/wechat/<APPID>`）的监听地址；留空则使用 `WXNOTIFY_GATEWAY_ADDR`。",
	},
	"GATEWAY_KEYS": {
		"Who may use the HTTP API: `name:key,name:key`, keys of at least 16 characters. The gateway needs at least one.",
		"允许调用 HTTP API 的密钥：`name:key,name:key`，每个密钥至少 16 个字符；gateway 至少需要一个。",
	},
	"GATEWAY_KEY_RATE": {
		"Requests per second that each key may make of one gateway process, with a burst of one second's worth; a batch counts as its notifications. Beyond: 429. `0`: any number.",
		"每个密钥每秒可向单个 gateway 进程发出的请求数，允许一秒份额的突发；批量请求按其通知条数计。超出时回答 429。`0` 表示不限。",
	},
	"GATEWAY_MAX_CONNECTIONS": {
		"Connections open at once to the gateway's port, and to `WXNOTIFY_CALLBACK_ADDR`. A further one takes the place of an idle one, or waits. `0`: any number.",
		"gateway 端口（以及 `WXNOTIFY_CALLBACK_ADDR`）同时打开的连接数上限；超出的连接会顶替空闲连接，或排队等待。`0` 表示不限。",
	},
	"GATEWAY_TLS_CERT_FILE": {
		"File with the certificate of `WXNOTIFY_GATEWAY_ADDR` and those between it and its root, PEM; with it the gateway speaks HTTPS. Read again when it changes.",
		"`WXNOTIFY_GATEWAY_ADDR` 的证书（含中间证书，PEM）文件；设置后使用 HTTPS。文件变化后会自动重新读取。",
	},
	"GATEWAY_TLS_KEY_FILE": {
		"File with its private key, PEM, without a passphrase.",
		"该证书的私钥文件（PEM，不带口令）。",
	},
	"CALLBACK_TLS_CERT_FILE": {
		"As `WXNOTIFY_GATEWAY_TLS_CERT_FILE`, for `WXNOTIFY_CALLBACK_ADDR`.",
		"同 `WXNOTIFY_GATEWAY_TLS_CERT_FILE`，用于 `WXNOTIFY_CALLBACK_ADDR`。",
	},
	"CALLBACK_TLS_KEY_FILE": {
		"As `WXNOTIFY_GATEWAY_TLS_KEY_FILE`, for `WXNOTIFY_CALLBACK_ADDR`.",
		"同 `WXNOTIFY_GATEWAY_TLS_KEY_FILE`，用于 `WXNOTIFY_CALLBACK_ADDR`。",
	},
	"ADMIN_ADDR": {
		"Where metrics, health checks and the log level listen. It has no login: keep it inside.",
		"指标、健康检查与日志级别的监听地址。它没有登录，请勿对外开放。",
	},
	"SANDBOX_ADDR": {
		"Where `wxnotify sandbox` listens.",
		"`wxnotify sandbox` 的监听地址。",
	},
	"DASHBOARD_ADDR": {
		"Where the dashboard listens. Beyond this machine it needs a login.",
		"控制台的监听地址；若本机以外可以访问，则必须设置登录。",
	},
	"DASHBOARD_USER": {
		"Login of the dashboard, together with the password.",
		"控制台的登录名，须与密码一起设置。",
	},
	"DASHBOARD_PASSWORD": {
		"Password of the dashboard, at least 8 characters.",
		"控制台的密码，至少 8 个字符。",
	},
	"DASHBOARD_PROMETHEUS_URL": {
		"The Prometheus that draws the dashboard's charts. Without it there are none.",
		"为控制台图表提供数据的 Prometheus 地址；留空则没有图表。",
	},
	"DASHBOARD_TLS_CERT_FILE": {
		"As `WXNOTIFY_GATEWAY_TLS_CERT_FILE`, for the dashboard.",
		"同 `WXNOTIFY_GATEWAY_TLS_CERT_FILE`，用于控制台。",
	},
	"DASHBOARD_TLS_KEY_FILE": {
		"As `WXNOTIFY_GATEWAY_TLS_KEY_FILE`, for the dashboard.",
		"同 `WXNOTIFY_GATEWAY_TLS_KEY_FILE`，用于控制台。",
	},
	"MAX_QUEUED": {
		"How many notifications of one app may wait, beyond which the gateway and `send` answer busy; `0`: any number. Of each app by itself, so that one app's flood stops no other.",
		"单个小程序最多可有多少条通知排队等待；达到后 gateway 与 `send` 回答“忙”。`0` 表示不限。每个小程序分别计算，一个小程序的洪峰不会挡住其他小程序。",
	},
	"CONCURRENCY": {
		"Handlers per app and lane, 1 to 1024.",
		"每个小程序、每条优先级通道的并发处理数，1 到 1024。",
	},
	"BULK_SHARE": {
		"The most that the bulk lane gets of an app's `_RATE` while other lanes have work, from 0 to 1.",
		"其他通道有任务时，bulk 通道最多可占用该小程序 `_RATE` 的份额（0 到 1）。",
	},
	"HTTP_TIMEOUT": {
		"Longest call to WeChat, below 20s.",
		"单次调用微信的最长时间，须小于 20s。",
	},
	"SHUTDOWN_TIMEOUT": {
		"How long running tasks may go on after a signal, above 25s.",
		"收到停止信号后，运行中任务最多还能执行多久，须大于 25s。",
	},
	"DEDUPE_WINDOW": {
		"How long an id is remembered after its outcome, at least 10m.",
		"有了结果之后，消息 id 还会被记住多久（用于去重），至少 10m。",
	},
	"RETRY_HORIZON": {
		"How long a notification is attempted.",
		"一条通知最多尝试多长时间。",
	},
	"DEAD_RETENTION": {
		"How long dead letters are kept.",
		"死信的保留时间。",
	},
	"TOKEN_REFRESH_EVERY": {
		"How often access tokens are renewed, 1m to 115m.",
		"access_token 的刷新间隔，1m 到 115m。",
	},
	"PURGE_CRON": {
		"When expired records are removed: minute, hour, day of month, month, day of week, in `WXNOTIFY_TIMEZONE`.",
		"清理过期记录的时间：分、时、日、月、星期，按 `WXNOTIFY_TIMEZONE` 计算。",
	},
	"QUOTA_RESET_HOUR": {
		"Hour of the day in China (UTC+8, whatever `WXNOTIFY_TIMEZONE` is), 0 to 23, at which WeChat's daily quotas begin anew.",
		"微信每日额度重置的整点（0 到 23，始终按中国时间 UTC+8，与 `WXNOTIFY_TIMEZONE` 无关）。",
	},
	"TIMEZONE": {
		"Time zone of `WXNOTIFY_PURGE_CRON`, and of the days of `wxnotify stats`.",
		"`WXNOTIFY_PURGE_CRON` 和 `wxnotify stats` 按天统计使用的时区。",
	},
	"LOG_LEVEL": {
		"`debug`, `info`, `warn` or `error`; `/log-level` of the admin port changes it without a restart.",
		"`debug`、`info`、`warn` 或 `error`；可通过管理端口的 `/log-level` 在线修改。",
	},
	"LOG_FORMAT": {
		"`text` or `json`.",
		"`text` 或 `json`。",
	},
	"APP_<APPID>_SECRET": {
		"The app's AppSecret. Workers need it for each app.",
		"该小程序的 AppSecret；worker 需要每个小程序的密钥。",
	},
	"APP_<APPID>_TOKEN_MODE": {
		"`stable` (/cgi-bin/stable_token) or `classic` (/cgi-bin/token).",
		"`stable`（/cgi-bin/stable_token）或 `classic`（/cgi-bin/token）。",
	},
	"APP_<APPID>_CALLBACK_TOKEN": {
		"The Token of the console's message-push page, 3 to 32 characters. Without it, WeChat's pushes about the app are refused.",
		"公众平台“消息推送”页填写的 Token，3 到 32 个字符；未设置时，拒绝该小程序的微信推送。",
	},
	"APP_<APPID>_CALLBACK_AES_KEY": {
		"The EncodingAESKey of that page, 43 characters, for the safe and the compatible mode; plaintext is then refused. Empty: plain mode.",
		"该页的 EncodingAESKey，43 个字符，用于安全模式与兼容模式；设置后拒绝明文推送。留空为明文模式。",
	},
	"APP_<APPID>_CREDITS": {
		"What becomes of users' consents: `off` (not kept), `observe` (kept, but every message is sent) or `enforce` (a message without consent is not sent).",
		"如何对待用户的订阅授权：`off`（不记录）、`observe`（记录，但消息照常发送）或 `enforce`（没有授权就不发送）。",
	},
	"APP_<APPID>_CONSENT_SOURCE": {
		"Whose word counts as consent: `event` (WeChat's push) or `report` (what your client reports). Never both.",
		"以谁的上报作为授权依据：`event`（微信推送）或 `report`（客户端上报），二者只计其一。",
	},
	"APP_<APPID>_RATE": {
		"Messages per second, of all workers together, that are sent for this app; 0 is no limit.",
		"该小程序每秒最多发送的消息数（所有 worker 合计）；0 表示不限制。",
	},
	"APP_<APPID>_WECHAT_URL": {
		"As `WXNOTIFY_WECHAT_URL`, for this app alone.",
		"同 `WXNOTIFY_WECHAT_URL`，仅对该小程序生效。",
	},
}
