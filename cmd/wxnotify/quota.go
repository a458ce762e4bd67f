package main

import (
	"context"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker"
)

// checkQuotas says what is left of every app's daily quotas, as workers last read it.
func checkQuotas(ctx context.Context, rdb redis.UniversalClient, c *config.Config, r *report) {
	known, now, err := tasks.NewQuotas(rdb, c.Namespace).Read(ctx)
	if err != nil {
		r.add(levelWarn, "quotas", "cannot be read: %v", err)
		return
	}
	for _, app := range c.Apps {
		for _, api := range worker.QuotaAPIs() {
			checkQuota("quota of "+app.ID+" "+api, known[tasks.QuotaKey{App: app.ID, API: api}], now, r)
		}
	}
}

// littleLeft is the share of a quota below which it is worth a warning.
const littleLeft = 0.1

// checkQuota adds the line of one quota. That one is not known keeps nothing from
// being sent.
func checkQuota(what string, q tasks.Quota, now time.Time, r *report) {
	left := fmt.Sprintf("%d of %d calls left", q.Remain, q.Limit)
	age := now.Sub(q.ReadAt).Round(time.Second)
	switch {
	case q.Known(now) && float64(q.Remain) < littleLeft*float64(q.Limit):
		r.add(levelWarn, what, "only %s today, as of %v ago%s: at 0 WeChat refuses all further ones (45009) until it begins anew", left, age, rateNote(q))
	case q.Known(now):
		r.add(levelOK, what, "%s today, as of %v ago%s", left, age, rateNote(q))
	case q.AskedAt.IsZero():
		r.add(levelOK, what, "not known: no worker has asked WeChat yet")
	case q.Withheld:
		r.add(levelOK, what, "not known: WeChat does not tell it (%s); it is asked again after a day", q.Trouble)
	case age < 0:
		r.add(levelOK, what, "not known: Redis's clock was set back after it was read")
	case q.Limit > 0:
		r.add(levelOK, what, "not known: read %v ago, with %s%s", age, left, troubleNote(q))
	default:
		r.add(levelOK, what, "not known%s", troubleNote(q))
	}
}

// rateNote is what WeChat says beside the quota about calls at once.
func rateNote(q tasks.Quota) string {
	if q.RateCalls == 0 {
		return ""
	}
	return fmt.Sprintf("; at most %d in %v", q.RateCalls, q.RatePeriod)
}

func troubleNote(q tasks.Quota) string {
	if q.Trouble == "" {
		return ""
	}
	return ": " + q.Trouble
}
