// Package wxcrypt signs, opens and seals what WeChat's message push carries in
// safe and compatible mode: AES-256-CBC under the EncodingAESKey, signed with
// SHA-1 over the callback token; see "消息推送" in the WeChat documentation.
//
// CBC alone lets a stranger alter what is opened, and the way a failure shows
// could help them to read it. So verify the message's signature before opening
// it; and as a second line every failure of Open is the same [ErrOpen], found
// without a branch on what was opened.
package wxcrypt
