package metrics

import (
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// contract is every series this package exports, as name{labels} type.
var contract = []string{
	"asynq_queue_latency_seconds{queue} gauge",
	"asynq_queue_memory_usage_approx_bytes{queue} gauge",
	"asynq_queue_paused_total{queue} gauge",
	"asynq_queue_size{queue} gauge",
	"asynq_tasks_enqueued_total{queue,state} gauge",
	"asynq_tasks_failed_total{queue} counter",
	"asynq_tasks_processed_total{queue} counter",
	"wxnotify_admissions_total{verdict} counter",
	"wxnotify_attempts_total{app,class,kind} counter",
	"wxnotify_build_info{commit,goversion,version} gauge",
	"wxnotify_callback_request_duration_seconds{} histogram",
	"wxnotify_callback_requests_total{app,result} counter",
	"wxnotify_end_to_end_seconds{kind} histogram",
	"wxnotify_enqueued_total{app,kind,result} counter",
	"wxnotify_events_total{app,event,result} counter",
	"wxnotify_gateway_request_duration_seconds{route} histogram",
	"wxnotify_gateway_requests_total{code,route} counter",
	"wxnotify_grants_total{app,result,source} counter",
	"wxnotify_uncovered_attempts_total{app} counter",
	"wxnotify_job_last_success_timestamp_seconds{job} gauge",
	"wxnotify_dead_letters{app} gauge",
	"wxnotify_late_settlements_total{} counter",
	"wxnotify_limiter_wait_seconds{app} histogram",
	"wxnotify_paused{app,scope} gauge",
	"wxnotify_notifications_total{app,kind,outcome} counter",
	"wxnotify_purged_total{record} counter",
	"wxnotify_queue_collector_errors_total{} counter",
	"wxnotify_queue_wait_seconds{app,lane} histogram",
	"wxnotify_quota_remaining{api,app} gauge",
	"wxnotify_receipts_total{app,result} counter",
	"wxnotify_redis_up{} gauge",
	"wxnotify_stuck_tasks_total{} counter",
	"wxnotify_canary_timestamp_seconds{app,lane} gauge",
	"wxnotify_canary_wait_seconds{app,lane} gauge",
	"wxnotify_settle_retries_total{} counter",
	"wxnotify_settlements_restored_total{} counter",
	"wxnotify_tasks_set_aside_total{reason} counter",
	"wxnotify_tls_certificate_expires_timestamp_seconds{server} gauge",
	"wxnotify_token_expires_timestamp_seconds{app} gauge",
	"wxnotify_token_refreshes_total{app,cause,result} counter",
	"wxnotify_wechat_request_duration_seconds{api} histogram",
	"wxnotify_wechat_responses_total{api,app,errcode} counter",
}

// full returns a Metrics in which every series has a value.
func full(t *testing.T) *Metrics {
	t.Helper()
	m := New(Info{Version: "v1.2.3", Commit: "abc"})
	m.InitializeFor(someLabels())
	recordAll(m)
	queues := &fakeQueues{infos: map[string]*asynq.QueueInfo{"wx1.default": {Queue: "wx1.default"}}}
	if err := m.CollectQueues(queues, everyQueue); err != nil {
		t.Fatal(err)
	}
	if err := m.CollectCertificate(ServerGateway, time.Now); err != nil {
		t.Fatal(err)
	}
	return m
}

// recordAll calls every recorder once.
func recordAll(m *Metrics) {
	m.Notification("wx1", "subscribe", "accepted")
	m.Attempt("wx1", "subscribe", "transient")
	m.WeChatAnswered("wx1", "subscribe/send", 43101, true, time.Second)
	m.WeChatSilent("wx1", "subscribe/send", time.Second)
	m.QueueWait("wx1", "bulk", time.Second)
	m.EndToEnd("subscribe", time.Second)
	m.TokenRefresh("wx1", "schedule", "ok")
	m.TokenExpires("wx1", time.UnixMilli(1_700_000_000_500))
	m.LimiterWait("wx1", time.Millisecond)
	m.Paused("wx1", "app", 1)
	m.JobSucceeded("token", time.Unix(1_700_000_000, 0))
	m.QuotaUnknown("wx1", "subscribe/send")
	m.QuotaRemaining("wx1", "subscribe/send", 9_000_000)
	m.DeadLetters("wx1", 7)
	m.Enqueued("wx1", "subscribe", EnqueueDuplicate)
	m.GatewayRequest("POST /v1/notifications", 202, time.Millisecond)
	m.Receipt("wx1", ReceiptUndelivered)
	m.Purged(PurgedFormID, 250)
	m.Purged(PurgedFormID, -1)
	m.Event("wx1", "subscribe_msg_popup_event", "queued")
	m.CallbackRequest("wx1", "accepted", time.Millisecond)
	m.CallbackRequest("", "refused", time.Millisecond)
	m.Grant("wx1", GrantFromReport, GrantGranted)
	m.SetAside(SetAsideForeign)
	m.Admission("go")
	m.SettleRetry()
	m.Restored()
	m.LateSettlement()
	m.RedisUp(true)
	m.StuckTask()
	m.Canary("wx1", "bulk", time.Unix(1_700_000_000, 0), 3*time.Second)
}

func TestContract(t *testing.T) {
	t.Parallel()
	var ours []string
	for _, shape := range scrape(t, full(t)).shapes {
		if strings.HasPrefix(shape, "wxnotify_") || strings.HasPrefix(shape, "asynq_") {
			ours = append(ours, shape)
		}
	}
	for _, shape := range contract {
		if !slices.Contains(ours, shape) {
			t.Errorf("missing: %s", shape)
		}
	}
	for _, shape := range ours {
		if !slices.Contains(contract, shape) {
			t.Errorf("not in the contract: %s", shape)
		}
	}
}

func TestRuntimeSeries(t *testing.T) {
	t.Parallel()
	shapes := scrape(t, New(Info{})).shapes
	for _, shape := range []string{"go_goroutines{} gauge", "process_start_time_seconds{} gauge"} {
		if !slices.Contains(shapes, shape) {
			t.Errorf("missing: %s", shape)
		}
	}
}

func TestLint(t *testing.T) {
	t.Parallel()
	problems, err := testutil.GatherAndLint(full(t).registry)
	if err != nil {
		t.Fatal(err)
	}
	// asynqmon queries these gauges under counters' names.
	excepted := []string{"asynq_tasks_enqueued_total", "asynq_queue_paused_total"}
	for _, p := range problems {
		ours := strings.HasPrefix(p.Metric, "wxnotify_") || strings.HasPrefix(p.Metric, "asynq_")
		if ours && !slices.Contains(excepted, p.Metric) {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

func TestRecordedValues(t *testing.T) {
	t.Parallel()
	p := scrape(t, full(t))
	p.want(t, `wxnotify_build_info{commit="abc",goversion="`+runtime.Version()+`",version="v1.2.3"}`, 1)
	p.want(t, `wxnotify_notifications_total{app="wx1",kind="subscribe",outcome="accepted"}`, 1)
	p.want(t, `wxnotify_attempts_total{app="wx1",class="transient",kind="subscribe"}`, 1)
	p.want(t, `wxnotify_wechat_responses_total{api="subscribe/send",app="wx1",errcode="43101"}`, 1)
	p.want(t, `wxnotify_wechat_responses_total{api="subscribe/send",app="wx1",errcode="none"}`, 1)
	p.want(t, `wxnotify_wechat_request_duration_seconds{api="subscribe/send"}`, 2)
	p.want(t, `wxnotify_queue_wait_seconds{app="wx1",lane="bulk"}`, 1)
	p.want(t, `wxnotify_end_to_end_seconds{kind="subscribe"}`, 1)
	p.want(t, `wxnotify_token_refreshes_total{app="wx1",cause="schedule",result="ok"}`, 1)
	p.want(t, `wxnotify_token_expires_timestamp_seconds{app="wx1"}`, 1_700_000_000.5)
	p.want(t, `wxnotify_job_last_success_timestamp_seconds{job="token"}`, 1_700_000_000)
	p.want(t, `wxnotify_quota_remaining{api="subscribe/send",app="wx1"}`, 9_000_000)
	p.want(t, `wxnotify_enqueued_total{app="wx1",kind="subscribe",result="duplicate"}`, 1)
	p.want(t, `wxnotify_gateway_requests_total{code="202",route="POST /v1/notifications"}`, 1)
	p.want(t, `wxnotify_gateway_request_duration_seconds{route="POST /v1/notifications"}`, 1)
	p.want(t, `wxnotify_receipts_total{app="wx1",result="undelivered"}`, 1)
	p.want(t, `wxnotify_purged_total{record="form_id"}`, 250)
	p.want(t, `wxnotify_events_total{app="wx1",event="subscribe_msg_popup_event",result="queued"}`, 1)
	p.want(t, `wxnotify_grants_total{app="wx1",result="granted",source="report"}`, 1)
	p.want(t, `wxnotify_callback_requests_total{app="wx1",result="accepted"}`, 1)
	p.want(t, `wxnotify_callback_requests_total{app="other",result="refused"}`, 1)
	p.want(t, `wxnotify_callback_request_duration_seconds{}`, 2)
	p.want(t, `wxnotify_tasks_set_aside_total{reason="foreign"}`, 1)
	p.want(t, `wxnotify_admissions_total{verdict="go"}`, 1)
	p.want(t, `wxnotify_settle_retries_total{}`, 1)
	p.want(t, `wxnotify_settlements_restored_total{}`, 1)
	p.want(t, `wxnotify_late_settlements_total{}`, 1)
	p.want(t, `wxnotify_redis_up{}`, 1)
	p.want(t, `wxnotify_stuck_tasks_total{}`, 1)
	p.want(t, `wxnotify_canary_timestamp_seconds{app="wx1",lane="bulk"}`, 1_700_000_000)
	p.want(t, `wxnotify_canary_wait_seconds{app="wx1",lane="bulk"}`, 3)
}

func TestGaugesGoBack(t *testing.T) {
	t.Parallel()
	m := full(t)
	m.RedisUp(false)
	m.TokenExpires("wx1", time.Time{})
	m.QuotaRemaining("wx2", "subscribe/send", 0)
	m.QuotaUnknown("wx1", "subscribe/send")
	p := scrape(t, m)
	p.want(t, `wxnotify_quota_remaining{api="subscribe/send",app="wx2"}`, 0)
	p.lacks(t, `wxnotify_quota_remaining{api="subscribe/send",app="wx1"}`)
	p.want(t, `wxnotify_redis_up{}`, 0)
	p.want(t, `wxnotify_token_expires_timestamp_seconds{app="wx1"}`, 0)
}

// Spans over two clocks may be negative; neither a sum nor a count may suffer.
func TestNegativeSpan(t *testing.T) {
	t.Parallel()
	m := New(Info{})
	m.InitializeFor(someLabels())
	m.EndToEnd("subscribe", -time.Minute)
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == "wxnotify_end_to_end_seconds" {
			h := f.GetMetric()[0].GetHistogram()
			if h.GetSampleCount() != 1 || h.GetSampleSum() != 0 {
				t.Errorf("count %d, sum %v; want 1 and 0", h.GetSampleCount(), h.GetSampleSum())
			}
			return
		}
	}
	t.Error("histogram not found")
}

func TestNilMetrics(t *testing.T) {
	t.Parallel()
	var m *Metrics
	m.InitializeFor(someLabels())
	recordAll(m)
	if err := m.CollectQueues(&fakeQueues{}, everyQueue); err != nil {
		t.Error(err)
	}
	if m.Handler() == nil {
		t.Error("no handler")
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	m := New(Info{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() { m.InitializeFor(someLabels()) })
		wg.Go(func() { recordAll(m) })
		wg.Go(func() { scrape(t, m) })
	}
	wg.Wait()
	// What was recorded before its announcement is under Other, the rest is not.
	var recorded float64
	for sample, value := range scrape(t, m).samples {
		if strings.HasPrefix(sample, "wxnotify_notifications_total{") {
			recorded += value
		}
	}
	if recorded != 4 {
		t.Errorf("recorded %v notifications, want 4", recorded)
	}
}
