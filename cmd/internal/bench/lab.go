package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// The app the sandbox plays. The secret opens nothing.
const (
	benchApp    = "wxbe9c4be9c4be9c40"
	benchSecret = "bench-secret-of-no-real-app"
)

// idKey is the data key whose value names a message in the sandbox's report.
const idKey = "character_string1"

// concurrency is the number of handlers of either side.
const concurrency = 64

// lab is a folder of its own, a redis-server, a sandbox, and the two binaries.
type lab struct {
	dir      string
	self     string // this binary, for the bare handlers
	wxnotify string
	redis    *redisServer
	sandbox  *sandboxServer
	failed   context.CancelCauseFunc
	closers  []func()
}

// openLab builds the binary and starts what both sides need. The context it
// returns ends when a process ends before its time.
func openLab(ctx context.Context) (*lab, context.Context, error) {
	ctx, failed := context.WithCancelCause(ctx)
	l := &lab{failed: failed, closers: []func(){func() { failed(nil) }}}
	for _, step := range []func(context.Context) error{l.makeDir, l.build, l.startRedis, l.startSandbox} {
		if err := step(ctx); err != nil {
			if cause := context.Cause(ctx); cause != nil {
				err = cause
			}
			l.close()
			return nil, nil, fmt.Errorf("bench: %w", err)
		}
	}
	return l, ctx, nil
}

// close ends what is left of the lab, the last first.
func (l *lab) close() {
	for len(l.closers) > 0 {
		last := len(l.closers) - 1
		l.closers[last]()
		l.closers = l.closers[:last]
	}
}

func (l *lab) makeDir(context.Context) error {
	dir, err := os.MkdirTemp("", "wxnotify-bench-")
	if err != nil {
		return err
	}
	l.dir = dir
	l.closers = append(l.closers, func() { _ = os.RemoveAll(dir) }) // a temporary folder: the system cleans up after us
	l.self, err = os.Executable()
	return err
}

// build makes the binary as a release is built.
func (l *lab) build(ctx context.Context) error {
	l.wxnotify = filepath.Join(l.dir, "wxnotify")
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", l.wxnotify, "github.com/wxnotify/wxnotify/cmd/wxnotify")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build wxnotify: %w\n%s", err, out)
	}
	return nil
}

// start starts a process that ends with the lab at the latest.
func (l *lab) start(ctx context.Context, name string, env []string, path string, args ...string) (*process, error) {
	p, err := startProcess(ctx, l.dir, name, append(cleanEnv(), env...), l.failed, path, args...)
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, p.stop)
	return p, nil
}

// cleanEnv is the environment without the settings of an installation.
func cleanEnv() []string {
	var env []string
	for _, entry := range os.Environ() {
		if !strings.HasPrefix(entry, "WXNOTIFY_") {
			env = append(env, entry)
		}
	}
	return env
}

// appVariable begins the names of the app's variables.
var appVariable = "WXNOTIFY_APP_" + strings.ToUpper(benchApp) + "_"

var appEnv = []string{"WXNOTIFY_APPS=" + benchApp, appVariable + "SECRET=" + benchSecret}

func redisURL(addr string) string { return "WXNOTIFY_REDIS_URL=redis://" + addr + "/0" }

func (l *lab) startRedis(ctx context.Context) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is needed: apt-get install redis-server, brew install redis, or run make bench")
	}
	addr, port, err := freeAddr()
	if err != nil {
		return err
	}
	_, err = l.start(ctx, "redis-server", nil, path, "--port", port, "--bind", "127.0.0.1", "--dir", l.dir,
		"--save", "", "--appendonly", "no", "--daemonize", "no")
	if err != nil {
		return err
	}
	if l.redis, err = connectRedis(addr); err != nil {
		return err
	}
	l.closers = append(l.closers, l.redis.close)
	return await(ctx, "redis-server", startWithin, func() (bool, error) { return l.redis.answers(ctx), nil })
}

func (l *lab) startSandbox(ctx context.Context) error {
	addr, _, err := freeAddr()
	if err != nil {
		return err
	}
	env := append([]string{"WXNOTIFY_SANDBOX_ADDR=" + addr}, appEnv...)
	if _, err := l.start(ctx, "sandbox", env, l.wxnotify, "sandbox", "--id-key", idKey); err != nil {
		return err
	}
	l.sandbox = &sandboxServer{url: "http://" + addr}
	return await(ctx, "the sandbox", startWithin, func() (bool, error) { return l.sandbox.reset(ctx) == nil, nil })
}

// startWorker starts a worker on a Redis address, with the defaults.
func (l *lab) startWorker(ctx context.Context, redisAddr string) (*process, error) {
	return l.startWorkerWith(ctx, redisAddr, tasks.CreditsObserve)
}

// startWorkerWith starts a worker that deals with consents as mode says.
func (l *lab) startWorkerWith(ctx context.Context, redisAddr string, mode tasks.CreditMode) (*process, error) {
	env := append([]string{
		redisURL(redisAddr),
		"WXNOTIFY_WECHAT_URL=" + l.sandbox.url,
		"WXNOTIFY_ADMIN_ADDR=127.0.0.1:0",
		"WXNOTIFY_CONCURRENCY=" + strconv.Itoa(concurrency),
		appVariable + "CREDITS=" + string(mode),
	}, appEnv...)
	return l.start(ctx, "worker", env, l.wxnotify, "worker")
}

// startGateway starts a gateway that takes sealed pushes on addr.
func (l *lab) startGateway(ctx context.Context, addr string) (*process, error) {
	env := append([]string{
		redisURL(l.redis.addr),
		"WXNOTIFY_GATEWAY_ADDR=" + addr,
		"WXNOTIFY_GATEWAY_KEYS=bench:bench-key-of-no-real-gateway",
		"WXNOTIFY_ADMIN_ADDR=127.0.0.1:0",
		appVariable + "CALLBACK_TOKEN=" + callbackToken,
		appVariable + "CALLBACK_AES_KEY=" + callbackAESKey,
	}, appEnv...)
	return l.start(ctx, "gateway", env, l.wxnotify, "gateway")
}

// startBareCallback starts the bare callback on addr.
func (l *lab) startBareCallback(ctx context.Context, addr string) (*process, error) {
	env := []string{bareRedisAddr + "=" + l.redis.addr, bareListenAddr + "=" + addr}
	return l.start(ctx, "bare callback", env, l.self, bareCallbackCommand)
}

// startBare starts the bare handler on a Redis address.
func (l *lab) startBare(ctx context.Context, redisAddr string) (*process, error) {
	url, err := l.sandbox.sendURL(ctx)
	if err != nil {
		return nil, err
	}
	env := []string{bareRedisAddr + "=" + redisAddr, bareSendURL + "=" + url}
	return l.start(ctx, "bare", env, l.self, bareCommand)
}

// freeAddr finds a port that nothing listens on.
func freeAddr() (addr, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("free port: %w", err)
	}
	defer func() { _ = l.Close() }() // it was only to learn the port
	addr = l.Addr().String()
	_, port, err = net.SplitHostPort(addr)
	return addr, port, err
}

// startWithin and drainWithin are longer than anything should take; a process
// that fails ends the run at once.
const (
	startWithin = time.Minute
	drainWithin = 10 * time.Minute
	awaitEvery  = 50 * time.Millisecond
)

// await asks until something is so.
func await(ctx context.Context, what string, within time.Duration, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited %v for %s", within, what))
	defer cancel()
	for {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		if err := sleep(ctx, awaitEvery); err != nil {
			return err
		}
	}
}

// sleep waits for d, or returns why ctx ended.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
