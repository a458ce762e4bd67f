package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/token"
)

// announceEvery is how often a worker says which apps it serves, and which queues there are.
const announceEvery = time.Minute

// scheduleEvery is how often a schedule looks whether a slot has begun.
const scheduleEvery = 5 * time.Second

// runSchedules runs what happens by the clock until ctx ends. Every worker runs
// it; slots and locks make one run of many.
func (w *Worker) runSchedules(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() { every(ctx, announceEvery, w.announce) })
	wg.Go(func() { every(ctx, scheduleEvery, w.feelRedis) })
	wg.Go(func() { w.gate.watch(ctx) })
	wg.Go(func() { every(ctx, tokenLookEvery, w.retryTokens) })
	wg.Go(func() { w.scheduleEach(ctx, tasks.JobRefreshToken, always(w.cfg.TokenRefreshEvery)) })
	wg.Go(func() { w.scheduleEach(ctx, tasks.JobReadQuota, w.quotaEvery) })
	wg.Go(func() { every(ctx, showQuotaEvery, w.showQuotas) })
	wg.Go(func() { w.scheduleTemplates(ctx) })
	wg.Go(func() { w.schedulePurge(ctx) })
	wg.Go(func() { every(ctx, eraseEvery, w.scheduleErase) })
	wg.Go(func() { every(ctx, stuckEvery, w.stuck.look) })
	wg.Go(func() { every(ctx, historyEvery, w.recent.look) })
	wg.Go(func() { every(ctx, tallyEvery, w.tally.flush) })
	wg.Go(func() { w.scheduleCanaries(ctx) })
	wg.Go(func() { w.scheduleEach(ctx, tasks.JobDead, always(deadEvery)) })
	wg.Go(func() { every(ctx, countDeadEvery, w.countDead) })
	wg.Go(func() {
		if err := w.cfg.Tokens.Maintain(ctx); err != nil && !errors.Is(err, context.Canceled) {
			w.cfg.Logger.Error("token maintenance ended", "error", err)
		}
	})
	wg.Wait()
}

// feelRedis feeds the gauge; nobody may ever ask whether the worker is ready.
func (w *Worker) feelRedis(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, scheduleEvery)
	defer cancel()
	w.cfg.Metrics.RedisUp(w.cfg.Redis.Ping(ctx).Err() == nil)
}

func (w *Worker) announce(ctx context.Context) {
	apps := make(map[string]tasks.ConsentPolicy, len(w.cfg.Apps))
	for _, a := range w.cfg.Apps {
		apps[a.AppID] = a.Consent
	}
	if err := w.served.Announce(ctx, apps, time.Now()); err != nil {
		w.cfg.Logger.Warn("apps not announced", "error", err)
	}
	if err := w.tasks.KeepQueues(ctx, w.appIDs()); err != nil {
		w.cfg.Logger.Warn("queues not noted", "error", err)
	}
}

// scheduleEach enqueues one run of a job per app and slot. All workers compute the
// same slots, so the task id lets one of them in. A slot that was missed while no
// worker ran is caught up by the first one that starts. The period is the app's at the time.
func (w *Worker) scheduleEach(ctx context.Context, job string, period func(app string) time.Duration) {
	done := make(map[string]int64)
	every(ctx, scheduleEvery, func(ctx context.Context) {
		now := time.Now()
		for _, app := range w.cfg.Apps {
			slot := now.Truncate(period(app.AppID)).UnixMilli()
			if done[app.AppID] == slot {
				continue
			}
			if w.enqueueJob(ctx, tasks.JobTask{Job: job, App: app.AppID, Slot: slot}) {
				done[app.AppID] = slot
			}
		}
	})
}

// always is a period that is the same for every app, at any time.
func always(period time.Duration) func(app string) time.Duration {
	return func(string) time.Duration { return period }
}

// tokenLookEvery is how often an app that was paused for want of a token is looked at.
const tokenLookEvery = 5 * time.Second

// retryTokens resumes the apps that were paused for want of a token and have one again.
// How often WeChat is asked for one is the token manager's to say.
func (w *Worker) retryTokens(ctx context.Context) {
	for _, p := range w.gate.without(errcode.ReasonNoToken) {
		if _, mine := w.app(p.App); !mine {
			continue
		}
		if _, err := w.cfg.Tokens.Get(ctx, p.App); err == nil {
			w.gate.over(ctx, p)
		}
	}
}

func (w *Worker) refreshToken(ctx context.Context, j tasks.JobTask) error {
	if _, ok := w.app(j.App); !ok {
		return errNotMine
	}
	_, err := w.cfg.Tokens.Refresh(ctx, j.App, token.Scheduled)
	return err
}

// app finds an app this worker serves.
func (w *Worker) app(appID string) (App, bool) {
	for _, a := range w.cfg.Apps {
		if a.AppID == appID {
			return a, true
		}
	}
	return App{}, false
}

// every calls f now and then every d until ctx ends.
func every(ctx context.Context, d time.Duration, f func(context.Context)) {
	ticker := time.NewTicker(d)
	defer ticker.Stop()
	for {
		f(ctx)
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
	}
}

// errUnfinished says that a job goes on in another run.
var errUnfinished = errors.New("worker: goes on in another run")

// errSuperseded says that a later run does what this one could not.
var errSuperseded = errors.New("worker: a later run does it")

// errNotMine says that another worker has to run this: it serves the app.
var errNotMine = errors.New("worker: this worker does not serve the app")

// jobs runs the tasks of the system queue.
type jobs struct {
	run     map[string]func(context.Context, tasks.JobTask) error
	runs    *runs
	metrics *metrics.Metrics
	log     *slog.Logger
}

// ProcessTask implements asynq.Handler.
func (j *jobs) ProcessTask(ctx context.Context, t *asynq.Task) (err error) {
	defer func() {
		if x := recover(); x != nil {
			logPanic(j.log, x)
			err = &later{after: setAsideFor, failure: true, why: "the job panicked; the worker's log has the stack"}
		}
	}()
	job, err := tasks.DecodeJob(t.Type(), t.Payload())
	if err != nil {
		return setAside(j.metrics, j.log, err, "lane", "system")
	}
	return j.runOnce(ctx, job)
}

// runOnce runs a job whose slot has not been run: the task's id stops a second
// enqueue only as long as asynq keeps the finished task. An erasure is due as long as
// it is noted, even if Redis's clock went back and its slot with it.
func (j *jobs) runOnce(ctx context.Context, job tasks.JobTask) error {
	last, err := j.runs.last(ctx, job)
	if err != nil {
		return redisAway(err)
	}
	// A last run in the future was written by a clock that was ahead.
	if job.Job != tasks.JobErase && last >= job.Slot && last <= time.Now().UnixMilli() {
		return nil
	}
	err = j.run[job.Job](ctx, job)
	if errors.Is(err, errNotMine) {
		return &later{after: jitter(2*time.Second, 0.5), why: err.Error()}
	}
	if errors.Is(err, errUnfinished) {
		return &later{why: err.Error()}
	}
	if errors.Is(err, errSuperseded) {
		return nil
	}
	if wait := (*later)(nil); errors.As(err, &wait) {
		j.log.Info("scheduled job waits", "job", job.Job, "app", job.App, "after", wait.after.Round(time.Second), "reason", wait.why)
		return wait
	}
	if err != nil {
		j.log.Warn("scheduled job failed", "job", job.Job, "app", job.App, "error", err)
		return &later{after: jitter(30*time.Second, 0.5), failure: true, why: fmt.Sprintf("%s: %v", job.Job, err)}
	}
	j.metrics.JobSucceeded(job.Job, time.Now())
	if err := j.runs.store(ctx, job); err != nil {
		return redisAway(err)
	}
	return nil
}

// runs remembers the last slot of each job that was run, in a hash of ours.
type runs struct {
	rdb redis.UniversalClient
	key string
}

func newRuns(rdb redis.UniversalClient, ns tasks.Namespace) *runs {
	return &runs{rdb: rdb, key: ns.Key("jobs")}
}

func (r *runs) last(ctx context.Context, j tasks.JobTask) (int64, error) {
	text, err := r.rdb.HGet(ctx, r.key, j.Job+":"+j.App).Result()
	if errors.Is(err, redis.Nil) {
		return -1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("worker: read last run: %w", err)
	}
	if slot, err := strconv.ParseInt(text, 10, 64); err == nil {
		return slot, nil
	}
	return -1, nil // unreadable: as if never run
}

func (r *runs) store(ctx context.Context, j tasks.JobTask) error {
	if err := r.rdb.HSet(ctx, r.key, j.Job+":"+j.App, j.Slot).Err(); err != nil {
		return fmt.Errorf("worker: store last run: %w", err)
	}
	return nil
}
