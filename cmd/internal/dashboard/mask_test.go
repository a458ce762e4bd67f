package dashboard

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks"
)

func TestMaskOpenID(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{openID: "oC•••qr", "": "", "short": "•••", "12345678": "12•••78"} {
		if got := maskOpenID(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestMaskErrorText(t *testing.T) {
	t.Parallel()
	ours := tasks.KindSubscribe.TaskType()
	for _, tc := range []struct{ taskType, in, want string }{
		{ours, "", ""},
		{ours, "wechat: 43101 user refuses, rid 65f0-1", "wechat: 43101 user refuses, rid 65f0-1"},
		{ours, "to (" + openID + ")", "to (oC•••qr)"},
		{ours, "panic error cause by: panic [worker/send.go:7]: " + content + "\nmore " + content, "panic error cause by: panic [worker/send.go:7]"},
		{"wxnotify-job:token-refresh", "token: renewal refused", "token: renewal refused"},
		{"mail:send", "to ann@example.org", "18 bytes, not shown"},
		{"", "x", "1 bytes, not shown"},
	} {
		if got := maskErrorText(tc.taskType, tc.in); got != tc.want {
			t.Errorf("%s %q: %q, want %q", tc.taskType, tc.in, got, tc.want)
		}
	}
}

const snCanary = "CANARY-sn-or-notify-code"

func TestNothingPrivateOfAPayloadIsShown(t *testing.T) {
	t.Parallel()
	for taskType, payload := range map[string]string{
		"wxnotify:template":                             `{"v":2,"app":"wx1","id":"a","code":"` + content + `","form":"` + content + `","tpl":"t","data":{"keyword1":"` + content + `"},"enq":1,"hash":"h"}`,
		"wxnotify-event:subscribe_msg_popup_event":      `{"v":1,"app":"wx1","to":"` + openID + `","at":1,"src":"s","items":[{"t":"tpl","s":"accept"}]}`,
		"wxnotify:device":                               `{"v":1,"app":"wx1","id":"a","tos":["` + openID + `","oB"],"sn":"` + snCanary + `","model":"m","tpl":"t","data":{"enum_string1":"` + content + `"},"enq":1,"hash":"h"}`,
		"wxnotify:card":                                 `{"v":1,"app":"wx1","id":"a","to":"` + openID + `","type":2010,"ncode":"` + snCanary + `","cont":{"cur_status":1,"a":"` + content + `"},"chk":{"pay_amount":1,"pay_time":2,"a":"` + content + `"},"enq":1,"hash":"h"}`,
		"wxnotify-event:notify_service_msg_send_result": `{"v":1,"app":"wx1","to":"` + openID + `","at":1,"src":"s","items":[{"k":2010,"n":"` + snCanary + `","st":1,"c":-1004}]}`,
		"wxnotify-canary:1":                             `{"at":1700000000000,"x":"` + openID + `"}`,
		"wxnotify-event:of-a-later-version":             `{"v":9,"to":"` + openID + `"}`,
	} {
		shown := formatPayload(taskType, []byte(payload))
		if strings.Contains(shown, openID) || strings.Contains(shown, content) || strings.Contains(shown, snCanary) {
			t.Errorf("%s: %s", taskType, shown)
		}
		if !strings.Contains(shown, "wx1") && !strings.Contains(shown, "canary") && !strings.Contains(shown, "not shown") {
			t.Errorf("%s shows too little: %s", taskType, shown)
		}
	}
}

func FuzzFormatPayload(f *testing.F) {
	f.Add("wxnotify:subscribe", `{"v":1,"app":"wx1","id":"a","to":"`+openID+`","tpl":"t","data":{"thing1":"`+content+`"},"enq":1,"hash":"h"}`)
	f.Add("mail:send", openID)
	f.Add("wxnotify-job:token-refresh", `{"job":"token-refresh","app":"wx1","slot":1}`)
	f.Fuzz(func(t *testing.T, taskType, payload string) {
		// Ids are shown, so only what reads as a recipient or a value may not.
		shown := formatPayload(taskType, []byte(payload))
		e, err := tasks.Decode(taskType, []byte(payload))
		if err != nil {
			return
		}
		for _, secret := range append(slices.Collect(maps.Values(e.Data)), e.To.OpenID, e.SN, e.NotifyCode, string(e.Content)) {
			if len(secret) > 20 && strings.Contains(shown, secret) && !strings.Contains(e.ID+e.App+e.TemplateID, secret) {
				t.Errorf("shown: %s", shown)
			}
		}
	})
}
