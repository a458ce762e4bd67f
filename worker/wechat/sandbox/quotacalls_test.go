package sandbox

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"
)

const sendPath = "/cgi-bin/message/subscribe/send"

func (b *bundle) askQuota(token, path string) reply {
	b.Helper()
	return b.do("POST", "/cgi-bin/openapi/quota/get?access_token="+token, `{"cgi_path":"`+path+`"}`)
}

func (b *bundle) clearQuota(token, app string) reply {
	b.Helper()
	return b.do("POST", "/cgi-bin/clear_quota?access_token="+token, `{"appid":"`+app+`"}`)
}

// wantQuota wants an answer of quota/get with these numbers and this rest.
func (b *bundle) wantQuota(r reply, limit, used, remain int, rest string) {
	b.Helper()
	want := `{"errcode":0,"errmsg":"ok","quota":{"daily_limit":` + strconv.Itoa(limit) + `,"used":` + strconv.Itoa(used) +
		`,"remain":` + strconv.Itoa(remain) + `}` + rest + `}`
	if r.text != want {
		b.Errorf("got  %s\nwant %s", r.text, want)
	}
}

func TestGetQuota(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	b.wantCode(b.send(token, sendBody("n1")), 0)
	b.wantQuota(b.askQuota(token, sendPath), 10_000_000, 1, 9_999_999, "")
	b.wantQuota(b.askQuota(token, "/cgi-bin/stable_token"), 500_000, 1, 499_999, `,"rate_limit":{"call_count":10000,"refresh_second":60}`)
	b.wantQuota(b.askQuota(token, "/cgi-bin/openapi/quota/get"), 30_000_000, 3, 29_999_997, "")
	b.must("PUT", "quotas", `{"app":"wxtest","calls":{"subscribe_send":{"per_second":5}}}`)
	b.wantQuota(b.askQuota(token, sendPath), 30_000_000, 1, 29_999_999, `,"rate_limit":{"call_count":5,"refresh_second":1}`)
	b.must("PUT", "quotas", `{"app":"wxtest","calls":{"subscribe_send":{"per_day":2}}}`)
	b.wantCode(b.send(token, sendBody("n2")), 0)
	b.wantCode(b.send(token, sendBody("n3")), 45009)
	b.wantQuota(b.askQuota(token, sendPath), 2, 2, 0, "")
	b.must("PUT", "quotas", `{"app":"wxtest","calls":{"subscribe_send":{"per_day":1}}}`)
	b.wantQuota(b.askQuota(token, sendPath), 1, 2, 0, "")
	b.clock.advance(12*time.Hour + time.Second) // past midnight in China
	token = b.stable(false).AccessToken
	b.wantQuota(b.askQuota(token, sendPath), 1, 0, 1, "")
}

func TestQuotaCallsRefuse(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	b.wantCode(b.askQuota(token, "/sns/jscode2session"), 76022)
	b.wantCode(b.askQuota(token, "/cgi-bin/message/send"), 76021)
	b.wantCode(b.askQuota(token, "cgi-bin/token"), 76021)
	b.wantCode(b.askQuota(token, ""), 76021)
	b.wantCode(b.clearQuota(token, "wxother"), 40013)
	b.wantCode(b.clearQuota(token, ""), 40013)
	for _, path := range []string{"/cgi-bin/openapi/quota/get?access_token=", "/cgi-bin/clear_quota?access_token="} {
		b.wantCode(b.do("POST", path, `{}`), 41001)
		b.wantCode(b.do("POST", path+"1_x", `{}`), 40014)
		b.wantCode(b.do("GET", path+token, ""), 43002)
		b.wantCode(b.do("POST", path+token, ""), 44002)
		b.wantCode(b.do("POST", path+token, `{"cgi_path":1,"appid":2}`), 47001)
	}
	b.setFaults(Faults{Next: []Script{{API: APIGetQuota, Errcode: 48001}, {API: APIClearQuota, Do: FaultUnavailable}}})
	b.wantCode(b.askQuota(token, sendPath), 48001)
	if r := b.clearQuota(token, testApp); r.status != 503 {
		t.Errorf("HTTP %d", r.status)
	}
	b.must("PUT", "quotas", `{"calls":{"get_quota":{"per_day":1}}}`)
	b.s.Reset()
	b.wantCode(b.askQuota(token, sendPath), 0)
	b.wantCode(b.askQuota(token, sendPath), 45009)
	if n := b.s.Report(false).Apps[testApp].Calls[APIGetQuota].Errcodes[45009]; n != 1 {
		t.Errorf("reported %d", n)
	}
}

func TestClearQuota(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.must("PUT", "quotas", `{"calls":{"subscribe_send":{"per_day":1},"token":{"per_day":1}}}`)
	token := b.classic().AccessToken
	b.wantCode(b.send(token, sendBody("n1")), 0)
	for range 10 {
		b.wantCode(b.send(token, sendBody("n2")), 45009)
		b.wantCode(b.clearQuota(token, testApp), 0)
		b.wantCode(b.send(token, sendBody("n2")), 0)
	}
	b.wantCode(b.classic(), 45009) // not for these
	b.wantCode(b.clearQuota(token, testApp), 48006)
	b.wantCode(b.send(token, sendBody("n3")), 45009)
	b.clock.advance(31 * 24 * time.Hour)
	token = b.classic().AccessToken
	b.wantCode(b.send(token, sendBody("n4")), 0)
	b.wantCode(b.clearQuota(token, testApp), 0) // a new month
}

func TestQuotaAnswers(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	const answers = `{"quota_answers":{"subscribe_send":{"daily_limit":"10","remain":-1},"template_send":null}}`
	b.must("PUT", "faults", answers)
	if got := strings.TrimSpace(b.must("GET", "faults?app=wxtest", "")); got != answers {
		t.Errorf("faults: %s", got)
	}
	if r := b.askQuota(token, sendPath); !strings.Contains(r.text, `"quota":{"daily_limit":"10","remain":-1}`) {
		t.Error(r.text)
	}
	if r := b.askQuota(token, "/cgi-bin/message/wxopen/template/send"); !strings.Contains(r.text, `"quota":null`) {
		t.Error(r.text)
	}
	b.wantQuota(b.askQuota(token, "/wxaapi/newtmpl/gettemplate"), 300, 0, 300, "")
	b.must("PUT", "faults", `{}`)
	b.wantQuota(b.askQuota(token, sendPath), 10_000_000, 0, 10_000_000, "")
	if b.s.SetFaults("", Faults{QuotaAnswers: map[string]json.RawMessage{APISubscribeSend: []byte("{")}}) == nil {
		t.Error("what is no JSON was taken")
	}
}
