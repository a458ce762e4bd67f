package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// The app that the sandbox plays.
const (
	testApp    = "wx3a7c43a7c43a7c43"
	testSecret = "watchcheck-secret-of-no-real-app"
)

// startWithin is how long a process may take to answer.
const startWithin = 30 * time.Second

// process is one of ours with the address of its admin port.
type process struct {
	*lab.Process
	name, admin string
	env         []string
}

// stack is everything that runs.
type stack struct {
	dir     string
	ended   func(error) // hears of a process that ended by itself
	binary  string
	secrets string
	running []*lab.Process // in the order of their start

	gateway, secure *process // secure is a gateway with a certificate
	gatewayAddr     string
	workers         []*process
	sandbox         *lab.Sandbox
	redis, exporter string
	prometheus      string
}

// start starts everything, each after what it needs.
func (s *stack) start(ctx context.Context) error {
	s.binary, s.secrets = filepath.Join(s.dir, "wxnotify"), filepath.Join(s.dir, "secrets")
	if err := lab.Build(ctx, s.binary); err != nil {
		return err
	}
	for _, start := range []func(context.Context) error{
		s.startRedis, s.startGateway, s.startSecureGateway, s.startSandbox, s.startWorkers, s.startExporter, s.startPrometheus,
	} {
		if err := start(ctx); err != nil {
			return err
		}
	}
	return nil
}

// stop stops everything, in the reverse order.
func (s *stack) stop() {
	for _, p := range slices.Backward(s.running) {
		p.Stop()
	}
}

// launch starts a process that runs until the end.
func (s *stack) launch(name string, env []string, path string, args ...string) (*lab.Process, error) {
	p, err := lab.Start(lab.Command{Name: name, Dir: s.dir, Env: env, Path: path, Args: args}, s.ended)
	if err != nil {
		return nil, err
	}
	s.running = append(s.running, p)
	return p, nil
}

// startRedis runs it with the users of deploy/redis/users.acl.
func (s *stack) startRedis(ctx context.Context) error {
	addr, port, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	s.redis = addr
	if out, err := exec.CommandContext(ctx, "deploy/make-secrets", s.secrets, testApp, addr).CombinedOutput(); err != nil {
		return fmt.Errorf("make-secrets: %w: %s", err, out)
	}
	_, err = s.launch("redis", os.Environ(), "redis-server", "--port", port, "--bind", "127.0.0.1", "--dir", s.dir,
		"--aclfile", filepath.Join(s.secrets, "redis/users.acl"), "--save", "", "--appendonly", "yes",
		"--maxmemory", "512mb", "--maxmemory-policy", "noeviction")
	return err
}

// env is the environment of one of ours: its own secrets, and its addresses.
func (s *stack) env(role string, more ...string) []string {
	file := func(name string) string { return filepath.Join(s.secrets, role, name) }
	env := append(lab.CleanEnv(), "WXNOTIFY_APPS="+testApp, "WXNOTIFY_REDIS_URL_FILE="+file("redis_url"))
	if role == "gateway" {
		env = append(env, "WXNOTIFY_GATEWAY_KEYS_FILE="+file("keys"),
			lab.AppVariable(testApp, "CALLBACK_TOKEN_FILE")+"="+file(testApp+"_callback_token"),
			lab.AppVariable(testApp, "CALLBACK_AES_KEY_FILE")+"="+file(testApp+"_callback_aes_key"))
	}
	return append(env, more...)
}

// launchOurs starts a process of ours and waits until it is ready.
func (s *stack) launchOurs(ctx context.Context, name string, env []string, admin string, args ...string) (*process, error) {
	p, err := s.launch(name, append(env, "WXNOTIFY_ADMIN_ADDR="+admin), s.binary, args...)
	if err != nil {
		return nil, err
	}
	ours := &process{Process: p, name: name, admin: admin, env: env}
	return ours, lab.Await(ctx, name, startWithin, s.answers(ctx, "http://"+admin+"/readyz"))
}

func (s *stack) answers(ctx context.Context, address string) func() (bool, error) {
	return func() (bool, error) {
		_, err := s.get(ctx, address)
		return err == nil, nil
	}
}

func (s *stack) startGateway(ctx context.Context) error {
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	admin, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	s.gatewayAddr = addr
	s.gateway, err = s.launchOurs(ctx, "gateway", s.env("gateway", "WXNOTIFY_GATEWAY_ADDR="+addr), admin, "gateway")
	return err
}

// startSecureGateway starts one that nobody sends to: it has a certificate to tell of.
func (s *stack) startSecureGateway(ctx context.Context) error {
	admin, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	cert, key := filepath.Join(s.dir, "cert.pem"), filepath.Join(s.dir, "key.pem")
	if err := writeCertificate(cert, key); err != nil {
		return fmt.Errorf("certificate: %w", err)
	}
	env := s.env("gateway", "WXNOTIFY_GATEWAY_ADDR=127.0.0.1:0", "WXNOTIFY_GATEWAY_TLS_CERT_FILE="+cert, "WXNOTIFY_GATEWAY_TLS_KEY_FILE="+key)
	s.secure, err = s.launchOurs(ctx, "gateway-tls", env, admin, "gateway")
	return err
}

func (s *stack) startSandbox(ctx context.Context) error {
	addr, _, err := lab.FreeAddr()
	if err != nil {
		return err
	}
	env := s.env("gateway", "WXNOTIFY_SANDBOX_ADDR="+addr, lab.AppVariable(testApp, "SECRET")+"="+testSecret)
	if _, err := s.launch("sandbox", env, s.binary, "sandbox", "--push-to", "http://"+s.gatewayAddr, "--any-form-id"); err != nil {
		return err
	}
	s.sandbox = &lab.Sandbox{URL: "http://" + addr}
	if err := lab.Await(ctx, "the sandbox", startWithin, s.answers(ctx, s.sandbox.URL+"/_sandbox/")); err != nil {
		return err
	}
	return s.sandbox.SetFaults(ctx, usualFaults())
}

// usualFaults are those of a day without an incident.
func usualFaults() sandbox.Faults {
	return sandbox.Faults{Calls: map[string]sandbox.CallFaults{
		sandbox.APISubscribeSend: {
			Latency:  sandbox.Duration(20 * time.Millisecond),
			Errcodes: map[int]float64{-1: 0.03, 43101: 0.02, 47003: 0.01},
			Shares:   map[sandbox.Fault]float64{sandbox.FaultLostCut: 0.01},
		},
	}}
}

func (s *stack) startWorkers(ctx context.Context) error {
	for _, name := range []string{"worker-a", "worker-b"} {
		admin, _, err := lab.FreeAddr()
		if err != nil {
			return err
		}
		env := s.env("worker", "WXNOTIFY_WECHAT_URL="+s.sandbox.URL, lab.AppVariable(testApp, "SECRET")+"="+testSecret)
		p, err := s.launchOurs(ctx, name, env, admin, "worker")
		if err != nil {
			return err
		}
		s.workers = append(s.workers, p)
	}
	return nil
}

// startExporter runs redis_exporter, under whatever name it is installed.
func (s *stack) startExporter(ctx context.Context) (err error) {
	if s.exporter, _, err = lab.FreeAddr(); err != nil {
		return err
	}
	path, err := exec.LookPath("prometheus-redis-exporter")
	if err != nil {
		path, err = exec.LookPath("redis_exporter")
	}
	if err != nil {
		return errors.New("redis_exporter is needed: apt-get install prometheus-redis-exporter")
	}
	if _, err := s.launch("redis-exporter", os.Environ(), path, "--web.listen-address="+s.exporter, "--redis.addr=redis://"+s.redis,
		"--redis.user=exporter", "--redis.password-file="+filepath.Join(s.secrets, "exporter/passwords.json"), "--config-command=-"); err != nil {
		return err
	}
	return lab.Await(ctx, "redis_exporter", startWithin, s.answers(ctx, "http://"+s.exporter+"/metrics"))
}

func (s *stack) startPrometheus(ctx context.Context) (err error) {
	if s.prometheus, _, err = lab.FreeAddr(); err != nil {
		return err
	}
	dir := filepath.Join(s.dir, "prometheus")
	if err := writeConfig(dir, map[string]string{
		"worker-a:8081": s.workers[0].admin, "worker-b:8081": s.workers[1].admin,
		"gateway:8081": s.gateway.admin + ", " + s.secure.admin, "redis-exporter:9121": s.exporter,
	}); err != nil {
		return err
	}
	if _, err := exec.LookPath("prometheus"); err != nil {
		return errors.New("prometheus is needed: apt-get install prometheus")
	}
	if _, err := s.launch("prometheus", os.Environ(), "prometheus", "--config.file="+filepath.Join(dir, "prometheus.yml"),
		"--storage.tsdb.path="+filepath.Join(dir, "data"), "--web.listen-address="+s.prometheus); err != nil {
		return err
	}
	return lab.Await(ctx, "prometheus", startWithin, s.answers(ctx, "http://"+s.prometheus+"/-/ready"))
}

func (s *stack) killWorker(context.Context) error {
	s.workers[1].Kill()
	return nil
}

func (s *stack) restartWorker(ctx context.Context) error { return s.restart(ctx, 1) }

func (s *stack) killWorkers(context.Context) error {
	for _, w := range s.workers {
		w.Kill()
	}
	return nil
}

func (s *stack) restartWorkers(ctx context.Context) error {
	return errors.Join(s.restart(ctx, 0), s.restart(ctx, 1))
}

func (s *stack) restart(ctx context.Context, i int) (err error) {
	old := s.workers[i]
	s.workers[i], err = s.launchOurs(ctx, old.name, old.env, old.admin, "worker")
	return err
}

func (s *stack) breakSecret(ctx context.Context) error {
	faults := usualFaults()
	faults.Calls[sandbox.APIStableToken] = sandbox.CallFaults{Errcodes: map[int]float64{40125: 1}}
	if err := s.sandbox.SetFaults(ctx, faults); err != nil {
		return err
	}
	return s.sandbox.KillTokens(ctx)
}

func (s *stack) mendSecret(ctx context.Context) error { return s.sandbox.SetFaults(ctx, usualFaults()) }

// useUpQuota leaves a few sends of the day.
func (s *stack) useUpQuota(ctx context.Context) error {
	report, err := s.sandbox.Report(ctx, false)
	if err != nil {
		return err
	}
	return s.quotas(ctx, fmt.Sprintf(`{"calls":{"subscribe_send":{"per_day":%d}}}`, report.Apps[testApp].Calls[sandbox.APISubscribeSend].Received+20))
}

func (s *stack) mendQuota(ctx context.Context) error { return s.quotas(ctx, `{"calls":{}}`) }

func (s *stack) quotas(ctx context.Context, body string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, s.sandbox.URL+"/_sandbox/quotas", strings.NewReader(body))
	if err != nil {
		return err
	}
	_, err = answered(req)
	return err
}
