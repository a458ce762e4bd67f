package main_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// Every mode and format in which WeChat may push brings a grant and a receipt.
func TestEveryModeAndFormat(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{sandbox.ModePlain, sandbox.ModeCompatible, sandbox.ModeSafe} {
		w, g := newConsentWorld(t, sandbox.FormatJSON, nil)
		if mode == sandbox.ModePlain {
			delete(w.env, appVariable(testApp, "CALLBACK_AES_KEY"))
			g = w.gateway()
		}
		w.worker(mode, nil)
		for i, format := range []string{sandbox.FormatJSON, sandbox.FormatXML} {
			w.sandbox.control(http.MethodPut, "callback", map[string]string{
				"app": testApp, "url": g.url + "/wechat/" + testApp, "token": callbackToken, "aes_key": callbackKey, "mode": mode, "format": format,
			})
			w.sandbox.answer(i, sandbox.Accept)
			g.awaitLeft(i, 1)
			g.mustSend(message(format, i))
			g.awaitStatus(format, "delivered", 20*time.Second)
		}
		if mode != sandbox.ModePlain {
			w.wantPlainRefused(g)
		}
	}
}

// wantPlainRefused pushes an acceptance in plain text to an app that seals.
func (w *world) wantPlainRefused(g *gatewayProcess) {
	w.t.Helper()
	w.sandbox.control(http.MethodPut, "callback", map[string]string{
		"app": testApp, "url": g.url + "/wechat/" + testApp, "token": callbackToken, "mode": sandbox.ModePlain,
	})
	w.sandbox.answer(9, sandbox.Accept)
	taskstest.Eventually(w.t, 20*time.Second, func() string {
		if n := series(w.t, g.admin, "wxnotify_callback_requests_total", map[string]string{"app": testApp, "result": "refused"}); n == 0 {
			return "no push was refused"
		}
		return ""
	})
	if n := g.left(9); n > 0 {
		w.t.Errorf("a push in plain text granted %d credits to a user of an app that seals", n)
	}
}
