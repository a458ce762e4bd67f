package config

import (
	"net/url"
	"slices"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/servercert"
	"github.com/wxnotify/wxnotify/tasks"
)

// Config is the checked configuration.
type Config struct {
	// RedisURL is the Redis to use; empty if Embedded. Default none.
	RedisURL Secret
	// Embedded says that the process brings its own Redis. Default false.
	Embedded bool
	// Namespace prefixes queues and keys. Default none.
	Namespace tasks.Namespace
	// Apps are the Mini Programs, in the order they are named. Default none.
	Apps []App
	// WechatURL is the WeChat API without a final slash. Default
	// https://api.weixin.qq.com.
	WechatURL string
	// GatewayAddr is where the HTTP API listens. Default :8080.
	GatewayAddr string
	// CallbackAddr is where WeChat's pushes arrive; empty: at GatewayAddr. Default none.
	CallbackAddr string
	// GatewayKeys are who may use the HTTP API. Default none.
	GatewayKeys []GatewayKey
	// GatewayKeyRate is how many requests a second each key may make of this process, a
	// batch counting as its notifications; 0: any number. Default 0.
	GatewayKeyRate float64
	// GatewayMaxConnections is how many connections may be open at once, to GatewayAddr
	// and to CallbackAddr each; 0: any number. Default 1024.
	GatewayMaxConnections int
	// GatewayTLS is the certificate of GatewayAddr. Default none: it speaks plain HTTP.
	GatewayTLS servercert.Files
	// CallbackTLS is that of CallbackAddr. Default none: it speaks plain HTTP.
	CallbackTLS servercert.Files
	// AdminAddr is where metrics and health listen. Default :8081.
	AdminAddr string
	// SandboxAddr is where the sandbox WeChat listens. Default 127.0.0.1:8082.
	SandboxAddr string
	// DashboardAddr is where the dashboard listens. Default :8083.
	DashboardAddr string
	// DashboardUser is the dashboard's login. Default none.
	DashboardUser string
	// DashboardPassword belongs to DashboardUser. Default none.
	DashboardPassword Secret
	// DashboardPrometheusURL is where the dashboard reads its charts. Default none.
	DashboardPrometheusURL string
	// DashboardTLS is the certificate of DashboardAddr. Default none: it speaks plain HTTP.
	DashboardTLS servercert.Files
	// MaxQueued is how many notifications of one app may wait; 0: any number. Default 0.
	MaxQueued int
	// Concurrency is the number of handlers per app and lane. Default 64.
	Concurrency int
	// BulkShare is the most that the bulk lane gets of an app's rate while other lanes
	// have work, from 0 to 1. Default 0.2.
	BulkShare float64
	// HTTPTimeout bounds one call to WeChat. Default 10s.
	HTTPTimeout time.Duration
	// ShutdownTimeout is how long running tasks may go on after a signal. Default 30s.
	ShutdownTimeout time.Duration
	// DedupeWindow is how long an outcome is remembered. Default 24h.
	DedupeWindow time.Duration
	// RetryHorizon is how long a notification is attempted. Default 24h.
	RetryHorizon time.Duration
	// DeadRetention is how long a dead letter is kept. Default 30d.
	DeadRetention time.Duration
	// TokenRefreshEvery is how often tokens are renewed. Default 90m.
	TokenRefreshEvery time.Duration
	// PurgeCron is when expired records are removed, in Timezone: five fields of
	// cron, for cron.ParseStandard. Default 0 0 * * *.
	PurgeCron string
	// QuotaResetHour is the hour in China, 0 to 23, at which WeChat's daily quotas
	// begin anew. Default 0.
	QuotaResetHour int
	// Timezone is PurgeCron's, and that of the days of the stats. Default Asia/Shanghai.
	Timezone *time.Location
	// LogLevel is debug, info, warn or error. Default info.
	LogLevel string
	// LogFormat is text or json. Default text.
	LogFormat string
}

// App is one Mini Program.
type App struct {
	// ID is its AppID, as written in WXNOTIFY_APPS.
	ID string
	// Secret is its AppSecret. Default none.
	Secret Secret
	// TokenMode is stable or classic: which of WeChat's two token calls is used.
	// Default stable.
	TokenMode string
	// CallbackToken is what WeChat's pushes are signed with. Default none.
	CallbackToken Secret
	// CallbackAESKey is the EncodingAESKey of the pushes; empty: they come in plain
	// mode. Default none.
	CallbackAESKey Secret
	// Credits is off, observe or enforce: whether the consents of users are kept,
	// and whether a message that none covers is held back. Default observe.
	Credits string
	// ConsentSource is event or report: whose word counts as a user's consent,
	// WeChat's push or the client's own. Default event.
	ConsentSource string
	// WechatURL is the WeChat API for this app. Default Config.WechatURL.
	WechatURL string
	// Rate is how many messages a second all workers together send; 0: no limit. Default 0.
	Rate float64
}

// GatewayKey lets one caller use the HTTP API.
type GatewayKey struct {
	// Name tells callers apart in logs.
	Name string
	// Key is what the caller sends as its bearer token.
	Key Secret
}

// Need is something a subcommand cannot do without. What no need asks for may be
// absent, but if it is there, it must be right.
type Need int

// The needs.
const (
	// Redis: WXNOTIFY_REDIS_URL, and not the embedded one.
	Redis Need = iota
	// Apps: at least one AppID.
	Apps
	// Secrets: at least one AppID, and a secret for each.
	Secrets
	// GatewayKeys: at least one key.
	GatewayKeys
	// Dashboard: a login, unless the address is on this machine only.
	Dashboard
	// Dev is what `wxnotify dev` needs: Redis may be absent or embedded and apps
	// may be absent, but an app that is named has its secret. Addresses that are
	// not set are on 127.0.0.1; the dashboard's needs a login if it is set to more.
	Dev
)

// Load reads and checks the environment of the process. The error is an *Error.
func Load(need ...Need) (*Config, error) {
	l := newLoader(need)
	c := l.load()
	if len(l.problems) > 0 {
		return nil, &Error{Problems: l.problems}
	}
	return c, nil
}

// Secrets returns every text that must never be shown, for the redaction of logs.
func (c *Config) Secrets() []string {
	all := redisSecrets(string(c.RedisURL))
	for _, app := range c.Apps {
		all = append(all, string(app.Secret), string(app.CallbackToken), string(app.CallbackAESKey))
	}
	for _, k := range c.GatewayKeys {
		all = append(all, string(k.Key))
	}
	all = append(all, string(c.DashboardPassword))
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}

// redisSecrets returns the passwords of a Redis URL: before the host, and for
// Sentinel in the query. The URL is no secret beyond them.
func redisSecrets(raw string) []string {
	u, err := url.Parse(raw)
	if err != nil {
		return []string{raw}
	}
	var found []string
	if password, ok := u.User.Password(); ok {
		found = append(found, password)
	}
	return append(found, u.Query()["password"]...)
}
