package main

import (
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

func TestCheckQuota(t *testing.T) {
	t.Parallel()
	now := time.Now()
	read := func(limit, remain int64, ago time.Duration) tasks.Quota {
		return tasks.Quota{Limit: limit, Used: limit - remain, Remain: remain, ReadAt: now.Add(-ago), AskedAt: now}
	}
	rated, failing, stale := read(100, 50, time.Minute), read(100, 50, time.Minute), read(100, 1, 2*time.Hour)
	rated.RateCalls, rated.RatePeriod = 60, time.Minute
	failing.Trouble, stale.Trouble = "no complete answer in time", "no complete answer in time"
	for name, c := range map[string]struct {
		quota tasks.Quota
		want  level
		text  string
	}{
		"plenty":         {read(100, 10, time.Minute), levelOK, "10 of 100 calls left today, as of 1m0s ago"},
		"with a rate":    {rated, levelOK, "50 of 100 calls left today, as of 1m0s ago; at most 60 in 1m0s"},
		"little":         {read(100, 9, time.Second), levelWarn, "only 9 of 100 calls left today, as of 1s ago: at 0"},
		"none":           {read(100, 0, time.Second), levelWarn, "only 0 of 100"},
		"asked anew":     {failing, levelOK, "50 of 100 calls left today"},
		"old":            {stale, levelOK, "not known: read 2h0m0s ago, with 1 of 100 calls left: no complete answer in time"},
		"never":          {tasks.Quota{}, levelOK, "not known: no worker has asked WeChat yet"},
		"withheld":       {tasks.Quota{AskedAt: now, Withheld: true, Trouble: "errcode 76022: so"}, levelOK, "WeChat does not tell it (errcode 76022: so)"},
		"nonsense":       {tasks.Quota{AskedAt: now, Trouble: "it makes no sense"}, levelOK, "not known: it makes no sense"},
		"clock set back": {read(100, 50, -time.Hour), levelOK, "Redis's clock was set back"},
	} {
		r := &report{}
		checkQuota("quota", c.quota, now, r)
		if len(r.findings) != 1 || r.findings[0].Level != c.want || !strings.Contains(r.findings[0].Detail, c.text) {
			t.Errorf("%s: %+v, want %s and %q", name, r.findings, c.want, c.text)
		}
	}
}
