package config

import (
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// loader gathers problems while it builds a Config.
type loader struct {
	need     []Need
	problems []Problem
}

func newLoader(need []Need) *loader { return &loader{need: need} }

func (l *loader) needs(n Need) bool { return slices.Contains(l.need, n) }

// add records a problem. name is without the prefix.
func (l *loader) add(name, detail string) {
	l.problems = append(l.problems, Problem{Variable: prefix + "_" + name, Detail: detail})
}

// sound reports whether nothing was said against a variable yet, so that its
// absence or its relation to another is worth a word.
func (l *loader) sound(names ...string) bool {
	return !slices.ContainsFunc(l.problems, func(p Problem) bool {
		return slices.Contains(names, strings.TrimPrefix(p.Variable, prefix+"_"))
	})
}

func (l *loader) load() *Config {
	var s spec
	if err := read(prefix, &s); err != nil {
		l.problems = append(l.problems, Problem{Variable: prefix + "_*", Detail: err.Error()})
		return nil
	}
	l.stayLocal(&s)
	c := &Config{
		DashboardUser: s.DashboardUser,
		WechatURL:     l.url("WECHAT_URL", s.WechatURL),
		MaxQueued:     l.count("MAX_QUEUED", s.MaxQueued, 0, maxQueuedLimit),
		Concurrency:   l.count("CONCURRENCY", s.Concurrency, 1, 1024),
		BulkShare:     l.number("BULK_SHARE", s.BulkShare, 1),
		PurgeCron:     l.cron("PURGE_CRON", s.PurgeCron),
		Timezone:      l.timezone("TIMEZONE", s.Timezone),
		LogLevel:      l.oneOf("LOG_LEVEL", s.LogLevel, "debug", "info", "warn", "error"),
		LogFormat:     l.oneOf("LOG_FORMAT", s.LogFormat, "text", "json"),
	}
	c.QuotaResetHour = l.count("QUOTA_RESET_HOUR", s.QuotaResetHour, 0, 23)
	l.redis(c, s)
	l.namespace(c, s)
	l.apps(c, s)
	l.addresses(c, s)
	l.gatewayKeys(c, s)
	l.gatewayLimits(c, s)
	l.tls(c, s)
	l.dashboard(c, s)
	l.durations(c, s)
	l.timeoutChain(c)
	l.unknown(c)
	return c
}

// maxQueuedLimit is more than any Redis holds.
const maxQueuedLimit = 1_000_000_000

// stayLocal keeps addresses that nobody chose on this machine.
func (l *loader) stayLocal(s *spec) {
	if !l.needs(Dev) {
		return
	}
	for name, addr := range map[string]*string{"GATEWAY_ADDR": &s.GatewayAddr, "ADMIN_ADDR": &s.AdminAddr, "DASHBOARD_ADDR": &s.DashboardAddr} {
		if os.Getenv(prefix+"_"+name) == "" {
			*addr = "127.0.0.1" + *addr // the defaults name no host
		}
	}
}

const embedded = "embedded"

func (l *loader) redis(c *Config, s spec) {
	const name = "REDIS_URL"
	value := l.orFile(name, s.RedisURL, s.RedisURLFile)
	switch {
	case value == embedded:
		c.Embedded = true
		if l.needs(Redis) {
			l.add(name, "embedded works in `wxnotify dev` only: give the address of a Redis, such as redis://127.0.0.1:6379/0")
		}
	case value != "":
		c.RedisURL = Secret(value)
		if err := tasks.CheckRedisURL(value); err != nil {
			l.add(name, err.Error())
		}
	case l.needs(Redis) && l.sound(name, name+"_FILE"):
		l.add(name, "required: the address of Redis, such as redis://127.0.0.1:6379/0")
	}
}

func (l *loader) namespace(c *Config, s spec) {
	c.Namespace = tasks.Namespace(s.Namespace)
	if err := c.Namespace.Check(); err != nil {
		l.add("NAMESPACE", err.Error())
	}
}

func (l *loader) addresses(c *Config, s spec) {
	c.GatewayAddr = l.addr("GATEWAY_ADDR", s.GatewayAddr)
	if s.CallbackAddr != "" {
		c.CallbackAddr = l.addr("CALLBACK_ADDR", s.CallbackAddr)
		if c.CallbackAddr == c.GatewayAddr && !strings.HasSuffix(c.CallbackAddr, ":0") {
			l.add("CALLBACK_ADDR", "is the address of "+prefix+"_GATEWAY_ADDR: leave it out to share that port, or choose another one")
		}
	}
	c.AdminAddr = l.addr("ADMIN_ADDR", s.AdminAddr)
	c.SandboxAddr = l.addr("SANDBOX_ADDR", s.SandboxAddr)
	c.DashboardAddr = l.addr("DASHBOARD_ADDR", s.DashboardAddr)
}

func (l *loader) durations(c *Config, s spec) {
	c.HTTPTimeout = l.duration("HTTP_TIMEOUT", s.HTTPTimeout)
	c.ShutdownTimeout = l.duration("SHUTDOWN_TIMEOUT", s.ShutdownTimeout)
	c.DedupeWindow = l.duration("DEDUPE_WINDOW", s.DedupeWindow)
	c.RetryHorizon = l.duration("RETRY_HORIZON", s.RetryHorizon)
	c.DeadRetention = l.duration("DEAD_RETENTION", s.DeadRetention)
	c.TokenRefreshEvery = l.duration("TOKEN_REFRESH_EVERY", s.TokenRefreshEvery)
}

// timeoutChain holds that a call to WeChat ends before its task, with room for
// the settlement, and a task before the process: a handler that outlives its task
// runs again beside itself.
func (l *loader) timeoutChain(c *Config) {
	if l.sound("HTTP_TIMEOUT") && c.HTTPTimeout+tasks.LeaseMargin >= tasks.TaskTimeout {
		l.add("HTTP_TIMEOUT", fmt.Sprintf("must be below %v, so that a call ends before its task does", tasks.TaskTimeout-tasks.LeaseMargin))
	}
	if l.sound("SHUTDOWN_TIMEOUT") && c.ShutdownTimeout <= tasks.TaskTimeout {
		l.add("SHUTDOWN_TIMEOUT", fmt.Sprintf("must be above %v, the longest a task may run", tasks.TaskTimeout))
	}
	// asynq brings a dead worker's task back after up to two minutes: the outcome must still be known.
	if l.sound("DEDUPE_WINDOW") && c.DedupeWindow < minDedupeWindow {
		l.add("DEDUPE_WINDOW", fmt.Sprintf("must be at least %v: a shorter memory lets a task that comes back be sent twice", minDedupeWindow))
	}
	// A token lives 7200 s and is replaced in its last five minutes.
	if l.sound("TOKEN_REFRESH_EVERY") && (c.TokenRefreshEvery < time.Minute || c.TokenRefreshEvery > 115*time.Minute) {
		l.add("TOKEN_REFRESH_EVERY", "must be between 1m and 115m: a token lives two hours")
	}
}

const minDedupeWindow = 10 * time.Minute

// minPassword keeps a password worth its name, and long enough that blanking it
// in logs does not blank everything else.
const minPassword = 8

func (l *loader) dashboard(c *Config, s spec) {
	const user, password = "DASHBOARD_USER", "DASHBOARD_PASSWORD"
	c.DashboardPassword = Secret(l.orFile(password, s.DashboardPassword, s.DashboardPasswordFile))
	if s.DashboardPrometheusURL != "" {
		c.DashboardPrometheusURL = l.url("DASHBOARD_PROMETHEUS_URL", s.DashboardPrometheusURL)
	}
	if strings.Contains(c.DashboardUser, ":") || !clean(c.DashboardUser) {
		l.add(user, "must not hold a colon or control characters: HTTP Basic cannot carry them")
	}
	switch {
	case c.DashboardPassword != "" && (len(c.DashboardPassword) < minPassword || !clean(string(c.DashboardPassword))):
		l.add(password, fmt.Sprintf("must have at least %d characters and no control characters", minPassword))
	case c.DashboardUser == "" && c.DashboardPassword != "":
		l.add(user, "missing: set it together with "+prefix+"_"+password)
	case c.DashboardUser != "" && c.DashboardPassword == "" && l.sound(password, password+"_FILE"):
		l.add(password, "missing: set it together with "+prefix+"_"+user)
	}
	l.dashboardLogin(c)
}

func (l *loader) dashboardLogin(c *Config) {
	if !l.needs(Dashboard) && !l.needs(Dev) {
		return
	}
	if c.DashboardUser != "" || c.DashboardPassword != "" || !l.sound("DASHBOARD_ADDR", "DASHBOARD_PASSWORD", "DASHBOARD_PASSWORD_FILE") || loopback(c.DashboardAddr) {
		return
	}
	l.add("DASHBOARD_USER", "missing: other machines can reach the dashboard. Either set "+prefix+"_DASHBOARD_USER and "+
		prefix+"_DASHBOARD_PASSWORD, or keep it on this machine with "+prefix+"_DASHBOARD_ADDR=127.0.0.1:8083")
}

// loopback reports whether only this machine can reach addr.
func loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
