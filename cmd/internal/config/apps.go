package config

import (
	"fmt"
	"os"
	"strings"

	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
	"github.com/wxnotify/wxnotify/tasks"
)

func (l *loader) apps(c *Config, s spec) {
	ids := l.appIDs(s.Apps)
	if len(ids) == 0 && (l.needs(Apps) || l.needs(Secrets)) && l.sound("APPS") {
		l.add("APPS", "required: the AppIDs of the Mini Programs, separated by commas")
	}
	for _, id := range ids {
		c.Apps = append(c.Apps, l.app(id, c.WechatURL))
	}
}

// appIDs splits the list. Problems name an entry by its position, as the text
// may be a secret pasted into the wrong variable.
func (l *loader) appIDs(list string) []string {
	if list == "" {
		return nil
	}
	var ids []string
	seen := map[string]int{}
	for i, id := range strings.Split(list, ",") {
		id = strings.TrimSpace(id)
		upper := strings.ToUpper(id)
		switch {
		case !tasks.ValidApp(id):
			l.add("APPS", fmt.Sprintf("entry %d is no AppID: use letters, digits, '_' or '-', separated by commas", i+1))
			continue
		case seen[upper] > 0:
			l.add("APPS", fmt.Sprintf("entries %d and %d are the same or differ only in case, and would share their variables: keep one", seen[upper], i+1))
			continue
		}
		seen[upper] = i + 1
		ids = append(ids, id)
	}
	return ids
}

func (l *loader) app(id, wechatURL string) App {
	name := strings.TrimPrefix(appPrefix(id), prefix+"_") + "_"
	var s appSpec
	if err := read(appPrefix(id), &s); err != nil {
		l.add(name+"*", err.Error())
	}
	app := App{
		ID:        id,
		Secret:    Secret(l.orFile(name+"SECRET", s.Secret, s.SecretFile)),
		TokenMode: l.oneOf(name+"TOKEN_MODE", s.TokenMode, "stable", "classic"),
		WechatURL: wechatURL,
	}
	app.Rate = l.number(name+"RATE", s.Rate, maxRate)
	if app.Rate > 0 && app.Rate < minRate {
		l.add(name+"RATE", fmt.Sprintf("must be 0, for no limit, or a number from %g to %d", minRate, maxRate))
	}
	l.callback(&app, name, s)
	l.consent(&app, name, s)
	if s.WechatURL != "" {
		app.WechatURL = l.url(name+"WECHAT_URL", s.WechatURL)
	}
	l.appSecret(name+"SECRET", string(app.Secret))
	return app
}

// callback reads what WeChat's pushes are verified and opened with.
func (l *loader) callback(app *App, name string, s appSpec) {
	token, key := name+"CALLBACK_TOKEN", name+"CALLBACK_AES_KEY"
	app.CallbackToken = Secret(l.orFile(token, s.CallbackToken, s.CallbackTokenFile))
	app.CallbackAESKey = Secret(l.orFile(key, s.CallbackAESKey, s.CallbackAESKeyFile))
	switch n := len(app.CallbackToken); {
	case n > 0 && (n < minCallbackToken || n > maxCallbackToken || !visible(string(app.CallbackToken))):
		l.add(token, fmt.Sprintf("is no callback token: use the %d to %d characters entered in the WeChat console, without blanks", minCallbackToken, maxCallbackToken))
	case n == 0 && app.CallbackAESKey != "" && l.sound(token, token+"_FILE"):
		l.add(token, "missing: set it together with "+prefix+"_"+key)
	}
	// A secret that came out empty must not turn sealed pushes into plain ones.
	if value, set := os.LookupEnv(prefix + "_" + key); set && value == "" && app.CallbackAESKey == "" {
		l.add(key, "is set but empty: give the EncodingAESKey, or unset it if the app pushes plaintext")
	}
	// The cause counts characters; what helps is to copy the key again.
	if app.CallbackAESKey != "" && wxcrypt.CheckKey(string(app.CallbackAESKey)) != nil {
		l.add(key, "is no EncodingAESKey: copy the 43 letters, digits, '+' and '/' from the WeChat console")
	}
}

// minRate is one message in eleven days, and maxRate far beyond what WeChat takes from
// one app.
const (
	minRate = 1e-6
	maxRate = 100_000
)

// WeChat's console asks for a token of so many letters and digits.
const (
	minCallbackToken = 3
	maxCallbackToken = 32
)

func (l *loader) consent(app *App, name string, s appSpec) {
	app.Credits = l.oneOf(name+"CREDITS", s.Credits, "off", "observe", "enforce")
	app.ConsentSource = l.oneOf(name+"CONSENT_SOURCE", s.ConsentSource, "event", "report")
}

func (l *loader) appSecret(name, secret string) {
	switch {
	case secret != "" && (len(secret) < minPassword || !visible(secret)):
		l.add(name, "is no AppSecret: copy the 32 characters from the WeChat console, without blanks")
	case secret == "" && (l.needs(Secrets) || l.needs(Dev)) && l.sound(name, name+"_FILE"):
		l.add(name, "required: the app's AppSecret, from the WeChat console")
	}
}
