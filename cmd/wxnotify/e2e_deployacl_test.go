package main_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// roleURL begins the name under which an env holds the Redis URL of a role, where
// each logs in as a user of its own.
const roleURL = "redis user "

// roles are those that processes and commands log in as.
var roles = []string{"worker", "gateway", "dashboard", "ops"}

// as returns the environment that an operator gives a subcommand.
func (e env) as(subcommand string) env {
	role := "ops"
	switch subcommand {
	case "worker", "gateway", "dashboard":
		role = subcommand
	case "check", "token", "card": // they need the AppSecret or the access_token, as a worker does
		role = "worker"
	}
	if url, ok := e[roleURL+role]; ok {
		return e.with(env{"REDIS_URL": url})
	}
	return e
}

// redisOnly is what a machine has that sends nothing itself, or manages apps.
func (e env) redisOnly() env {
	only := env{"APPS": e["APPS"]}
	for name, value := range e {
		if name == "REDIS_URL" || name == "SSL_CERT_FILE" || strings.HasPrefix(name, roleURL) {
			only[name] = value
		}
	}
	return only
}

// passwords are those of the roles.
func (e env) passwords() []string {
	var all []string
	for name, url := range e {
		if strings.HasPrefix(name, roleURL) {
			_, password, _ := strings.Cut(login(url), ":")
			all = append(all, password)
		}
	}
	return all
}

// login is user:password of a Redis URL, in either place.
func login(url string) string {
	if _, query, found := strings.Cut(url, "&username="); found {
		return strings.Replace(query, "&password=", ":", 1)
	}
	_, rest, _ := strings.Cut(url, "://")
	userinfo, _, _ := strings.Cut(rest, "@")
	return userinfo
}

// logInAs lets all that is started from now on log in as one user.
func (w *world) logInAs(user, password string) {
	w.env = w.env.with(env{"REDIS_URL": loggedIn(w.env["REDIS_URL"], user, password)})
	for _, role := range roles {
		delete(w.env, roleURL+role)
	}
}

// loggedIn is a Redis URL with a user.
func loggedIn(url, user, password string) string {
	if strings.HasPrefix(url, "redis-sentinel") { // in front of the host it would be Sentinel's
		return url + "&username=" + user + "&password=" + password
	}
	return strings.Replace(url, "://", "://"+user+":"+password+"@", 1)
}

// madeSecrets runs deploy/make-secrets and returns its folder.
func madeSecrets(t testing.TB, redisAddr string) string {
	t.Helper()
	dir := t.TempDir()
	out, err := exec.Command("../../deploy/make-secrets", dir, testApp, redisAddr).CombinedOutput()
	if err != nil || !strings.Contains(string(out), testApp+"_secret") {
		t.Fatalf("make-secrets: %v: %s, want it to say where the AppSecret goes", err, out)
	}
	return dir
}

func secretFile(t testing.TB, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// newDeployedOn is another form of Redis with the users of deploy/redis/users.acl, without
// TLS. Its nodes and the test log in as nobody.
func newDeployedOn(t *testing.T, url string) *world {
	t.Helper()
	secrets := madeSecrets(t, "127.0.0.1:6379")
	w := newWorldOn(t, url)
	for _, rule := range strings.Split(secretFile(t, secrets, "redis/users.acl"), "\n") {
		if !strings.HasPrefix(rule, "user default ") {
			w.onMasters(setUser(rule)...)
		}
	}
	w.useRoles(secrets)
	return w
}

// onMasters sends a command to each server that holds data.
func (w *world) onMasters(args ...any) {
	w.t.Helper()
	err := taskstest.OnMasters(w.t.Context(), w.rdb, func(ctx context.Context, node redis.Cmdable) error {
		return node.(interface {
			Do(context.Context, ...any) *redis.Cmd
		}).Do(ctx, args...).Err()
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// setUser is a line of users.acl as a command; what is in parentheses is one argument.
func setUser(rule string) []any {
	args := []any{"acl", "setuser"}
	rule, selector, selects := strings.Cut(strings.TrimPrefix(rule, "user "), " (")
	for _, word := range strings.Fields(rule) {
		args = append(args, word)
	}
	if selects {
		args = append(args, "("+selector)
	}
	return args
}

// useRoles lets each process and command log in as its own user.
func (w *world) useRoles(secrets string) {
	w.t.Helper()
	for _, role := range roles {
		user, password, _ := strings.Cut(login(secretFile(w.t, secrets, role+"/redis_url")), ":")
		w.env[roleURL+role] = loggedIn(w.env["REDIS_URL"], user, password)
	}
}

// The users of deploy/redis/users.acl may do what their processes do, and Redis
// refuses nothing to any of them.
func TestDeployedUsersMayWork(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(*testing.T) *world{
		"tls":      func(t *testing.T) *world { return newWorld(t) },
		"sentinel": func(t *testing.T) *world { return newDeployedOn(t, taskstest.StartSentinel(t).URL) },
		"cluster":  func(t *testing.T) *world { return newDeployedOn(t, taskstest.StartCluster(t, 0).URL) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t).workAsRoles(t)
		})
	}
}

func (w *world) workAsRoles(t *testing.T) {
	g := w.askConsent(sandbox.FormatJSON, nil)
	a, b := w.worker("a", nil), w.worker("b", nil)

	t.Log("asked, sent, delivered")
	w.sandbox.answer(1, sandbox.Accept)
	g.awaitLeft(1, 1)
	g.mustSend(message("hello", 1))
	g.awaitStatus("hello", "delivered", 20*time.Second)
	g.mustSend(message("later", 1).with("send_at", time.Now().Add(time.Hour).Format(time.RFC3339)))
	if code, body := request(t, http.MethodDelete, g.url+"/v1/notifications/later?app="+testApp, gatewayKey, nil); code != http.StatusOK {
		t.Errorf("cancel: %d %s, want 200", code, body)
	}
	w.sandbox.control(http.MethodPut, "codes", map[string]any{"app": testApp, "openid": openID(1), "code": "acl-code"})
	w.sandbox.answer(1, sandbox.Accept)
	g.awaitLeft(1, 1)
	g.mustSend(message("by-code", 1).with("to", map[string]string{"code": "acl-code"}))
	g.awaitStatus("by-code", "delivered", 20*time.Second)
	w.ops("send", "--to="+openID(2), "--template="+oneTime, "--data="+idKey+"=x", "--data=thing2=y", "--id=by-command").want(t, 0, "queued")
	g.awaitStatus("by-command", "rejected", 20*time.Second)
	w.ops("status", "by-command").want(t, 0, "43101")

	t.Log("dead, listed, replayed by the gateway and by a command, dropped")
	w.sandbox.refuseAll(47003)
	for i := range 3 {
		g.mustSend(message(fmt.Sprintf("dead-%d", i), 10+i))
	}
	g.awaitDead(3, 30*time.Second)
	w.sandbox.faults(sandbox.Faults{})
	for i := range 3 {
		w.sandbox.answer(10+i, sandbox.Accept)
		g.awaitLeft(10+i, 1)
	}
	w.ops("dead", "list").want(t, 0, "47003")
	w.ops("dead", "replay", "dead-0").want(t, 0, "1 replayed")
	code, body := request(t, http.MethodPost, g.url+"/v1/dead:replay", gatewayKey, map[string]any{"app": testApp, "limit": 1, "all": true})
	if code != http.StatusOK || !strings.Contains(body, `"replayed":1`) {
		t.Errorf("replay over HTTP: %d %s", code, body)
	}
	w.ops("dead", "drop", "--all").want(t, 0, "dropped")
	g.awaitDead(0, 30*time.Second)

	t.Log("paused, resumed, granted, purged, erased; what an operator sees")
	w.ops("app", "pause", testApp).want(t, 0, "paused until")
	w.ops("app", "status").want(t, 0, "PAUSED since")
	w.ops("app", "resume", testApp).want(t, 0, testApp)
	w.ops("credits", "grant", openID(1), "--template="+oneTime).want(t, 0)
	w.ops("credits", "show", openID(1)).want(t, 0, oneTime)
	w.ops("credits", "purge").want(t, 0, "deleted")
	w.ops("user", "forget", testApp, openID(1)).want(t, 0, "erased")
	w.erase(g, 10)
	w.wantOperable()
	taskstest.Eventually(t, 30*time.Second, func() string {
		if max(series(t, a.admin, "wxnotify_job_last_success_timestamp_seconds", map[string]string{"job": "purge"}),
			series(t, b.admin, "wxnotify_job_last_success_timestamp_seconds", map[string]string{"job": "purge"})) == 0 {
			return "no worker has purged"
		}
		return ""
	})
	wantCleanExit(t, a.process, b.process, g.process)
	w.wantNothingRefused()
	for _, p := range []*process{a.process, b.process, g.process} {
		if text := p.out.String(); strings.Contains(text, "NOPERM") || strings.Contains(text, "lacks a right") {
			t.Errorf("the log of %s tells of a missing right:\n%s", p.name, p.out.tail())
		}
	}
}

// ops runs a command of an operator, who has no AppSecret.
func (w *world) ops(args ...string) result {
	w.t.Helper()
	return command(w.t, w.env.redisOnly(), args...)
}

// What a stolen password of one role must not open.
func TestDeployedUsersMayNoMore(t *testing.T) {
	t.Parallel()
	secrets := madeSecrets(t, "127.0.0.1:6379")
	server := taskstest.StartRedis(t, "--aclfile", filepath.Join(secrets, "redis/users.acl"))
	login := func(user, password string) *redis.Client {
		rdb := redis.NewClient(&redis.Options{Addr: server.Addr, Username: user, Password: password, MaxRetries: -1, Protocol: 2})
		t.Cleanup(func() { _ = rdb.Close() })
		return rdb
	}
	token, record := "wxn:token:{"+testApp+"}", "wxn:r:{x}:y"
	everybody := [][]any{
		{"flushall"}, {"flushdb"}, {"config", "get", "requirepass"}, {"config", "set", "maxmemory", "1"}, {"keys", "*"}, {"acl", "list"},
		{"shutdown"}, {"replicaof", "no", "one"}, {"client", "kill", "type", "normal"}, {"monitor"}, {"save"},
		{"get", "other:program"}, {"set", "other:program", "x"}, {"eval", "return redis.call('get', 'other:program')", "0"},
		{"randomkey"}, {"function", "list"},
	}
	refused := map[string][][]any{
		"worker":    {},
		"gateway":   {{"hgetall", token}, {"del", token}, {"eval", "return redis.call('hgetall', '" + token + "')", "0"}, {"set", "wxn:rate:" + testApp, "1"}, {"scan", "0"}, {"publish", "asynq:cancel", "x"}},
		"dashboard": {{"hgetall", token}, {"get", record}, {"lpush", "asynq:{q}:pending", "x"}, {"del", "asynq:{q}:pending"}, {"zremrangebyscore", "asynq:{q}:scheduled", "0", "1"}, {"eval", "return redis.call('del', 'asynq:{q}:pending')", "1", "asynq:{q}:pending"}, {"scan", "0"}},
		"ops":       {{"hgetall", token}, {"del", token}, {"set", "wxn:rate:" + testApp, "1"}},
		"exporter":  {{"hgetall", token}, {"get", record}, {"lrange", "asynq:{q}:pending", "0", "1"}, {"eval", "return 1", "0"}, {"scan", "0"}},
	}
	for role, more := range refused {
		t.Run(role, func(t *testing.T) {
			password := ""
			if role == "exporter" {
				password = secretFile(t, secrets, "exporter/password")
			} else {
				opt, err := redis.ParseURL(secretFile(t, secrets, role+"/redis_url"))
				if err != nil {
					t.Fatal("make-secrets wrote no Redis URL")
				}
				password = opt.Password
			}
			rdb := login(role, password)
			if err := rdb.Info(t.Context(), "memory").Err(); err != nil {
				t.Fatalf("INFO: %v, want it answered", err)
			}
			for _, args := range append(more, everybody...) {
				if err := rdb.Do(t.Context(), args...).Err(); !noPermission(err) {
					t.Errorf("%v: %v, want NOPERM", args, err)
				}
			}
		})
	}
	if err := login("default", "").Ping(context.Background()).Err(); err == nil {
		t.Error("the default user is let in without a password")
	}
}

// What scripts wrote, as almost everything is, is there after a restart. Redis loads its
// append-only file with the rights of the user default, https://github.com/redis/redis/issues/14541.
func TestDeployedRedisKeepsWhatScriptsWrote(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "--appendonly", "yes")
	const script = "redis.call('set', KEYS[1], ARGV[1]) return redis.call('sadd', KEYS[2], ARGV[1])"
	worker, err := tasks.ConnectRedis(strings.Replace(w.url, login(w.url), login(w.env[roleURL+"worker"]), 1), tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = worker.Close() }()
	if err := worker.Eval(t.Context(), script, []string{"wxn:{x}:a", "wxn:{x}:b"}, "kept").Err(); err != nil {
		t.Fatal(err)
	}
	w.redis.Stop(t)
	w.redis.Start(t)
	if got, err := w.rdb.Get(t.Context(), "wxn:{x}:a").Result(); got != "kept" {
		t.Errorf("after a restart: %q %v, want what the script wrote", got, err)
	}
}

// noPermission reports whether Redis refused for want of rights; of a script's
// commands it says so in other words.
func noPermission(err error) bool {
	return err != nil && (strings.Contains(err.Error(), "NOPERM") || strings.Contains(err.Error(), "user executing the script can't"))
}
