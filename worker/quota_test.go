package worker_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

func quotaOf(api string) tasks.QuotaKey { return tasks.QuotaKey{App: app, API: api} }

// holdSchedule takes the ids of the schedule's readings, so that none comes in the
// middle of a test.
func (b *bundle) holdSchedule() {
	b.Helper()
	queue := asynq.NewClientFromRedisClient(b.rdb)
	for ahead := range 11 { // the last five-minute slot, and every minute until the next
		slot := time.Now().Truncate(5 * time.Minute).Add(time.Duration(ahead) * time.Minute).UnixMilli()
		if _, err := queue.Enqueue(asynq.NewTask("held", nil), asynq.TaskID(quotaTask(slot)), asynq.Queue("wxnotify.system"), asynq.ProcessIn(time.Hour)); err != nil {
			b.Fatal(err)
		}
	}
}

// remaining is the line of the gauge, "" if it is absent.
func (b *bundle) remaining(api string) string {
	page := httptest.NewRecorder()
	b.metrics.Handler().ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.HasPrefix(line, "wxnotify_quota_remaining{") && strings.Contains(line, api) {
			return strings.TrimSpace(line)
		}
	}
	return ""
}

// wantRemaining waits for the gauge of what is sent.
func (b *bundle) wantRemaining(want string) {
	b.Helper()
	taskstest.Eventually(b, 60*time.Second, func() string {
		if got := b.remaining(errcode.APISubscribeSend); got != want {
			return fmt.Sprintf("the gauge is %q, want %q", got, want)
		}
		return ""
	})
}

// quotaTask is the id of the task that reads the quotas for a slot.
func quotaTask(slot int64) string { return fmt.Sprintf("%s:%s:%d", tasks.JobReadQuota, app, slot) }

// runQuota has a worker read the quotas once more, and waits until it did.
func (b *bundle) runQuota(at time.Time) map[tasks.QuotaKey]tasks.Quota {
	b.Helper()
	job := tasks.JobTask{Job: tasks.JobReadQuota, App: app, Slot: at.UnixMilli()}
	if _, err := tasks.NewClient(b.rdb, "").EnqueueJob(b.Context(), job); err != nil {
		b.Fatal(err)
	}
	inspector := asynq.NewInspectorFromRedisClient(b.rdb)
	taskstest.Eventually(b, 60*time.Second, func() string {
		info, err := inspector.GetTaskInfo("wxnotify.system", quotaTask(job.Slot))
		if err != nil || info.State != asynq.TaskStateCompleted {
			return fmt.Sprintf("%+v, %v, want it completed\n%s", info, err, b.log.tail())
		}
		return ""
	})
	known, _, err := tasks.NewQuotas(b.rdb, "").Read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return known
}

func TestQuotasAreRead(t *testing.T) {
	b := setup(t)
	if err := b.wechat.SetQuotas(app, sandbox.Quotas{sandbox.APISubscribeSend: {PerDay: 100, PerMinute: 60}}); err != nil {
		t.Fatal(err)
	}
	b.metrics = metrics.New(metrics.Info{})
	b.metrics.InitializeFor(metrics.Labels{Apps: []string{app}, APIs: errcode.APIs()})
	b.holdSchedule()
	b.start()
	b.send(notification("a"))
	b.await("a", "accepted")
	now := time.Now()
	known := b.runQuota(now)
	q := known[quotaOf(errcode.APISubscribeSend)]
	if q.Limit != 100 || q.Used != 1 || q.Remain != 99 || q.RateCalls != 60 || q.RatePeriod != time.Minute || q.Trouble != "" {
		t.Errorf("%+v", q)
	}
	const left = `wxnotify_quota_remaining{api="subscribe_send",app="` + app + `"} 99`
	b.wantRemaining(left)

	// No answer: what was read stays. Nonsense, or a refusal: nothing is known.
	b.next(sandbox.Script{API: sandbox.APIGetQuota, Do: sandbox.FaultBadGateway, Count: 2})
	known = b.runQuota(now.Add(time.Second))
	if after := known[quotaOf(errcode.APISubscribeSend)]; after.Remain != 99 || after.ReadAt != q.ReadAt || !strings.Contains(after.Trouble, "502") {
		t.Errorf("without an answer: %+v", after)
	}
	b.wantRemaining(left)
	nonsense := map[string]json.RawMessage{sandbox.APISubscribeSend: []byte(`{"daily_limit":10,"used":5,"remain":-1}`)}
	b.faults(sandbox.Faults{QuotaAnswers: nonsense})
	for i := range 3 {
		known = b.runQuota(now.Add(time.Duration(i+2) * time.Second))
	}
	if after := known[quotaOf(errcode.APISubscribeSend)]; after.Limit != 0 || !after.ReadAt.IsZero() || !strings.Contains(after.Trouble, "makes no sense") {
		t.Errorf("nonsense: %+v", after)
	}
	b.wantRemaining("")
	if n := strings.Count(b.log.tail(), "makes no sense"); n != 1 {
		t.Errorf("logged %d times, want once", n)
	}
	b.faults(sandbox.Faults{})
	if known = b.runQuota(now.Add(5 * time.Second)); known[quotaOf(errcode.APISubscribeSend)].Remain != 99 {
		t.Errorf("afterwards: %+v", known)
	}
	b.wantRemaining(left)
}

// Where WeChat does not tell a quota it is asked again the next day, and sends go on.
func TestAQuotaThatIsWithheld(t *testing.T) {
	b := setup(t)
	b.faults(sandbox.Faults{Calls: map[string]sandbox.CallFaults{sandbox.APIGetQuota: {Errcodes: map[int]float64{76022: 1}}}})
	b.holdSchedule()
	b.start()
	now := time.Now()
	known := b.runQuota(now)
	for _, api := range worker.QuotaAPIs() {
		if q := known[quotaOf(api)]; !q.Withheld || q.Limit != 0 || !strings.Contains(q.Trouble, "errcode 76022: ") {
			t.Errorf("%s: %+v", api, q)
		}
	}
	// One of them a day later; the other is not asked.
	sends := quotaOf(errcode.APISubscribeSend)
	yesterday := known[sends]
	yesterday.AskedAt = yesterday.AskedAt.Add(-25 * time.Hour)
	if err := tasks.NewQuotas(b.rdb, "").Store(t.Context(), sends, yesterday); err != nil {
		t.Fatal(err)
	}
	b.runQuota(now.Add(time.Second))
	if n := b.calls(sandbox.APIGetQuota).Received; n != 3 {
		t.Errorf("asked %d times, want 3", n)
	}
	if n := strings.Count(b.log.tail(), "quota not known"); n != 2 {
		t.Errorf("logged %d times, want once for each call\n%s", n, b.log.tail())
	}
	b.send(notification("a"))
	b.await("a", "accepted")
}

// A hanging quota call, or a token that only it is refused with, changes nothing for
// what is sent.
func TestAQuotaThatCannotBeReadDisturbsNothing(t *testing.T) {
	b := setup(t)
	b.next(sandbox.Script{API: sandbox.APIGetQuota, Errcode: 40001, Count: 1}, sandbox.Script{API: sandbox.APIGetQuota, Do: sandbox.FaultHang, Count: 1})
	b.start()
	for i := range 20 {
		b.send(notification(fmt.Sprint(i)))
	}
	for i := range 20 {
		if s := b.await(fmt.Sprint(i), "accepted"); s.Attempts != 1 {
			t.Errorf("%+v", s)
		}
	}
	taskstest.Eventually(t, 60*time.Second, func() string {
		if known, _, err := tasks.NewQuotas(b.rdb, "").Read(b.Context()); err != nil || len(known) < 2 {
			return fmt.Sprintf("%v, %v, want both asked", known, err)
		}
		return ""
	})
	if n := b.calls(sandbox.APIStableToken).Received; n != 1 {
		t.Errorf("%d tokens were fetched, want 1", n)
	}
	if strings.Contains(b.log.tail(), "level=WARN") {
		t.Errorf("a quota that is not known is no warning:\n%s", b.log.tail())
	}
}

func TestNextQuotaReset(t *testing.T) {
	t.Parallel()
	china := time.FixedZone("", 8*3600)
	at := func(day, hour, minute int) time.Time { return time.Date(2026, 2, day, hour, minute, 0, 0, china) }
	for _, c := range []struct {
		now  time.Time
		hour int
		want time.Time
	}{
		{at(27, 12, 30), 0, at(28, 0, 0)},
		{at(28, 12, 30), 0, time.Date(2026, 3, 1, 0, 0, 0, 0, china)},
		{at(27, 0, 0), 0, at(28, 0, 0)}, // the next one, not this
		{at(27, 0, 0).Add(-time.Nanosecond), 0, at(27, 0, 0)},
		{at(27, 12, 30), 13, at(27, 13, 0)},
		{at(27, 13, 1), 13, at(28, 13, 0)},
		{at(27, 22, 59), 23, at(27, 23, 0)},
		{at(27, 23, 0), 23, at(28, 23, 0)},
		{at(27, 1, 0).UTC(), 0, at(28, 0, 0)}, // the day before, in UTC
		{at(27, 1, 0).UTC(), 12, at(27, 12, 0)},
		{at(27, 1, 0).In(time.FixedZone("", -8*3600)), 12, at(27, 12, 0)},
	} {
		if got := worker.NextQuotaReset(c.now, c.hour); !got.Equal(c.want) {
			t.Errorf("after %v at %d: %v, want %v", c.now, c.hour, got, c.want)
		}
	}
}
