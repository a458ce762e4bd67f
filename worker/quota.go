package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

const (
	// readQuotaEvery is how often WeChat is asked what is left of an app's quotas.
	readQuotaEvery = 5 * time.Minute
	// quotaTimeout bounds one question: it is never urgent, and other jobs wait.
	quotaTimeout = 5 * time.Second
	// withheldFor is how long nobody asks again where WeChat does not tell.
	withheldFor = 24 * time.Hour
	// showQuotaEvery is how often a worker shows what is known.
	showQuotaEvery = 30 * time.Second
)

// quotaCall is a call to WeChat whose quota is read.
type quotaCall struct{ api, path string }

// quotaCalls are the calls that send. Whether an app ever sends template messages
// nobody knows beforehand, so both are asked about; where WeChat does not tell, it
// is one question a day.
func quotaCalls() []quotaCall {
	return []quotaCall{
		{errcode.APISubscribeSend, wechat.PathSubscribeSend},
		{errcode.APITemplateSend, wechat.PathTemplateSend},
	}
}

// QuotaAPIs lists the short names of the calls whose quotas workers read.
func QuotaAPIs() []string {
	var apis []string
	for _, c := range quotaCalls() {
		apis = append(apis, c.api)
	}
	return apis
}

// readQuota asks WeChat what is left of an app's quotas. Sends do not depend on it:
// a failure is noted, told once, and left to the next run.
func (w *Worker) readQuota(ctx context.Context, j tasks.JobTask) error {
	if time.Since(time.UnixMilli(j.Slot)) > 2*readQuotaEvery {
		return errSuperseded
	}
	app, ok := w.app(j.App)
	if !ok {
		return errNotMine
	}
	known, now, err := w.quotas.Read(ctx)
	if err != nil {
		return redisAway(err)
	}
	told := true
	for _, c := range quotaCalls() {
		before := known[tasks.QuotaKey{App: j.App, API: c.api}]
		if since := now.Sub(before.AskedAt); before.Withheld && since >= 0 && since < withheldFor {
			continue
		}
		after, err := w.renewQuota(ctx, app, c, before, now)
		if err != nil {
			return redisAway(err)
		}
		told = told && (after.Trouble == "" || after.Withheld)
	}
	w.showQuotas(ctx)
	if !told {
		return errSuperseded
	}
	return nil
}

// renewQuota asks about one call, and stores what is known then. What stands in the
// way is logged when it is new.
func (w *Worker) renewQuota(ctx context.Context, app App, c quotaCall, before tasks.Quota, now time.Time) (tasks.Quota, error) {
	after := w.askQuota(ctx, app, c.path, before, now)
	if after.Trouble != "" && after.Trouble != before.Trouble {
		w.cfg.Logger.Info("quota not known", "app", app.AppID, "api", c.api, "reason", after.Trouble)
	}
	return after, w.quotas.Store(ctx, tasks.QuotaKey{App: app.AppID, API: c.api}, after)
}

// askQuota asks WeChat once and returns what is known afterwards. A token that is
// refused here is not given up for it: the sends judge that.
func (w *Worker) askQuota(ctx context.Context, app App, path string, before tasks.Quota, now time.Time) tasks.Quota {
	ctx, cancel := context.WithTimeout(ctx, quotaTimeout)
	defer cancel()
	t, err := w.cfg.Tokens.Get(ctx, app.AppID)
	if err != nil {
		return notTold(err, before, now)
	}
	q, err := app.WeChat.Quota(ctx, t.Value(), path)
	if err != nil {
		return notTold(err, before, now)
	}
	return tasks.Quota{
		Limit: q.Limit, Used: q.Used, Remain: q.Remain, RateCalls: q.RateCalls, RatePeriod: q.RatePeriod,
		ReadAt: now, AskedAt: now,
	}
}

// notTold is what is known after a failure: what was known before if no answer came,
// nothing if WeChat withholds the numbers or they make no sense.
func notTold(err error, before tasks.Quota, now time.Time) tasks.Quota {
	failed := (*wechat.Error)(nil)
	before.Withheld = false
	switch {
	case !errors.As(err, &failed) || failed.API != errcode.APIGetQuota:
		before.Trouble = "no access_token can be had"
	case errors.Is(err, wechat.ErrQuotaNonsense):
		before = tasks.Quota{Trouble: "WeChat's word makes no sense: " + failed.Message}
	case failed.Code != 0:
		if withheld(failed.Code) {
			before = tasks.Quota{Withheld: true}
		}
		before.Trouble = fmt.Sprintf("errcode %d: %s", failed.Code, errcode.LookupFor(failed.API, failed.Code).Meaning)
	default:
		before.Trouble = failed.Message
	}
	before.AskedAt = now
	return before
}

// withheld reports whether an errcode says that WeChat does not tell a quota: it does
// not know the path, or the app has no right to it or to the question.
func withheld(code int) bool {
	switch code {
	case 76003, 76021, 76022, 48001, 45103:
		return true
	}
	return false
}

// showQuotas sets the gauges of this worker's apps.
func (w *Worker) showQuotas(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, quotaTimeout)
	defer cancel()
	known, now, _ := w.quotas.Read(ctx) // without an answer nothing is known
	for _, app := range w.cfg.Apps {
		for _, api := range QuotaAPIs() {
			q := known[tasks.QuotaKey{App: app.AppID, API: api}]
			if q.Known(now) {
				w.cfg.Metrics.QuotaRemaining(app.AppID, api, q.Remain)
			} else {
				w.cfg.Metrics.QuotaUnknown(app.AppID, api)
			}
		}
	}
}

// NextQuotaReset is the first time after now at which it is hour o'clock, 0 to 23, in
// China, UTC+8 all year: WeChat does not document when its daily quotas begin anew.
func NextQuotaReset(now time.Time, hour int) time.Time {
	here := now.In(time.FixedZone("UTC+8", 8*60*60))
	reset := time.Date(here.Year(), here.Month(), here.Day(), hour, 0, 0, 0, here.Location())
	if !reset.After(now) {
		reset = reset.AddDate(0, 0, 1)
	}
	return reset
}
