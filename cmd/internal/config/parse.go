package config

import (
	"fmt"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the image has no time zones
	"unicode"
	"unicode/utf8"

	"github.com/robfig/cron/v3"

	"github.com/wxnotify/wxnotify/tasks"
)

func (l *loader) count(name, value string, low, high int) int {
	n, err := strconv.Atoi(value)
	if err != nil || n < low || n > high {
		l.add(name, fmt.Sprintf("must be a whole number from %d to %d", low, high))
	}
	return n
}

// number reads a number from 0 to high.
func (l *loader) number(name, value string, high float64) float64 {
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n >= 0 && n <= high) { // so written, it refuses NaN too
		l.add(name, fmt.Sprintf("must be a number from 0 to %g", high))
	}
	return n
}

// maxDuration is far beyond every use and far from overflow.
const maxDuration = 10 * 365 * 24 * time.Hour

func (l *loader) duration(name, value string) time.Duration {
	d, ok := tasks.ParseDuration(value)
	switch {
	case !ok:
		l.add(name, "must be a duration with its unit, such as 10s, 90m, 24h or 30d")
	case d <= 0 || d > maxDuration:
		l.add(name, "must be a duration above zero and at most ten years")
	}
	return d
}

func (l *loader) timezone(name, value string) *time.Location {
	loc, err := time.LoadLocation(value)
	if err != nil {
		l.add(name, "is no time zone: use a name such as Asia/Shanghai or UTC")
	}
	return loc
}

// cronPattern keeps out what cron.ParseStandard takes besides five fields:
// descriptors, and a time zone of its own, which makes it panic if nothing follows.
var cronPattern = regexp.MustCompile(`^[0-9A-Za-z*/,?-]+( +[0-9A-Za-z*/,?-]+){4}$`)

func (l *loader) cron(name, value string) string {
	if !cronPattern.MatchString(value) {
		l.add(name, "must be five fields of cron: minute, hour, day of month, month, day of week, such as 0 0 * * *")
		return value
	}
	schedule, err := cron.ParseStandard(value)
	switch {
	case err != nil: // The cause would print the value.
		l.add(name, "has a field that cron does not know: use minute, hour, day of month, month, day of week, such as 0 0 * * *")
	case schedule.Next(time.Now()).IsZero():
		l.add(name, "names a day that never comes")
	}
	return value
}

func (l *loader) oneOf(name, value string, options ...string) string {
	if !slices.Contains(options, value) {
		l.add(name, "must be "+strings.Join(options[:len(options)-1], ", ")+" or "+options[len(options)-1])
	}
	return value
}

func (l *loader) addr(name, value string) string {
	host, port, err := net.SplitHostPort(value)
	_, perr := strconv.ParseUint(port, 10, 16)
	if err != nil || perr != nil || !hostPattern.MatchString(host) {
		l.add(name, "must be an address to listen on, host:port or :port, such as :8080 or 127.0.0.1:8080")
	}
	return value
}

// hostPattern holds for names, IPv4 and (without its brackets) IPv6 addresses.
var hostPattern = regexp.MustCompile(`^[A-Za-z0-9._:%-]*$`)

func (l *loader) url(name, value string) string {
	u, err := url.Parse(value)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "":
		l.add(name, "must be a URL such as https://api.weixin.qq.com")
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		l.add(name, "must be a URL without user, password, query or fragment, such as https://api.weixin.qq.com")
	}
	return strings.TrimRight(value, "/")
}

// minKey is the least a gateway key has: it is all that stands before the API.
const minKey = 16

var keyName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

func (l *loader) gatewayKeys(c *Config, s spec) {
	const name = "GATEWAY_KEYS"
	list := l.orFile(name, s.GatewayKeys, s.GatewayKeysFile)
	if list == "" {
		if l.needs(GatewayKeys) && l.sound(name, name+"_FILE") {
			l.add(name, fmt.Sprintf("required: who may use the API, as name:key,name:key with keys of at least %d characters", minKey))
		}
		return
	}
	names, keys := map[string]int{}, map[string]int{}
	for i, entry := range strings.Split(list, ",") {
		k, detail := parseKey(strings.TrimSpace(entry))
		first := max(names[k.Name], keys[string(k.Key)])
		if detail == "" && first > 0 {
			detail = fmt.Sprintf("has the name or the key of entry %d: each must be its own", first)
		}
		if detail != "" {
			l.add(name, fmt.Sprintf("entry %d %s", i+1, detail))
			continue
		}
		names[k.Name], keys[string(k.Key)] = i+1, i+1
		c.GatewayKeys = append(c.GatewayKeys, k)
	}
}

// maxConnectionsLimit is more than a process can hold.
const maxConnectionsLimit = 1_000_000

func (l *loader) gatewayLimits(c *Config, s spec) {
	const rate = "GATEWAY_KEY_RATE"
	c.GatewayMaxConnections = l.count("GATEWAY_MAX_CONNECTIONS", s.GatewayMaxConnections, 0, maxConnectionsLimit)
	c.GatewayKeyRate = l.number(rate, s.GatewayKeyRate, maxRate)
	if c.GatewayKeyRate > 0 && c.GatewayKeyRate < minKeyRate {
		l.add(rate, fmt.Sprintf("must be 0 or at least %g, which is a request in 100 seconds", minKeyRate))
	}
}

// minKeyRate keeps a caller's wait within what it will wait.
const minKeyRate = 0.01

func parseKey(entry string) (GatewayKey, string) {
	name, key, ok := strings.Cut(entry, ":")
	switch {
	case !ok || !keyName.MatchString(name):
		return GatewayKey{}, "must be name:key, with a name of letters, digits, '_' or '-'"
	case len(key) < minKey || !visible(key):
		return GatewayKey{}, fmt.Sprintf("has a key that is too short or holds blanks: use at least %d characters, such as from `openssl rand -hex 24`", minKey)
	}
	return GatewayKey{Name: name, Key: Secret(key)}, ""
}

// visible reports whether s is printable ASCII without blanks.
func visible(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// clean reports whether s is UTF-8 without control characters.
func clean(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}
