package worker

import (
	"context"
	"sync"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// sendTemplate sends kind template.
func sendTemplate(client *wechat.Client) caller {
	return func(ctx context.Context, accessToken string, e tasks.Envelope) (string, error) {
		result, err := client.SendTemplate(ctx, accessToken, wechat.TemplateMessage{
			ToUser:          e.To.OpenID,
			TemplateID:      e.TemplateID,
			Page:            e.Page,
			FormID:          e.FormID,
			Data:            e.Data,
			EmphasisKeyword: e.EmphasisKeyword,
		})
		return result.MsgID, err
	}
}

// codeRetired is WeChat's answer to every template message since 2020.
const codeRetired = 45103

// probeEvery is how often one template message is sent to see whether the app can
// send them again, as after a change of its gateway.
const probeEvery = 10 * time.Minute

// retired holds an app's template messages back after WeChat said that it takes
// none any more. What else the app sends goes on.
type retired struct {
	now func() time.Time

	mu    sync.Mutex
	until time.Time
}

// answer is what a message gets instead of a call; false if it may be sent.
func (r *retired) answer(k tasks.Kind) (answer, bool) {
	if k != tasks.KindTemplate {
		return answer{}, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch now := r.now(); {
	case r.until.IsZero():
		return answer{}, false
	case now.Before(r.until):
		return answer{class: errcode.Misconfigured, errcode: codeRetired, reason: errcode.ReasonRetired}, true
	default:
		r.until = now.Add(probeEvery) // this one finds out, the others go on waiting
		return answer{}, false
	}
}

// learn draws the conclusion from a call's answer.
func (r *retired) learn(k tasks.Kind, a answer) {
	if k != tasks.KindTemplate {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case a.errcode == codeRetired:
		r.until = r.now().Add(probeEvery)
	case a.errcode != 0 || a.class == errcode.Accepted: // another answer of WeChat's
		r.until = time.Time{}
	}
}
