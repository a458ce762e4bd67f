package main_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// These tests drive the built program from outside: real processes, a real
// redis-server, signals, HTTP.

// binary is the program under test, built once with the race detector.
var binary string

func TestMain(m *testing.M) { os.Exit(buildAndRun(m)) }

func buildAndRun(m *testing.M) int {
	flag.Parse()
	// The tests mostly wait for processes, so more of them than there are CPUs
	// may run at once.
	if err := flag.Set("test.parallel", "8"); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: set parallel:", err)
		return 1
	}
	dir, err := os.MkdirTemp("", "wxnotify-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e: temporary directory:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary = filepath.Join(dir, "wxnotify")
	build := exec.Command("go", "build", "-race", "-buildvcs=false", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// What must never be seen in a log, an error, a metric or on the dashboard.
const (
	appSecret     = "canary-app-secret-d41d8cd98f00b204"
	gatewayKey    = "canary-gateway-key-e9800998ecf8"
	openIDPrefix  = "oCanaryOpenid"
	contentCanary = "canary-message-text"
)

const (
	testApp = "wx0e2e0e2e0e2e0e2e"
	idKey   = "character_string1"
)

// env is the WXNOTIFY_ part of a process's environment, without the prefix.
type env map[string]string

// with returns a copy with more or other variables.
func (e env) with(more env) env {
	all := maps.Clone(e)
	maps.Copy(all, more)
	return all
}

// environ is the whole environment: nothing of ours leaks in from outside.
func (e env) environ() []string {
	out := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "TMPDIR=" + os.TempDir(),
		"GORACE=atexit_sleep_ms=0", // else every command that ends well takes a second longer
	}
	for _, name := range slices.Sorted(maps.Keys(e)) {
		if strings.HasPrefix(name, roleURL) {
			continue
		}
		if name == "SSL_CERT_FILE" { // Go's own; without the system's hundreds of certificates, which take the race detector long
			out = append(out, name+"="+e[name], "SSL_CERT_DIR="+filepath.Dir(e[name]))
			continue
		}
		out = append(out, "WXNOTIFY_"+name+"="+e[name])
	}
	return out
}

// output collects what a process writes.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// tail is the end of what was written, for failure messages.
func (o *output) tail() string {
	text := o.String()
	return text[max(0, len(text)-3000):]
}

// process is a running wxnotify.
type process struct {
	t    testing.TB
	name string
	env  env
	cmd  *exec.Cmd
	out  *output
	done chan struct{}
}

// start runs wxnotify with args until the test ends.
func start(t testing.TB, name string, e env, args ...string) *process {
	t.Helper()
	p := &process{t: t, name: name, env: e, out: &output{}, done: make(chan struct{})}
	p.cmd = exec.Command(binary, args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = e.as(args[0]).environ(), p.out, p.out
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait() // exitCode reads how it ended
	}()
	t.Cleanup(p.finish)
	return p
}

// finish ends the process and looks for what no process may ever print.
func (p *process) finish() {
	p.kill()
	text := p.out.String()
	if i := strings.Index(text, "WARNING: DATA RACE"); i >= 0 {
		p.t.Errorf("%s reports a data race:\n%s", p.name, text[i:min(len(text), i+4000)])
	}
	if i := strings.Index(text, "panic:"); i >= 0 {
		p.t.Errorf("%s panicked:\n%s", p.name, text[i:min(len(text), i+4000)])
	}
	noLeak(p.t, "the log of "+p.name, text, p.env.passwords()...)
	if p.t.Failed() {
		p.t.Logf("---- end of the log of %s:\n%s", p.name, p.out.tail())
	}
}

// noLeak fails if text holds anything that must not be seen.
func noLeak(t testing.TB, where, text string, more ...string) {
	t.Helper()
	for _, canary := range append([]string{appSecret, gatewayKey, callbackToken, callbackKey, openIDPrefix, contentCanary, redisPassword}, more...) {
		if i := strings.Index(text, canary); i >= 0 {
			t.Errorf("%s holds %q, want none: …%s…", where, canary, text[max(0, i-200):min(len(text), i+200)])
		}
	}
}

// kill ends the process with SIGKILL, if it still runs.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // it may have ended
	<-p.done
}

// stop sends a signal and returns the exit code.
func (p *process) stop(sig syscall.Signal, within time.Duration) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(sig); err != nil {
		p.t.Fatalf("signal %s: %v", p.name, err)
	}
	return p.exitCode(within)
}

func (p *process) exitCode(within time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(within):
		p.t.Fatalf("%s still runs after %v, want it ended", p.name, within)
		return -1
	}
}

// line waits for a match of pattern in the output and returns its first group.
func (p *process) line(pattern string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	var found string
	taskstest.Eventually(p.t, 30*time.Second, func() string {
		select {
		case <-p.done:
			p.t.Fatalf("%s ended (%v) before it wrote %s:\n%s", p.name, p.cmd.ProcessState, pattern, p.out.tail())
		default:
		}
		if m := re.FindStringSubmatch(p.out.String()); m != nil {
			found = m[len(m)-1]
			return ""
		}
		return fmt.Sprintf("%s has not written %s:\n%s", p.name, pattern, p.out.tail())
	})
	return found
}

// adminURL waits until the process is ready and returns its admin port.
func (p *process) adminURL() string {
	p.t.Helper()
	url := "http://" + p.line(`msg="admin port listens" addr=(\S+)`)
	taskstest.Eventually(p.t, 30*time.Second, func() string {
		if code, body := get(p.t, url+"/readyz", ""); code != 200 {
			return fmt.Sprintf("%s: /readyz answers %d %s, want 200", p.name, code, body)
		}
		return ""
	})
	return url
}

// result is how a finished command ended.
type result struct {
	code           int
	stdout, stderr string
}

// command runs wxnotify to its end. Commands give Redis two seconds, which on a busy
// machine a first handshake over TLS may take; then it is run again, as its error says.
func command(t testing.TB, e env, args ...string) result {
	t.Helper()
	if len(args) > 0 {
		e = e.as(args[0])
	}
	for range 3 {
		if r := commandOnce(t, e, args...); e["SSL_CERT_FILE"] == "" || r.code != 1 || !strings.Contains(r.stderr, context.DeadlineExceeded.Error()) {
			return r
		}
	}
	return commandOnce(t, e, args...)
}

func commandOnce(t testing.TB, e env, args ...string) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(binary, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = e.environ(), &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatalf("run wxnotify %s: %v", strings.Join(args, " "), err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
	noLeak(t, "the output of wxnotify "+strings.Join(args, " "), r.stdout+r.stderr, e.passwords()...)
	return r
}

// want fails unless the command ended with code and printed all the texts.
func (r result) want(t testing.TB, code int, texts ...string) {
	t.Helper()
	all := r.stdout + r.stderr
	if r.code != code {
		t.Errorf("exit code %d, want %d; it printed:\n%s", r.code, code, all)
	}
	for _, text := range texts {
		if !strings.Contains(all, text) {
			t.Errorf("want %q in the output, got:\n%s", text, all)
		}
	}
}

// world is an installation: a Redis, a sandbox WeChat and whatever is started.
type world struct {
	t       testing.TB
	redis   *taskstest.Server // nil on other forms of Redis
	rdb     redis.UniversalClient
	url     string // of Redis, for the test itself
	env     env
	sandbox *sandboxProcess
}

// newWorld starts what deploy/ sets up: a Redis, with more arguments if given, where
// every process and command logs in over TLS, as a user of its own with the rights of
// deploy/redis/users.acl, and is refused nothing; and the sandbox. The test itself is the
// admin, without TLS.
func newWorld(t testing.TB, redisArgs ...string) *world {
	t.Helper()
	secrets := madeSecrets(t, "127.0.0.1:6379")
	server, tlsURL, ca := taskstest.StartTLSRedis(t, append([]string{"--aclfile", filepath.Join(secrets, "redis/users.acl")}, redisArgs...)...)
	w := newWorldOn(t, strings.Replace(server.URL, "://", "://admin:"+secretFile(t, secrets, "redis/admin_password")+"@", 1))
	w.redis = server
	w.env = w.env.with(env{"SSL_CERT_FILE": ca, "REDIS_URL": tlsURL})
	w.useRoles(secrets)
	t.Cleanup(w.wantNothingRefused)
	return w
}

// newWorldOn starts the sandbox, beside a Redis that runs.
func newWorldOn(t testing.TB, redisURL string) *world {
	t.Helper()
	rdb, err := tasks.ConnectRedis(redisURL, tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = rdb.Close() })
	w := &world{t: t, rdb: rdb, url: redisURL, env: env{
		"REDIS_URL":                    redisURL,
		"APPS":                         testApp,
		appVariable(testApp, "SECRET"): appSecret,
		"ADMIN_ADDR":                   "127.0.0.1:0",
		"GATEWAY_ADDR":                 "127.0.0.1:0",
		"DASHBOARD_ADDR":               "127.0.0.1:0",
		"SANDBOX_ADDR":                 taskstest.FreeAddr(t), // some start it anew
		"GATEWAY_KEYS":                 "e2e:" + gatewayKey,
		"LOG_LEVEL":                    "debug",
	}}
	w.sandbox = startSandbox(t, w.env)
	w.env["WECHAT_URL"] = w.sandbox.url
	return w
}

func appVariable(app, name string) string { return "APP_" + strings.ToUpper(app) + "_" + name }

// workerProcess is a running worker.
type workerProcess struct {
	*process
	admin string
}

// worker starts a worker and waits until it is ready.
func (w *world) worker(name string, more env) *workerProcess {
	w.t.Helper()
	p := start(w.t, "worker "+name, w.env.with(more), "worker")
	return &workerProcess{p, p.adminURL()}
}

// ledger reads the records directly: they tell the unknown attempts, which the
// API does not.
func (w *world) record(id string) ledger.Record {
	w.t.Helper()
	known, err := ledger.New(w.rdb, "", ledger.Options{}).Lookup(w.t.Context(), testApp, id)
	if err != nil || known.Record == nil {
		w.t.Fatalf("record of %s: %v, want one", id, err)
	}
	return *known.Record
}

// token is the access_token that is stored.
func (w *world) token(app string) string {
	w.t.Helper()
	value, err := w.rdb.HGet(w.t.Context(), "wxn:token:{"+app+"}", "value").Result()
	if err != nil || value == "" {
		w.t.Fatalf("stored token of %s: %v, want one", app, err)
	}
	return value
}
