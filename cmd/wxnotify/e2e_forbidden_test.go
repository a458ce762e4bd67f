package main_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// narrowUser is the Redis user that a test takes rights from.
const narrowUser = "narrow"

// narrow sets the rights of narrowUser.
func (w *world) narrow(rights ...any) {
	w.t.Helper()
	w.onMasters(append([]any{"acl", "setuser", narrowUser, "reset", "on", ">" + redisPassword, "~*", "&*", "+@all"}, rights...)...)
}

// Whoever's Redis user lacks a right is told so, with the command and the remedy, and
// not that Redis were away. Nothing is lost: with the right all goes on by itself.
func TestMissingRightsAreTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	g := w.gateway()
	w.narrow("-zadd")
	w.logInAs(narrowUser, redisPassword)
	limited := w.gateway()
	plain := []string{"the redis user lacks a right", "deploy/redis/users.acl", "ACL LOG"}

	w.narrow("-evalsha", "-ping", "-hgetall")
	worker := start(t, "worker", w.env, "worker")
	worker.line(`level=ERROR msg="redis (refuses) this worker's user.*the command evalsha is forbidden`)
	admin := "http://" + worker.line(`msg="admin port listens" addr=(\S+)`)
	for process, address := range map[string]string{"worker": admin, "gateway": limited.admin} {
		if code, body := get(t, address+"/readyz", ""); code != http.StatusServiceUnavailable || !strings.Contains(body, "redis refuses this "+process+"'s user") {
			t.Errorf("/readyz of the %s: %d %s", process, code, body)
		}
	}
	code, body := request(t, http.MethodPost, limited.url+"/v1/notifications", gatewayKey, message("refused", 1))
	if code != http.StatusServiceUnavailable || !strings.Contains(body, `"urn:wxnotify:problem:redis-refuses"`) || !strings.Contains(body, "ACL LOG") {
		t.Errorf("send over HTTP: %d %s", code, body)
	}
	for _, args := range [][]string{
		{"send", "--to=" + openID(1), "--template=" + oneTime, "--data=" + idKey + "=x", "--id=by-command"},
		{"app", "status"}, {"check"}, {"token", "refresh"}, {"credits", "purge"}, {"stats"},
	} {
		r := command(t, w.env, args...)
		r.want(t, 1, plain...)
		if text := r.stdout + r.stderr; strings.Contains(text, "does not answer") || strings.Contains(text, "not available") {
			t.Errorf("wxnotify %s: %s", strings.Join(args, " "), text)
		}
	}

	g.mustSend(message("meanwhile", 1))
	w.narrow()
	limited.mustSend(message("refused", 1))
	for _, id := range []string{"meanwhile", "refused"} {
		g.awaitStatus(id, "accepted", 30*time.Second)
	}
	wantCleanExit(t, worker, limited.process, g.process)
}
