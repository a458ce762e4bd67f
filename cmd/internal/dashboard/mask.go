package dashboard

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks"
)

// summary is what is shown of a notification.
type summary struct {
	Version    int               `json:"version"`
	App        string            `json:"app"`
	Kind       tasks.Kind        `json:"kind"`
	ID         string            `json:"id"`
	To         string            `json:"to,omitempty"`
	Code       string            `json:"code,omitempty"`
	TemplateID string            `json:"template_id"`
	FormID     string            `json:"form_id,omitempty"`
	Recipients int               `json:"recipients,omitempty"`
	SN         string            `json:"sn,omitempty"`
	ModelID    string            `json:"model_id,omitempty"`
	NotifyType string            `json:"notify_type,omitempty"`
	NotifyCode string            `json:"notify_code,omitempty"`
	Content    string            `json:"content,omitempty"`
	Check      string            `json:"check,omitempty"`
	Ext        string            `json:"ext,omitempty"`
	Data       map[string]string `json:"data"`
	State      string            `json:"miniprogram_state"`
	Lang       string            `json:"lang"`
	Priority   tasks.Priority    `json:"priority"`
	OnUnknown  tasks.OnUnknown   `json:"on_unknown"`
	EnqueuedAt time.Time         `json:"enqueued_at"`
	SendAt     time.Time         `json:"send_at,omitzero"`
	NotAfter   time.Time         `json:"not_after,omitzero"`
}

// formatPayload shows a task of ours without its recipient and content, and of
// any other only its size.
func formatPayload(taskType string, payload []byte) string {
	e, err := tasks.Decode(taskType, payload)
	switch {
	case err == nil:
		return summarize(e, payload)
	case errors.Is(err, tasks.ErrNewer):
		return "written by a newer version of wxnotify: " + notShown(len(payload))
	}
	if job, err := tasks.DecodeJob(taskType, payload); err == nil {
		return marshal(job)
	}
	if event, err := tasks.DecodeEvent(taskType, payload); err == nil {
		return summarizeEvent(event)
	}
	if sent, canary := tasks.DecodeCanary(taskType, payload); canary {
		return marshal(canarySummary{Canary: true, SentAt: sent})
	}
	return notShown(len(payload))
}

// canarySummary is what is shown of a canary, which holds nothing else.
type canarySummary struct {
	Canary bool      `json:"canary"`
	SentAt time.Time `json:"sent_at,omitzero"`
}

// eventSummary is what is shown of a push.
type eventSummary struct {
	App   string            `json:"app"`
	Name  tasks.EventName   `json:"event"`
	To    string            `json:"to"`
	At    time.Time         `json:"at"`
	Items []tasks.EventItem `json:"items"`
}

func summarizeEvent(e tasks.Event) string {
	e.Items = slices.Clone(e.Items)
	for i := range e.Items {
		e.Items[i].NotifyCode = masked(e.Items[i].NotifyCode)
	}
	return marshal(eventSummary{App: e.App, Name: e.Name, To: maskOpenID(e.OpenID), At: e.At, Items: e.Items})
}

func summarize(e tasks.Envelope, payload []byte) string {
	s := summary{
		App: e.App, Kind: e.Kind, ID: e.ID, To: maskOpenID(e.To.OpenID), Code: masked(e.To.Code),
		TemplateID: e.TemplateID, FormID: masked(e.FormID),
		Recipients: len(e.To.OpenIDs), SN: masked(e.SN), ModelID: e.ModelID,
		NotifyCode: masked(e.NotifyCode), Content: masked(string(e.Content)), Check: masked(string(e.Check)), Ext: masked(string(e.Ext)),
		Data: make(map[string]string, len(e.Data)), State: e.MiniprogramState, Lang: e.Lang,
		Priority: e.Priority, OnUnknown: e.OnUnknown, EnqueuedAt: e.EnqueuedAt, SendAt: e.SendAt, NotAfter: e.NotAfter,
	}
	var wire struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(payload, &wire); err == nil { // Decode has read it before
		s.Version = wire.V
	}
	if e.Kind == tasks.KindCard {
		s.NotifyType = e.NotifyType.String()
	}
	for key, value := range e.Data {
		s.Data[key] = masked(value)
	}
	return marshal(s)
}

// masked tells how long a value is, and nothing else. Of an empty one nothing is shown.
func masked(value string) string {
	if value == "" {
		return ""
	}
	return fmt.Sprintf("•••(%d)", utf8.RuneCountInString(value))
}

// formatResult shows that there is a result, and how long it is.
func formatResult(_ string, result []byte) string {
	if len(result) == 0 {
		return ""
	}
	return notShown(len(result))
}

func notShown(n int) string { return fmt.Sprintf("%d bytes, not shown", n) }

func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return "cannot be shown"
	}
	return string(text)
}

// maskOpenID keeps enough to tell two users apart side by side, and nothing that
// could be looked up.
func maskOpenID(openID string) string {
	if openID == "" {
		return ""
	}
	if len(openID) < 8 {
		return "•••"
	}
	return openID[:2] + "•••" + openID[len(openID)-2:]
}

var (
	// opaque finds words that may be openids, among others.
	opaque = regexp.MustCompile(`[A-Za-z0-9_-]+`)
	// panicked is the place in the error that asynq makes of a panic; what follows
	// is the value, which may be anything.
	panicked = regexp.MustCompile(`(?s)(panic \[[^\]]*\]).*`)
)

// openIDLength is how long the openids in WeChat's documentation are, each
// beginning with an o.
const openIDLength = 28

// maskErrorText shows the errors of our own tasks, which hold nobody's data by
// themselves, without what looks like an openid all the same. What others wrote
// about their tasks is not ours to show.
func maskErrorText(taskType, text string) string {
	if text == "" {
		return ""
	}
	if tasks.Foreign(taskType) {
		return notShown(len(text))
	}
	text = panicked.ReplaceAllString(text, "$1")
	return opaque.ReplaceAllStringFunc(text, func(word string) string {
		if len(word) == openIDLength && word[0] == 'o' {
			return maskOpenID(word)
		}
		return word
	})
}
