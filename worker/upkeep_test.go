package worker

import (
	"testing"
	"time"

	"github.com/robfig/cron/v3"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestLastDue(t *testing.T) {
	t.Parallel()
	shanghai, err := time.LoadLocation("Asia/Shanghai")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 5, 14, 30, 20, 0, shanghai)
	for spec, want := range map[string]time.Time{
		"0 0 * * *":      time.Date(2026, 3, 5, 0, 0, 0, 0, shanghai),
		"30 14 * * *":    time.Date(2026, 3, 5, 14, 30, 0, 0, shanghai),
		"31 14 * * *":    time.Date(2026, 3, 4, 14, 31, 0, 0, shanghai),
		"*/5 * * * *":    time.Date(2026, 3, 5, 14, 30, 0, 0, shanghai),
		"0 3 1 * *":      time.Date(2026, 3, 1, 3, 0, 0, 0, shanghai),
		"0 3 6 * *":      time.Date(2026, 2, 6, 3, 0, 0, 0, shanghai),
		"15 4 24 12 *":   time.Date(2025, 12, 24, 4, 15, 0, 0, shanghai),
		"0 12 * * MON":   time.Date(2026, 3, 2, 12, 0, 0, 0, shanghai),
		"0 0 5 3 *":      time.Date(2026, 3, 5, 0, 0, 0, 0, shanghai),
		"59 23 4 3 *":    time.Date(2026, 3, 4, 23, 59, 0, 0, shanghai),
		"0 0-14/7 * * *": time.Date(2026, 3, 5, 14, 0, 0, 0, shanghai),
	} {
		s, err := cron.ParseStandard(spec)
		if err != nil {
			t.Fatal(err)
		}
		if got, ok := lastDue(s, now); !ok || !got.Equal(want) {
			t.Errorf("%s: %v %v, want %v", spec, got, ok, want)
		}
	}
	never, err := cron.ParseStandard("0 0 29 2 *")
	if err != nil {
		t.Fatal(err)
	}
	if got, ok := lastDue(never, now); ok {
		t.Errorf("29 February within the last year: %v", got)
	}
}

func TestRetiredTemplateMessagesWait(t *testing.T) {
	t.Parallel()
	now := time.Now()
	r := &retired{now: func() time.Time { return now }}
	gone := answer{class: errcode.Misconfigured, errcode: codeRetired}
	held := func(k tasks.Kind) bool {
		_, ok := r.answer(k)
		return ok
	}
	if held(tasks.KindTemplate) {
		t.Fatal("held before any answer")
	}
	r.learn(tasks.KindSubscribe, gone)
	if held(tasks.KindTemplate) {
		t.Fatal("held for another kind's answer")
	}
	r.learn(tasks.KindTemplate, gone)
	if a, ok := r.answer(tasks.KindTemplate); !ok || a.errcode != codeRetired || a.reason != errcode.ReasonRetired {
		t.Fatalf("%+v %v", a, ok)
	}
	if held(tasks.KindSubscribe) {
		t.Fatal("another kind is held")
	}
	now = now.Add(probeEvery)
	if held(tasks.KindTemplate) {
		t.Fatal("no probe")
	}
	if !held(tasks.KindTemplate) {
		t.Fatal("more than one probe at a time")
	}
	r.learn(tasks.KindTemplate, answer{class: errcode.Unknown})
	if !held(tasks.KindTemplate) {
		t.Fatal("a probe without an answer says nothing")
	}
	now = now.Add(probeEvery)
	_ = held(tasks.KindTemplate)
	r.learn(tasks.KindTemplate, answer{class: errcode.Invalid, errcode: 41028})
	if held(tasks.KindTemplate) {
		t.Fatal("held after another answer")
	}
}
