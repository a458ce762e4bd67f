package config

import (
	"fmt"
	"strings"

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
	if s.WechatURL != "" {
		app.WechatURL = l.url(name+"WECHAT_URL", s.WechatURL)
	}
	l.appSecret(name+"SECRET", string(app.Secret))
	return app
}

func (l *loader) appSecret(name, secret string) {
	switch {
	case secret != "" && (len(secret) < minPassword || !visible(secret)):
		l.add(name, "is no AppSecret: copy the 32 characters from the WeChat console, without blanks")
	case secret == "" && (l.needs(Secrets) || l.needs(Dev)) && l.sound(name, name+"_FILE"):
		l.add(name, "required: the app's AppSecret, from the WeChat console")
	}
}
