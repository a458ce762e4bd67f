package metrics

import (
	"strings"
	"testing"
	"time"
)

// rate() needs the zero before the first event.
func TestZeroFromTheStart(t *testing.T) {
	t.Parallel()
	m := New(Info{})
	m.InitializeFor(someLabels())
	p := scrape(t, m)
	for _, sample := range []string{
		`wxnotify_notifications_total{app="wx2",kind="subscribe",outcome="dead"}`,
		`wxnotify_attempts_total{app="wx2",class="accepted",kind="subscribe"}`,
		`wxnotify_wechat_request_duration_seconds{api="token"}`,
		`wxnotify_wechat_responses_total{api="token",app="wx2",errcode="0"}`,
		`wxnotify_wechat_responses_total{api="token",app="wx2",errcode="none"}`,
		`wxnotify_wechat_responses_total{api="token",app="wx2",errcode="other"}`,
		`wxnotify_queue_wait_seconds{app="wx2",lane="critical"}`,
		`wxnotify_end_to_end_seconds{kind="subscribe"}`,
		`wxnotify_token_refreshes_total{app="wx2",cause="schedule",result="failed"}`,
		`wxnotify_enqueued_total{app="wx2",kind="subscribe",result="accepted"}`,
		`wxnotify_enqueued_total{app="wx2",kind="subscribe",result="duplicate"}`,
		`wxnotify_enqueued_total{app="wx2",kind="subscribe",result="conflict"}`,
		`wxnotify_enqueued_total{app="wx2",kind="subscribe",result="invalid"}`,
		`wxnotify_enqueued_total{app="wx2",kind="subscribe",result="unavailable"}`,
		`wxnotify_enqueued_total{app="wx2",kind="subscribe",result="busy"}`,
		`wxnotify_gateway_requests_total{code="503",route="POST /v1/notifications"}`,
		`wxnotify_gateway_request_duration_seconds{route="POST /v1/notifications"}`,
		`wxnotify_receipts_total{app="wx2",result="delivered"}`,
		`wxnotify_receipts_total{app="wx2",result="undelivered"}`,
		`wxnotify_receipts_total{app="wx2",result="repeated"}`,
		`wxnotify_purged_total{record="form_id"}`,
		`wxnotify_purged_total{record="subscription"}`,
		`wxnotify_purged_total{record="source"}`,
		`wxnotify_purged_total{record="dead_letter"}`,
		`wxnotify_events_total{app="wx2",event="subscribe_msg_popup_event",result="ignored"}`,
		`wxnotify_grants_total{app="wx2",result="granted",source="event"}`,
		`wxnotify_grants_total{app="wx2",result="refused",source="report"}`,
		`wxnotify_grants_total{app="wx2",result="repeated",source="form_id"}`,
		`wxnotify_grants_total{app="wx2",result="ignored",source="report"}`,
		`wxnotify_callback_requests_total{app="wx2",result="refused"}`,
		`wxnotify_callback_request_duration_seconds{}`,
		`wxnotify_tasks_set_aside_total{reason="garbage"}`,
		`wxnotify_tasks_set_aside_total{reason="foreign"}`,
		`wxnotify_tasks_set_aside_total{reason="newer"}`,
		`wxnotify_tasks_set_aside_total{reason="id_conflict"}`,
		`wxnotify_admissions_total{verdict="done"}`,
		`wxnotify_settle_retries_total{}`, `wxnotify_settlements_restored_total{}`,
		`wxnotify_late_settlements_total{}`,
		`wxnotify_redis_up{}`,
	} {
		p.want(t, sample, 0)
	}
	// 0 would say that the token expired, and the job last ran, in 1970.
	p.lacks(t, "wxnotify_token_expires_timestamp_seconds")
	p.lacks(t, "wxnotify_job_last_success_timestamp_seconds")
	p.lacks(t, "wxnotify_quota_remaining") // 0 would say that it is used up
}

// Parts of a process announce what each knows; the combinations are complete.
func TestAnnouncementsAddUp(t *testing.T) {
	t.Parallel()
	m := New(Info{})
	m.InitializeFor(Labels{Apps: []string{"wx1"}, Kinds: []string{"subscribe"}})
	scrape(t, m).lacks(t, "wxnotify_notifications_total")
	m.Notification("wx1", "subscribe", "dead")
	m.InitializeFor(Labels{Apps: []string{"wx2"}, Outcomes: []string{"dead"}})
	m.Notification("wx1", "subscribe", "dead")
	m.InitializeFor(Labels{})
	p := scrape(t, m)
	p.want(t, `wxnotify_notifications_total{app="wx1",kind="subscribe",outcome="other"}`, 1)
	p.want(t, `wxnotify_notifications_total{app="wx1",kind="subscribe",outcome="dead"}`, 1)
	p.want(t, `wxnotify_notifications_total{app="wx2",kind="subscribe",outcome="dead"}`, 0)
}

// Whatever a request or WeChat says, no label repeats it and the number of
// series stays as it is.
func TestStrangeValuesAreOther(t *testing.T) {
	t.Parallel()
	m := New(Info{})
	m.InitializeFor(someLabels())
	strange := []string{"", "oABCD-openid", "https://example.com/?access_token=T", "\xff\xfe", strings.Repeat("x", 1<<16)}
	recordStrange(m, "first", 0)
	before := len(scrape(t, m).samples)
	for i, s := range strange {
		recordStrange(m, s, i)
	}
	p := scrape(t, m)
	if len(p.samples) != before {
		t.Errorf("%d series, want %d", len(p.samples), before)
	}
	for _, s := range strange[1:3] {
		p.lacks(t, s)
	}
	n := float64(1 + len(strange))
	p.want(t, `wxnotify_notifications_total{app="other",kind="other",outcome="other"}`, n)
	p.want(t, `wxnotify_wechat_responses_total{api="other",app="other",errcode="other"}`, n)
	p.want(t, `wxnotify_enqueued_total{app="other",kind="other",result="other"}`, n)
	p.want(t, `wxnotify_gateway_requests_total{code="other",route="other"}`, n)
	p.want(t, `wxnotify_receipts_total{app="other",result="other"}`, n)
	p.want(t, `wxnotify_purged_total{record="other"}`, n)
	p.want(t, `wxnotify_events_total{app="other",event="other",result="other"}`, n)
	p.want(t, `wxnotify_grants_total{app="other",result="other",source="other"}`, n)
	p.want(t, `wxnotify_callback_requests_total{app="other",result="other"}`, n)
	p.want(t, `wxnotify_tasks_set_aside_total{reason="other"}`, n)
	p.want(t, `wxnotify_admissions_total{verdict="other"}`, n)
}

// recordStrange gives s to every parameter that is a string, n to the numbers.
func recordStrange(m *Metrics, s string, n int) {
	m.Notification(s, s, s)
	m.Attempt(s, s, s)
	m.WeChatAnswered(s, s, 990000+n, false, time.Second)
	m.WeChatSilent(s, s, time.Second)
	m.QueueWait(s, s, time.Second)
	m.EndToEnd(s, time.Second)
	m.TokenRefresh(s, s, s)
	m.TokenExpires(s, time.Now())
	m.JobSucceeded(s, time.Now())
	m.QuotaRemaining(s, s, int64(n))
	m.DeadLetters(s, 1)
	m.Enqueued(s, s, s)
	m.GatewayRequest(s, 1000+n, time.Second)
	m.Receipt(s, s)
	m.Purged(s, 1)
	m.Event(s, s, s)
	m.CallbackRequest(s, s, time.Second)
	m.Grant(s, s, s)
	m.SetAside(s)
	m.Admission(s)
}

func TestCodeLabel(t *testing.T) {
	t.Parallel()
	for code, want := range map[int]string{0: Other, -1: Other, 99: Other, 100: "100", 405: "405", 599: "599", 600: Other} {
		if got := codeLabel(code); got != want {
			t.Errorf("codeLabel(%d) = %q, want %q", code, got, want)
		}
	}
}
