package worker_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// clearQuota asks the sandbox to begin the day's counts anew, as a person does.
func (b *bundle) clearQuota() {
	b.Helper()
	accessToken := b.rdb.HGet(b.Context(), "wxn:token:{"+app+"}", "value").Val()
	resp, err := http.Post(b.url+"/cgi-bin/clear_quota?access_token="+accessToken, "application/json", strings.NewReader(`{"appid":"`+app+`"}`))
	if err != nil {
		b.Fatal("clear_quota was not answered")
	}
	defer func() { _ = resp.Body.Close() }()
	if text, err := io.ReadAll(resp.Body); err != nil || !strings.Contains(string(text), `"errcode":0`) {
		b.Fatalf("%s %v", text, err)
	}
}

// useUp sends more than the sandbox takes in a day, and waits for the pause.
func (b *bundle) useUp(messages, perDay int) ledger.Pause {
	b.Helper()
	if err := b.wechat.SetQuotas(app, sandbox.Quotas{sandbox.APISubscribeSend: {PerDay: int64(perDay)}}); err != nil {
		b.Fatal(err)
	}
	b.holdSchedule()
	for i := range messages {
		b.send(notification(fmt.Sprint(i)))
	}
	b.start()
	p := b.awaitPause(ledger.ScopeApp)
	b.awaitQuiet()
	return p
}

// The quota is there again before the pause's time is over: the next reading finds it,
// a probe makes sure, and all goes on.
func TestARefilledQuotaIsFound(t *testing.T) {
	b := setup(t)
	const messages, perDay = 80, 50
	p := b.useUp(messages, perDay)
	now := time.Now()
	b.runQuota(now)
	if again := b.awaitPause(ledger.ScopeApp); !reflect.DeepEqual(again, p) {
		t.Errorf("%+v, want it untouched while none is left: %+v", again, p)
	}
	b.clearQuota()
	before := b.sends()
	b.runQuota(now.Add(time.Second))
	for i := range messages {
		if s := b.await(fmt.Sprint(i), "accepted"); s.Attempts != 1 {
			t.Errorf("%+v, want one attempt", s)
		}
	}
	if after := b.sends(); after.Errcodes[45009] != before.Errcodes[45009] || after.Errcodes[0] != messages {
		t.Errorf("%v, before that %v", after.Errcodes, before.Errcodes)
	}
	if n := len(b.pauses().Pauses); n != 0 {
		t.Errorf("%d pauses are left", n)
	}
}

// A quota/get that says that some is left where none is costs one send for each reading.
func TestALyingQuotaCostsOneProbe(t *testing.T) {
	b := setup(t)
	b.useUp(60, 20)
	b.faults(sandbox.Faults{QuotaAnswers: map[string]json.RawMessage{sandbox.APISubscribeSend: []byte(`{"daily_limit":20,"used":19,"remain":1}`)}})
	now, calls := time.Now(), b.sends()
	for reading := range 3 {
		b.runQuota(now.Add(time.Duration(reading) * time.Second))
		b.awaitProlonged(reading + 1)
		b.awaitQuiet()
		if got := b.sends(); got.Received != calls.Received+int64(reading)+1 || got.Errcodes[0] != 20 {
			t.Errorf("after reading %d: %d calls more, %v", reading+1, got.Received-calls.Received, got.Errcodes)
		}
	}
	if s := b.await("59", tasks.StatusQueued); s.Attempts != 0 || s.Errcode != 45009 {
		t.Errorf("%+v", s)
	}
}

// awaitProlonged waits until so many probes have found that the pause is not over.
func (b *bundle) awaitProlonged(tries int) {
	b.Helper()
	taskstest.Eventually(b, 60*time.Second, func() string {
		list := b.pauses()
		if len(list.Pauses) != 1 || list.Pauses[0].Tries != tries || !list.Pauses[0].InForce(list.Now) {
			return fmt.Sprintf("%+v, want one, prolonged %d times\n%s", list.Pauses, tries, b.log.tail())
		}
		return ""
	})
}

// What is left of another kind's quota, or what WeChat does not tell, says nothing of a
// pause; nor does a quota end a pause that has another cause.
func TestWhatAQuotaSaysNothingOf(t *testing.T) {
	b := setup(t)
	pauses := ledger.NewPauses(b.rdb, "")
	key := func(scope ledger.Scope, name string) ledger.PauseKey {
		return ledger.PauseKey{App: app, Scope: scope, Name: name}
	}
	subscribe, template := key(ledger.ScopeKind, string(tasks.KindSubscribe)), key(ledger.ScopeKind, string(tasks.KindTemplate))
	for k, code := range map[ledger.PauseKey]int{subscribe: 45009, template: 48001, key(ledger.ScopeTemplate, string(tasks.KindTemplate)): 43107} {
		if _, _, err := pauses.Begin(t.Context(), ledger.Pause{PauseKey: k, By: ledger.PauseByProbe, Errcode: code}, ledger.Lengths{First: time.Hour}); err != nil {
			t.Fatal(err)
		}
	}
	b.holdSchedule()
	b.start()
	inForce := func(now time.Time) (keys []ledger.PauseKey) {
		b.runQuota(now)
		list := b.pauses()
		for _, p := range list.Pauses {
			if p.InForce(list.Now) {
				keys = append(keys, p.PauseKey)
			}
		}
		return keys
	}
	now := time.Now()
	b.faults(sandbox.Faults{Next: []sandbox.Script{{API: sandbox.APIGetQuota, Do: sandbox.FaultBadGateway, Count: 1}}})
	if keys := inForce(now); len(keys) != 3 {
		t.Errorf("in force: %v, want all: of the sends' quota nothing was said", keys)
	}
	if keys := inForce(now.Add(time.Second)); len(keys) != 2 || keys[0] != template {
		t.Errorf("in force: %v, want all but that of %v", keys, subscribe)
	}
}
