package config

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"

	"github.com/kelseyhightower/envconfig"
)

// prefix starts the name of every variable of ours.
const prefix = "WXNOTIFY"

// spec is what envconfig reads. Every field is a string, because envconfig's own
// parse errors print the value, stop at the first one, and take an empty variable
// for a set one. No field has an envconfig tag: that would read the variable
// without its prefix as well.
type spec struct {
	RedisURL               string `split_words:"true"`
	RedisURLFile           string `split_words:"true"`
	Namespace              string
	Apps                   string
	WechatURL              string `split_words:"true" default:"https://api.weixin.qq.com"`
	GatewayAddr            string `split_words:"true" default:":8080"`
	CallbackAddr           string `split_words:"true"`
	GatewayKeys            string `split_words:"true"`
	GatewayKeysFile        string `split_words:"true"`
	GatewayKeyRate         string `split_words:"true" default:"0"`
	GatewayMaxConnections  string `split_words:"true" default:"1024"`
	GatewayTLSCertFile     string `split_words:"true"`
	GatewayTLSKeyFile      string `split_words:"true"`
	CallbackTLSCertFile    string `split_words:"true"`
	CallbackTLSKeyFile     string `split_words:"true"`
	AdminAddr              string `split_words:"true" default:":8081"`
	SandboxAddr            string `split_words:"true" default:"127.0.0.1:8082"`
	DashboardAddr          string `split_words:"true" default:":8083"`
	DashboardUser          string `split_words:"true"`
	DashboardPassword      string `split_words:"true"`
	DashboardPasswordFile  string `split_words:"true"`
	DashboardPrometheusURL string `split_words:"true"`
	DashboardTLSCertFile   string `split_words:"true"`
	DashboardTLSKeyFile    string `split_words:"true"`
	MaxQueued              string `split_words:"true" default:"0"`
	Concurrency            string `default:"64"`
	BulkShare              string `split_words:"true" default:"0.2"`
	HTTPTimeout            string `split_words:"true" default:"10s"`
	ShutdownTimeout        string `split_words:"true" default:"30s"`
	DedupeWindow           string `split_words:"true" default:"24h"`
	RetryHorizon           string `split_words:"true" default:"24h"`
	DeadRetention          string `split_words:"true" default:"30d"`
	TokenRefreshEvery      string `split_words:"true" default:"90m"`
	PurgeCron              string `split_words:"true" default:"0 0 * * *"`
	QuotaResetHour         string `split_words:"true" default:"0"`
	Timezone               string `default:"Asia/Shanghai"`
	LogLevel               string `split_words:"true" default:"info"`
	LogFormat              string `split_words:"true" default:"text"`
}

// appSpec is read once for each AppID, with the AppID in the prefix.
type appSpec struct {
	Secret             string
	SecretFile         string `split_words:"true"`
	TokenMode          string `split_words:"true" default:"stable"`
	CallbackToken      string `split_words:"true"`
	CallbackTokenFile  string `split_words:"true"`
	CallbackAESKey     string `split_words:"true"`
	CallbackAESKeyFile string `split_words:"true"`
	Credits            string `default:"observe"`
	ConsentSource      string `split_words:"true" default:"event"`
	WechatURL          string `split_words:"true"`
	Rate               string `default:"0"`
}

func appPrefix(app string) string { return prefix + "_APP_" + strings.ToUpper(app) }

// read fills target, a *spec or *appSpec, from the process environment.
func read(prefix string, target any) error {
	if err := envconfig.Process(prefix, target); err != nil {
		// Never wrapped: envconfig's errors may hold values.
		return fmt.Errorf("config: the environment cannot be read under %s", prefix)
	}
	fields := reflect.ValueOf(target).Elem()
	for i := range fields.NumField() {
		if f := fields.Field(i); f.String() == "" {
			f.SetString(fields.Type().Field(i).Tag.Get("default"))
		}
	}
	return nil
}

// variable is a name that envconfig reads, with its default.
type variable struct{ name, def string }

// variables lists what read(prefix, target) reads, in order.
func variables(prefix string, target any) []variable {
	var out bytes.Buffer
	format := "{{range .}}{{usage_key .}} {{usage_default .}}\n{{end}}"
	if err := envconfig.Usagef(prefix, target, &out, format); err != nil {
		panic("config: " + err.Error()) // the specification is no struct: a programming error
	}
	var list []variable
	for line := range strings.Lines(out.String()) {
		name, def, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		list = append(list, variable{name: name, def: def})
	}
	return list
}
