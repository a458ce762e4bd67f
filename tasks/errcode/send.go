package errcode

// sendTable holds the codes of the message calls: subscribe, the retired
// form_id template message and device messages.
//
// Sources: WeChat's pages on subscribeMessage.send and on device messages, the
// old page on form ids; 40032, 40033, 43116, 43117, 40241, 45103, 45109 and
// 9800006 come from reports.
func sendTable() []Entry {
	return []Entry{
		{Code: 40003, Class: Invalid,
			Meaning: "The openid is wrong or belongs to another app.", MeaningZH: "openid 错误，或属于其他小程序。",
			Remedy: "Check where the openid comes from: it must be of this very AppID.", RemedyZH: "请检查 openid 的来源，它必须属于当前 AppID。"},
		{Code: 40032, Class: Invalid,
			Meaning: "The list of openids has a wrong size.", MeaningZH: "openid 列表的数量不合法。",
			Remedy: "Send to fewer openids at once.", RemedyZH: "请减少一次发送的 openid 数量。"},
		{Code: 40033, Class: Invalid,
			Meaning: "The body has characters or escapes that WeChat refuses.", MeaningZH: "请求体含有微信不接受的字符或转义。",
			Remedy: "Remove control and unusual characters from the values and send again.", RemedyZH: "请去掉内容中的控制字符与特殊字符后重新发送。"},
		{Code: 40037, Class: Invalid,
			Meaning: "The template_id is empty, wrong, of another app or of another type.", MeaningZH: "template_id 为空、错误，或属于其他小程序、其他类型。",
			Remedy: "Copy the template id from this app's list in the WeChat console.", RemedyZH: "请从微信公众平台中该小程序的模板列表复制 template_id。"},
		// Reported for official accounts only, unconfirmed here. WeChat has taken
		// this very message less than a minute ago, so a retry after that minute
		// would be the duplicate it prevents, and there is nothing to repair: refused.
		// It says nothing about consent, unlike 43101.
		{Code: 40241, Class: Refused,
			Meaning: "WeChat took the same message for this user less than 60 seconds ago.", MeaningZH: "60 秒内已受理过发给该用户的相同消息。",
			Remedy: "None needed for a repeated message; a different one needs different content or more time.", RemedyZH: "重复的消息无需处理；若确是另一条消息，请修改内容或稍后再发。"},
		{Code: 41028, Class: Invalid,
			Meaning: "The form_id is wrong or older than 7 days.", MeaningZH: "form_id 错误，或已超过 7 天。",
			Remedy:   "None needed while the user has another stored form_id: this one is dropped and the next is tried. After the last one, collect a new form_id from the user.",
			RemedyZH: "若该用户还有其他已存的 form_id，则无需处理：会丢弃这一个并改用下一个。全部用完后，请重新收集该用户的 form_id。"},
		{Code: 41029, Class: Invalid,
			Meaning: "The form_id has been used already.", MeaningZH: "form_id 已被使用。",
			Remedy:   "None needed while the user has another stored form_id: this one is dropped and the next is tried. After the last one, collect a new form_id; each is good for one message.",
			RemedyZH: "若该用户还有其他已存的 form_id，则无需处理：会丢弃这一个并改用下一个。全部用完后，请重新收集；每个 form_id 只能发送一条消息。"},
		{Code: 41030, Class: Invalid,
			Meaning: "The page is not in the released version of the Mini Program.", MeaningZH: "page 不在小程序的线上版本中。",
			Remedy: "Correct the page path or release the version that has it.", RemedyZH: "请改正 page 路径，或先发布包含该页面的版本。"},
		{Code: 43101, Class: Refused,
			Meaning: "The user has not subscribed, used the consent up or turned messages off.", MeaningZH: "用户未订阅、订阅次数已用完，或已关闭消息。",
			Remedy: "None needed; ask the user to subscribe again in the Mini Program.", RemedyZH: "无需处理；请在小程序内引导用户重新订阅。"},
		{Code: 43107, Class: Misconfigured,
			Meaning: "The account's ability to send subscribe messages, or this template, is blocked.", MeaningZH: "账号的订阅消息能力或该模板已被封禁。",
			Remedy: "Read the notice in the WeChat console, appeal or change the template; sending then goes on by itself.", RemedyZH: "请查看微信公众平台的通知，申诉或更换模板，之后会自动继续发送。"},
		{Code: 43108, Class: Transient,
			Meaning: "Another message to the same user was being sent at that moment.", MeaningZH: "同一时刻正在向该用户发送另一条消息。",
			Remedy: "None needed, it is retried. If it keeps coming, another program sends to the same users.", RemedyZH: "无需处理，会自动重试。若反复出现，说明另有程序在向同一批用户发送。"},
		{Code: 43116, Class: Invalid,
			Meaning: "This template is banned.", MeaningZH: "该模板已被封禁。",
			Remedy: "Use another template; read the notice in the WeChat console.", RemedyZH: "请更换模板，并查看微信公众平台的通知。"},
		// Reported for official accounts only, unconfirmed here. Nothing is wrong
		// with the message, only its moment, and backing off spaces it out.
		{Code: 43117, Class: Transient,
			Meaning: "Too many messages to this user in a short time.", MeaningZH: "短时间内发给该用户的消息过于频繁。",
			Remedy: "None needed, it is retried. If it keeps coming, send this user fewer messages.", RemedyZH: "无需处理，会自动重试。若反复出现，请减少发给该用户的消息。"},
		{Code: 45103, Class: Misconfigured,
			Meaning: "WeChat has retired this API: form_id template messages ended in 2020.", MeaningZH: "该接口已下线：form_id 模板消息已于 2020 年停用。",
			Remedy:   "Move to subscribe messages. Template messages of this app are held, everything else of it goes on.",
			RemedyZH: "请改用订阅消息。该小程序的模板消息会被暂停，其他消息照常发送。"},
		{Code: 45109, Class: Misconfigured,
			Meaning: "WeChat has retired this API: the uniform message ended in 2023.", MeaningZH: "该接口已下线：统一服务消息已于 2023 年停用。",
			Remedy: "Move to subscribe messages.", RemedyZH: "请改用订阅消息。"},
		{Code: 45168, Class: Invalid,
			Meaning: "The content has words WeChat does not allow.", MeaningZH: "内容含有敏感词。",
			Remedy: "Change the wording and send it as a new message.", RemedyZH: "请修改文案后作为新消息发送。"},
		{Code: 47001, Class: Invalid,
			Meaning: "WeChat could not read the body, or a parameter is missing.", MeaningZH: "微信无法解析请求体，或缺少参数。",
			Remedy: "Check whether a proxy or gateway changes the body; otherwise report it as a bug.", RemedyZH: "请检查代理或网关是否改写了请求体；若没有，请当作程序缺陷反馈。"},
		{Code: 47003, Class: Invalid,
			Meaning: "A value breaks the rules of the template; the message names the key.", MeaningZH: "某个参数值不符合模板规则，错误信息中有该参数名。",
			Remedy: "Correct the value of the named key: length, type, and every key of the template present.", RemedyZH: "请改正该参数的值：长度、类型，且模板中的参数须齐全。"},
		{Code: 9800001, Class: Invalid,
			Meaning: "The device's sn is longer than 128 bytes.", MeaningZH: "设备 sn 超过 128 字节。",
			Remedy: "Shorten the sn.", RemedyZH: "请缩短 sn。"},
		{Code: 9800002, Class: Invalid,
			Meaning: "The device's sn has characters other than letters, digits, _ and -.", MeaningZH: "设备 sn 含有字母、数字、_ 和 - 以外的字符。",
			Remedy: "Correct the sn.", RemedyZH: "请改正 sn。"},
		{Code: 9800003, Class: Invalid,
			Meaning: "The device's model_id is not valid.", MeaningZH: "设备 model_id 校验失败。",
			Remedy: "Copy the model_id from the WeChat console.", RemedyZH: "请从微信公众平台复制 model_id。"},
		{Code: 9800006, Class: Invalid,
			Meaning: "The model_id and sn are not those the user subscribed with.", MeaningZH: "model_id 与 sn 和用户订阅时的不一致。",
			Remedy: "Send with the model_id and sn used at subscription.", RemedyZH: "请使用订阅时的 model_id 与 sn 发送。"},
	}
}
