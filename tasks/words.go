package tasks

import "slices"

// Kind is the sort of message a notification becomes at WeChat.
type Kind string

// The kinds.
const (
	// KindSubscribe is a subscription message, one-time or long-term
	// (POST /cgi-bin/message/subscribe/send).
	KindSubscribe Kind = "subscribe"
	// KindTemplate is a template message with a form id
	// (POST /cgi-bin/message/wxopen/template/send). WeChat retired it in 2020 and
	// answers 45103; gateways that are compatible with it remain.
	KindTemplate Kind = "template"
	// KindDevice is a subscription message about a device, to up to MaxOpenIDs users
	// (POST /cgi-bin/message/device/subscribe/send).
	KindDevice Kind = "device"
	// KindCard is a service card, WeChat's new one-time subscription message
	// (POST /wxa/set_user_notify and /wxa/set_user_notifyext).
	KindCard Kind = "card"
)

// Kinds lists every kind this version can send.
func Kinds() []Kind { return []Kind{KindSubscribe, KindTemplate, KindDevice, KindCard} }

// taskTypePrefix sets our task types apart from those of other users of the
// same Redis. A type is the prefix and the kind, so that the dashboard shows it.
const taskTypePrefix = "wxnotify:"

// TaskType is the asynq task type of a kind.
func (k Kind) TaskType() string { return taskTypePrefix + string(k) }

// TemplateType is how long a consent to a template lasts, as WeChat's gettemplate
// says. Stored as a number.
type TemplateType int

// The types.
const (
	TypeUnknown TemplateType = 0
	OneTime     TemplateType = 1 // one acceptance, one message
	LongTerm    TemplateType = 2 // until refused
)

// Priority chooses the lane, and so the queue, of a notification.
type Priority string

// The three lanes. Each has its own queue and its own servers, so a full lane
// never delays another.
const (
	Critical Priority = "critical"
	Default  Priority = "default"
	Bulk     Priority = "bulk"
)

// Priorities lists the lanes, most urgent first.
func Priorities() []Priority { return []Priority{Critical, Default, Bulk} }

// OnUnknown says what happens when nobody can know whether WeChat accepted a
// message: the request was written and no readable answer came.
type OnUnknown string

const (
	// Resend sends once more; a second unknown answer ends it. The default.
	Resend OnUnknown = "resend"
	// Drop ends it with outcome unknown: never twice, perhaps never.
	Drop OnUnknown = "drop"
)

// Outcome is the one recorded end of a notification.
type Outcome string

// The outcomes. Dead is the only one that a person can undo.
const (
	Accepted Outcome = "accepted"  // WeChat took it (errcode 0)
	Rejected Outcome = "rejected"  // the user does not want it (43101)
	Expired  Outcome = "expired"   // not_after passed before it could be sent
	NoCredit Outcome = "no_credit" // nothing the user agreed to covers it
	Canceled Outcome = "canceled"  // withdrawn before an attempt
	Unknown  Outcome = "unknown"   // written, never answered
	Dead     Outcome = "dead"      // only a person can help
)

// Outcomes lists every outcome.
func Outcomes() []Outcome {
	return []Outcome{Accepted, Rejected, Expired, NoCredit, Canceled, Unknown, Dead}
}

// Status is where a notification stands: an outcome, or one of the states
// before it.
type Status string

// The states before an outcome. Every Outcome is a Status too.
const (
	StatusQueued    Status = "queued"    // in its queue, no attempt yet
	StatusScheduled Status = "scheduled" // waits for send_at
	StatusSending   Status = "sending"   // one attempt is in flight
	StatusRetrying  Status = "retrying"  // waits after a failed attempt
)

// The states after outcome accepted, once WeChat has pushed what became of the message.
const (
	StatusDelivered   Status = "delivered"
	StatusUndelivered Status = "undelivered"
)

// Outcome is the outcome that s stands for, "" before there is one.
func (s Status) Outcome() Outcome {
	switch {
	case s == StatusDelivered || s == StatusUndelivered:
		return Accepted
	case slices.Contains(Outcomes(), Outcome(s)):
		return Outcome(s)
	}
	return ""
}

// Final reports whether s is an outcome, or what came after it.
func (s Status) Final() bool { return s.Outcome() != "" }
