package errcode

import "slices"

// Reason tells why a notification ended as it did where no errcode tells it.
// It is a closed set, shown in `status` and kept with dead letters.
type Reason string

// The reasons; Reasons explains each.
const (
	ReasonHorizon          Reason = "horizon"
	ReasonUnlisted         Reason = "unlisted"
	ReasonUnanswered       Reason = "unanswered"
	ReasonWorkerDied       Reason = "worker_died"
	ReasonNotAfter         Reason = "not_after"
	ReasonCanceled         Reason = "canceled"
	ReasonPresumedAccepted Reason = "presumed_accepted"
	ReasonUnconnected      Reason = "unconnected"
	ReasonIDConflict       Reason = "id_conflict"
	ReasonNoCredit         Reason = "no_credit"
	ReasonPanic            Reason = "panic"
	ReasonNoToken          Reason = "no_token"
	ReasonLoginCode        Reason = "login_code"
	ReasonUndelivered      Reason = "undelivered"
	ReasonNoFormID         Reason = "no_form_id"
	ReasonRetired          Reason = "retired"
	ReasonForgotten        Reason = "forgotten"
	ReasonPaused           Reason = "paused"
	ReasonArchived         Reason = "archived"
	ReasonCardWindow       Reason = "card_window"
)

// ReasonEntry explains a reason, in the manner of Entry.
type ReasonEntry struct {
	Reason    Reason
	Meaning   string
	MeaningZH string
	Remedy    string
	RemedyZH  string
}

// Reasons lists every reason.
func Reasons() []ReasonEntry {
	return []ReasonEntry{
		{ReasonHorizon,
			"Every attempt failed until RETRY_HORIZON ended.", "在 RETRY_HORIZON 结束前，每次尝试都失败了。",
			"Fix the cause of the last failure, then run wxnotify dead replay if it is still wanted.", "请先排除最后一次失败的原因；如仍需要，再运行 wxnotify dead replay。"},
		{ReasonUnlisted,
			"WeChat answered a code this version does not know, five times.", "微信五次返回本版本未收录的错误码。",
			"Look the code up in WeChat's documentation, then run wxnotify dead replay if it is still wanted.", "请到微信官方文档查询该错误码；如仍需要，再运行 wxnotify dead replay。"},
		{ReasonUnanswered,
			"The request was written and no readable answer came; the user may have got the message.", "请求已发出，但没有收到可读的应答；用户可能已收到该消息。",
			"Ask the user before you send it again under a new id.", "请先向用户确认，再决定是否用新的 id 重发。"},
		{ReasonWorkerDied,
			"A worker died while it was sending; the user may have got the message.", "worker 在发送过程中异常退出；用户可能已收到该消息。",
			"See why the worker died; ask the user before you send it again under a new id.", "请排查 worker 退出的原因；先向用户确认，再决定是否用新的 id 重发。"},
		{ReasonNotAfter,
			"The message expired before it could be sent.", "消息在能够发送之前已过期。",
			"Give not_after more time, or see why the queue was slow.", "请把 not_after 设得更晚，或排查队列变慢的原因。"},
		{ReasonCanceled,
			"The message was canceled before it was sent.", "消息在发送前已被取消。",
			"None needed.", "无需处理。"},
		{ReasonPresumedAccepted,
			"A second try found the consent used up, so WeChat most likely accepted the first, whose answer was lost.", "第二次尝试发现订阅次数已用完，因此应答丢失的第一次很可能已被微信受理。",
			"None needed.", "无需处理。"},
		{ReasonUnconnected,
			"WeChat could not be reached; nothing was sent.", "无法连接微信，消息没有发出。",
			"Check DNS, firewall, proxy and WECHAT_URL from the worker's machine.", "请在 worker 所在机器上检查 DNS、防火墙、代理与 WECHAT_URL。"},
		{ReasonIDConflict,
			"Another message with other content already has this id.", "该 id 已被另一条内容不同的消息使用。",
			"Give every message an id of its own.", "请为每条消息使用独立的 id。"},
		{ReasonNoCredit,
			"The user has no consent left for this template; nothing was sent.", "该用户对此模板已没有可用的订阅次数，消息没有发出。",
			"Ask the user to subscribe again in the Mini Program. If they just did, look at wxnotify credits show: only what the app's CONSENT_SOURCE reports is counted.",
			"请在小程序内引导用户重新订阅。若用户刚刚订阅过，请运行 wxnotify credits show 查看：只有该小程序 CONSENT_SOURCE 所指定来源的上报才会计入。"},
		{ReasonPanic,
			"The worker hit a bug while it handled the message.", "worker 处理该消息时触发了程序缺陷。",
			"Find the stack in the worker's log and report it.", "请在 worker 日志中找到堆栈并反馈。"},
		{ReasonNoToken,
			"No access_token could be had, so nothing was sent.", "无法获取 access_token，消息没有发出。",
			"Run wxnotify token status and wxnotify check.", "请运行 wxnotify token status 与 wxnotify check 查看原因。"},
		{ReasonLoginCode, // The errcode's own remedy is shown after this one.
			"The login code could not be exchanged for the user's openid; nothing was sent.", "登录 code 未能换取用户的 openid，消息没有发出。",
			"If it is still wanted, send it under a new id with a new code.", "如仍需要，请用新的 id 和新的 code 重新发送。"},
		{ReasonUndelivered,
			"WeChat accepted the message and then reported that it was not delivered; the detail is WeChat's word for why.", "微信受理了该消息，随后报告未能送达；详情为微信给出的原因。",
			"WeChat names only failures of its own system here: if it is still wanted, send it again under a new id.", "微信仅在自身系统故障时报告未送达；如仍需要，请用新的 id 重新发送。"},
		{ReasonNoFormID,
			"The user has no usable form_id left; nothing was sent.", "该用户已没有可用的 form_id，消息没有发出。",
			"Collect one on the user's next form submission, report it to /v1/form-ids, then send again under a new id.", "请在用户下次提交表单时收集 form_id 并上报到 /v1/form-ids，再用新的 id 重新发送。"},
		{ReasonRetired,
			"Template messages of this app are held, because WeChat answered that it has retired them (45103).", "微信答复模板消息接口已下线（45103），该小程序的模板消息已暂停发送。",
			"Cancel what waits, or set the app's WECHAT_URL to a gateway that still takes template messages.", "请取消仍在等待的消息，或把该小程序的 WECHAT_URL 指向仍支持模板消息的网关。"},
		{ReasonForgotten,
			"The user's data was erased on request before the message was sent.", "在消息发出之前，该用户的数据已按请求删除。",
			"None needed; the message is not sent.", "无需处理，该消息不会发送。"},
		{ReasonPaused,
			"Sending was paused by hand.", "发送已被人工暂停。",
			"It goes on by itself when the pause ends; wxnotify app resume ends it now.", "暂停到期后会自动恢复；如需立即恢复，请执行 wxnotify app resume。"},
		{ReasonArchived,
			"The queue put the message aside without an outcome: a person archived it, or its worker died too often.", "队列在消息尚无结果时将其归档：有人手动归档，或其 worker 多次异常退出。",
			"See whether workers crash, then run wxnotify dead replay or wxnotify dead drop.", "请检查 worker 是否反复崩溃，再运行 wxnotify dead replay 或 wxnotify dead drop。"},
		{ReasonCardWindow,
			"The time in which WeChat takes this service card was over before it could be sent.", "微信允许激活或更新该服务卡片的时间已过，消息没有发出。",
			"Send sooner: activate within 24 hours of a payment or 5 minutes of a button, update within 30 days or 24 hours after it.",
			"请更早发送：支付后 24 小时内、按钮获取后 5 分钟内激活；激活后 30 天（支付）或 24 小时（按钮）内更新。"},
	}
}

// API is the call whose answer a failure with this reason holds, for LookupFor; ""
// for one that sends.
func (r Reason) API() string {
	switch r {
	case ReasonNoToken:
		return APIToken
	case ReasonLoginCode:
		return APICodeToSession
	}
	return ""
}

// LookupReason explains one reason; false if there is no such reason.
func LookupReason(r Reason) (ReasonEntry, bool) {
	all := Reasons()
	i := slices.IndexFunc(all, func(e ReasonEntry) bool { return e.Reason == r })
	if i < 0 {
		return ReasonEntry{}, false
	}
	return all[i], true
}
