package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/token"
)

type checkCmd struct {
	JSON bool `help:"Print JSON." name:"json"`
}

// level is how bad a finding is.
type level string

const (
	levelOK   level = "ok"
	levelWarn level = "warn"
	levelFail level = "FAIL"
)

// finding is one line of the report.
type finding struct {
	Level  level  `json:"level"`
	What   string `json:"what"`
	Detail string `json:"detail"`
}

// report collects findings.
type report struct {
	findings []finding
}

func (r *report) add(l level, what, format string, args ...any) {
	r.findings = append(r.findings, finding{l, what, fmt.Sprintf(format, args...)})
}

func (r *report) failed() bool {
	for _, f := range r.findings {
		if f.Level == levelFail {
			return true
		}
	}
	return false
}

// checkTimeout bounds the whole check.
const checkTimeout = 30 * time.Second

// Run checks everything it can reach and fails if anything would keep
// notifications from being sent, or from being kept.
func (k *checkCmd) Run(p *program) error {
	ctx, cancel := context.WithTimeout(p.ctx, checkTimeout)
	defer cancel()
	r := &report{}
	c, err := config.Load(config.Redis, config.Secrets)
	var wrong *config.Error
	switch {
	case errors.As(err, &wrong):
		for _, problem := range wrong.Problems {
			r.add(levelFail, problem.Variable, "%s", problem.Detail)
		}
	case err != nil:
		return err
	default:
		r.add(levelOK, "configuration", "apps: %d", len(c.Apps))
		checkCerts(c, time.Now(), r)
		checkLive(ctx, p, c, r)
	}
	if err := k.print(p.stdout, r); err != nil {
		return err
	}
	if r.failed() {
		return errReported
	}
	return nil
}

// checkLive checks what the configuration points at.
func checkLive(ctx context.Context, p *program, c *config.Config, r *report) {
	rdb, err := tasks.ConnectRedis(string(c.RedisURL), tasks.RedisOptions{Timeout: 2 * time.Second, MaxRetries: 1})
	if err != nil {
		r.add(levelFail, "WXNOTIFY_REDIS_URL", "%v", err)
		return
	}
	defer func() { _ = rdb.Close() }()
	if err := rdb.Ping(ctx).Err(); err != nil {
		r.add(levelFail, "redis", "%v: check WXNOTIFY_REDIS_URL, the network and the ACL user", noRedis(err))
		return
	}
	checkServers(ctx, rdb, r)
	checkQueued(ctx, rdb, c, r)
	checkTokens(ctx, p, c, r)
	checkQuotas(ctx, rdb, c, r)
	checkWorkers(c, asynq.NewInspectorFromRedisClient(rdb), r)
	checkQueues(c, asynq.NewInspectorFromRedisClient(rdb), r)
}

// checkRedis asks whether Redis keeps what it acknowledged and has room for more.
func checkRedis(ctx context.Context, rdb redis.UniversalClient, r *report) {
	info, err := redisInfo(ctx, rdb, "server", "persistence", "memory")
	if err != nil {
		r.add(levelWarn, "redis", "INFO is not answered (%v): persistence, eviction and memory could not be checked", err)
		return
	}
	checkVersion(info["redis_version"], r)
	checkPersistence(ctx, rdb, info, r)
	if policy := info["maxmemory_policy"]; policy == "noeviction" || policy == "" {
		r.add(levelOK, "redis eviction", "noeviction")
	} else {
		r.add(levelFail, "redis eviction", "maxmemory-policy is %s: Redis may throw queued notifications away; set noeviction", policy)
	}
	checkMemory(ctx, rdb, r)
}

// checkVersion wants Redis 6.2, the first with GETEX.
func checkVersion(version string, r *report) {
	var major, minor int
	if _, err := fmt.Sscanf(version, "%d.%d", &major, &minor); err == nil && (major < 6 || major == 6 && minor < 2) {
		r.add(levelFail, "redis", "version %s is too old: 6.2 or later is needed", version)
		return
	}
	r.add(levelOK, "redis", "version %s", version)
}

func checkPersistence(ctx context.Context, rdb redis.UniversalClient, info map[string]string, r *report) {
	switch {
	case info["aof_enabled"] == "1" && info["aof_last_write_status"] == "err":
		r.add(levelFail, "redis persistence", "the last write of the append-only file failed: look at its disk")
	case info["aof_enabled"] == "1":
		fsync := redisSetting(ctx, rdb, "appendfsync")
		switch fsync {
		case "always":
			r.add(levelOK, "redis persistence", "append-only file, fsync always")
		case "":
			r.add(levelOK, "redis persistence", "append-only file")
		default:
			r.add(levelOK, "redis persistence", "append-only file, fsync %s: a crash of the host may lose the last 1-2 s; appendfsync always narrows that", fsync)
		}
	case info["rdb_last_bgsave_status"] == "err":
		r.add(levelFail, "redis persistence", "no append-only file, and the last snapshot failed")
	default:
		r.add(levelWarn, "redis persistence", "no append-only file: a restart loses what came after the last snapshot; set appendonly yes")
	}
}

// redisInfo reads sections of INFO one by one, which old servers need.
func redisInfo(ctx context.Context, rdb redis.UniversalClient, sections ...string) (map[string]string, error) {
	info := map[string]string{}
	for _, section := range sections {
		text, err := rdb.Info(ctx, section).Result()
		if err != nil {
			return nil, err
		}
		maps.Copy(info, infoFields(text))
	}
	return info, nil
}

// redisSetting reads a setting, or "" where CONFIG is refused, as managed Redis does.
func redisSetting(ctx context.Context, rdb redis.UniversalClient, name string) string {
	values, err := rdb.ConfigGet(ctx, name).Result()
	if err != nil {
		return ""
	}
	return values[name]
}

// checkTokens asks for every app's token as a worker would: the shared one if it
// is good, so that a check disturbs nobody.
func checkTokens(ctx context.Context, p *program, c *config.Config, r *report) {
	m, closeAll, err := openTokens(p, c)
	if err != nil {
		r.add(levelFail, "tokens", "%v", err)
		return
	}
	defer closeAll()
	for _, app := range c.Apps {
		what := "token of " + app.ID
		state, err := tokenState(ctx, m, app.ID)
		if err != nil {
			r.add(levelFail, what, "%s", tokenTrouble(err))
			continue
		}
		r.add(levelOK, what, "%s, until %s", state.Mode, until(state.ExpiresAt))
	}
}

// tokenState has the shared token looked at; if there is none, WeChat is asked at
// once, whatever it answered before: somebody may just have fixed the cause.
func tokenState(ctx context.Context, m *token.Manager, app string) (token.State, error) {
	if _, err := m.Get(ctx, app); err != nil {
		return m.Refresh(ctx, app, token.Manual)
	}
	return m.State(ctx, app)
}

func tokenTrouble(err error) string {
	var failed *token.Error
	if !errors.As(err, &failed) || failed.Code == 0 {
		return err.Error()
	}
	entry := errcode.LookupFor(errcode.APIToken, failed.Code)
	return fmt.Sprintf("errcode %d: %s %s", failed.Code, entry.Meaning, entry.Remedy)
}

// checkWorkers says whether every app's queues are served.
func checkWorkers(c *config.Config, i *asynq.Inspector, r *report) {
	servers, err := i.Servers()
	if err != nil {
		r.add(levelWarn, "workers", "cannot be listed: %v", err)
		return
	}
	for _, app := range c.Apps {
		n := len(processes(servers, c.Namespace.Queue(app.ID, tasks.Default)))
		if n == 0 {
			r.add(levelWarn, "workers of "+app.ID, "none is running: start wxnotify worker")
		} else {
			r.add(levelOK, "workers of "+app.ID, "%d running", n)
		}
	}
}

// processes are those that serve a queue; each may have several asynq servers for it.
func processes(servers []*asynq.ServerInfo, queue string) map[string]bool {
	found := map[string]bool{}
	for _, s := range servers {
		if _, serves := s.Queues[queue]; serves {
			found[s.Host+" "+strconv.Itoa(s.PID)] = true
		}
	}
	return found
}

// looked is how many tasks of each state and queue are looked at.
const looked = 100

// checkQueues looks for tasks that are not ours and for dead letters.
func checkQueues(c *config.Config, i *asynq.Inspector, r *report) {
	queues, err := i.Queues()
	if err != nil {
		r.add(levelWarn, "queues", "cannot be listed: %v", err)
		return
	}
	for _, app := range c.Apps {
		checkConsent(app, slices.Contains(queues, c.Namespace.EventsQueue(app.ID)), r)
	}
	for _, queue := range queues {
		if c.Namespace.Owns(queue) {
			checkQueue(queue, i, r)
		}
	}
}

// checkConsent asks whether what an app's consents come from was ever heard.
func checkConsent(app config.App, pushed bool, r *report) {
	what := "consents of " + app.ID
	const missing = "but WeChat has pushed nothing yet: set up the message push in its console and a callback token here"
	switch {
	case app.Credits == string(tasks.CreditsOff):
		r.add(levelOK, what, "no books are kept")
	case app.ConsentSource == string(tasks.ConsentReport):
		r.add(levelOK, what, "%s, by what the front end reports", app.Credits)
	case pushed:
		r.add(levelOK, what, "%s, by what WeChat pushes", app.Credits)
	case app.Credits == string(tasks.CreditsEnforce):
		r.add(levelFail, what, "%s, %s; until then what users accept is not heard, and nothing is sent", app.Credits, missing)
	default:
		r.add(levelWarn, what, "%s, %s, or set its credits off", app.Credits, missing)
	}
}

func checkQueue(queue string, i *asynq.Inspector, r *report) {
	foreign := map[string]int{}
	for _, list := range []func(string, ...asynq.ListOption) ([]*asynq.TaskInfo, error){
		i.ListPendingTasks, i.ListScheduledTasks, i.ListRetryTasks, i.ListArchivedTasks,
	} {
		infos, err := list(queue, asynq.PageSize(looked))
		if err != nil {
			r.add(levelWarn, "queue "+queue, "cannot be read: %v", err)
			return
		}
		for _, info := range infos {
			if tasks.Foreign(info.Type) {
				foreign[strconv.Quote(info.Type)]++
			}
		}
	}
	for taskType, n := range foreign {
		r.add(levelFail, "queue "+queue, "%d tasks of type %s are not ours: another program uses this queue; they are left alone and wait", n, taskType)
	}
	info, err := i.GetQueueInfo(queue)
	if err != nil {
		r.add(levelWarn, "queue "+queue, "cannot be read: %v", err)
		return
	}
	found := levelOK
	if info.Archived > 0 { // dead letters: somebody should look at them
		found = levelWarn
	}
	r.add(found, "queue "+queue, "%d pending, %d active, %d scheduled, %d to retry, %d archived%s",
		info.Pending, info.Active, info.Scheduled, info.Retry, info.Archived, pausedNote(info.Paused))
}

func pausedNote(paused bool) string {
	if paused {
		return "; PAUSED"
	}
	return ""
}

func (k *checkCmd) print(w io.Writer, r *report) error {
	if k.JSON {
		return printJSON(w, r.findings)
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, f := range r.findings {
		fmt.Fprintf(table, "%s\t%s\t%s\n", f.Level, f.What, f.Detail)
	}
	return table.Flush()
}
