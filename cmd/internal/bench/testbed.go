package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
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

// testbed is a folder of its own, a redis-server, a sandbox, and the two binaries.
type testbed struct {
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
func openLab(ctx context.Context) (*testbed, context.Context, error) {
	ctx, failed := context.WithCancelCause(ctx)
	l := &testbed{failed: failed, closers: []func(){func() { failed(nil) }}}
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
func (l *testbed) close() {
	for len(l.closers) > 0 {
		last := len(l.closers) - 1
		l.closers[last]()
		l.closers = l.closers[:last]
	}
}

func (l *testbed) makeDir(context.Context) error {
	dir, err := os.MkdirTemp("", "wxnotify-bench-")
	if err != nil {
		return err
	}
	l.dir = dir
	l.closers = append(l.closers, func() { _ = os.RemoveAll(dir) }) // a temporary folder: the system cleans up after us
	l.self, err = os.Executable()
	return err
}

func (l *testbed) build(ctx context.Context) error {
	l.wxnotify = filepath.Join(l.dir, "wxnotify")
	return lab.Build(ctx, l.wxnotify)
}

// start starts a process that ends with the lab at the latest.
func (l *testbed) start(ctx context.Context, name string, env []string, path string, args ...string) (*lab.Process, error) {
	if err := context.Cause(ctx); err != nil {
		return nil, err
	}
	p, err := lab.Start(lab.Command{Name: name, Dir: l.dir, Env: append(lab.CleanEnv(), env...), Path: path, Args: args}, l.failed)
	if err != nil {
		return nil, err
	}
	l.closers = append(l.closers, p.Stop)
	return p, nil
}

var appEnv = []string{"WXNOTIFY_APPS=" + benchApp, appVariable("SECRET") + "=" + benchSecret}

func appVariable(name string) string { return lab.AppVariable(benchApp, name) }

func redisURL(addr string) string { return "WXNOTIFY_REDIS_URL=redis://" + addr + "/0" }

func (l *testbed) startRedis(ctx context.Context) error {
	path, err := exec.LookPath("redis-server")
	if err != nil {
		return errors.New("redis-server is needed: apt-get install redis-server, brew install redis, or run make bench")
	}
	addr, port, err := lab.FreeAddr()
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
	return lab.Await(ctx, "redis-server", startWithin, func() (bool, error) { return l.redis.answers(ctx), nil })
}

func (l *testbed) startSandbox(ctx context.Context) error {
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	env := append([]string{"WXNOTIFY_SANDBOX_ADDR=" + addr}, appEnv...)
	if _, err := l.start(ctx, "sandbox", env, l.wxnotify, "sandbox", "--id-key", idKey); err != nil {
		return err
	}
	l.sandbox = &sandboxServer{&lab.Sandbox{URL: "http://" + addr}}
	return lab.Await(ctx, "the sandbox", startWithin, func() (bool, error) { return l.sandbox.Reset(ctx) == nil, nil })
}

// startWorker starts a worker on a Redis address, with the defaults.
func (l *testbed) startWorker(ctx context.Context, redisAddr string) (*lab.Process, error) {
	return l.startWorkerWith(ctx, redisAddr, tasks.CreditsObserve)
}

// startWorkerWith starts a worker that deals with consents as mode says.
func (l *testbed) startWorkerWith(ctx context.Context, redisAddr string, mode tasks.CreditMode) (*lab.Process, error) {
	env := append([]string{
		redisURL(redisAddr),
		"WXNOTIFY_WECHAT_URL=" + l.sandbox.URL,
		"WXNOTIFY_ADMIN_ADDR=127.0.0.1:0",
		"WXNOTIFY_CONCURRENCY=" + strconv.Itoa(concurrency),
		appVariable("CREDITS") + "=" + string(mode),
	}, appEnv...)
	return l.start(ctx, "worker", env, l.wxnotify, "worker")
}

// startGateway starts a gateway that takes sealed pushes on addr.
func (l *testbed) startGateway(ctx context.Context, addr string) (*lab.Process, error) {
	env := append([]string{
		redisURL(l.redis.addr),
		"WXNOTIFY_GATEWAY_ADDR=" + addr,
		"WXNOTIFY_GATEWAY_KEYS=bench:bench-key-of-no-real-gateway",
		"WXNOTIFY_ADMIN_ADDR=127.0.0.1:0",
		appVariable("CALLBACK_TOKEN") + "=" + callbackToken,
		appVariable("CALLBACK_AES_KEY") + "=" + callbackAESKey,
	}, appEnv...)
	return l.start(ctx, "gateway", env, l.wxnotify, "gateway")
}

// startBareCallback starts the bare callback on addr.
func (l *testbed) startBareCallback(ctx context.Context, addr string) (*lab.Process, error) {
	env := []string{bareRedisAddr + "=" + l.redis.addr, bareListenAddr + "=" + addr}
	return l.start(ctx, "bare callback", env, l.self, bareCallbackCommand)
}

// startBare starts the bare handler on a Redis address.
func (l *testbed) startBare(ctx context.Context, redisAddr string) (*lab.Process, error) {
	url, err := l.sandbox.sendURL(ctx)
	if err != nil {
		return nil, err
	}
	env := []string{bareRedisAddr + "=" + redisAddr, bareSendURL + "=" + url}
	return l.start(ctx, "bare", env, l.self, bareCommand)
}

// startWithin and drainWithin are longer than anything should take; a process
// that fails ends the run at once.
const (
	startWithin = time.Minute
	drainWithin = 10 * time.Minute
)
