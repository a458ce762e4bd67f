package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/producer/callback/wxcrypt"
)

// What the app's message push page would hold. It protects nothing.
const (
	callbackToken  = "benchCallbackToken"
	callbackAESKey = "benchbenchbenchbenchbenchbenchbenchbenchbeA"
)

// event is the i-th push as JSON, before it is sealed: by turns a user's
// acceptance and what became of a message. No two are the same.
func event(i int, at time.Time) []byte {
	const head = `{"ToUserName":"gh_97417a04a28d","FromUserName":"%s","CreateTime":%d,"MsgType":"event","Event":`
	const popup = head + `"subscribe_msg_popup_event","List":{"TemplateId":"%s","SubscribeStatusString":"accept","PopupScene":"0"}}`
	const sent = head + `"subscribe_msg_sent_event","List":{"TemplateId":"%s","MsgID":"%d","ErrorCode":"0","ErrorStatus":"success"}}`
	if i%2 == 0 {
		return fmt.Appendf(nil, popup, openID(i), at.Unix(), templateID)
	}
	return fmt.Appendf(nil, sent, openID(i), at.Unix(), templateID, 1864323726461255680+i)
}

// sealedPushes are n requests as WeChat makes them in safe mode, ready to be
// written.
func sealedPushes(ctx context.Context, addr string, n int) ([][]byte, error) {
	crypt, err := wxcrypt.New(callbackAESKey, benchApp)
	if err != nil {
		return nil, err
	}
	now := time.Now()
	return wires(n, func(i int) (*http.Request, error) {
		sealed, err := crypt.Seal(event(i, now))
		if err != nil {
			return nil, err
		}
		body := fmt.Appendf(nil, `{"ToUserName":"gh_97417a04a28d","Encrypt":"%s"}`, sealed)
		target := "http://" + addr + callback.Pattern + benchApp + "?" + signed(now, i, sealed).Encode()
		return http.NewRequestWithContext(ctx, http.MethodPost, target, bytes.NewReader(body))
	})
}

// signed is the query of a push.
func signed(at time.Time, i int, sealed string) url.Values {
	timestamp, nonce := strconv.FormatInt(at.Unix(), 10), strconv.Itoa(100_000_000+i)
	return url.Values{
		"timestamp": {timestamp}, "nonce": {nonce}, "openid": {openID(i)}, "encrypt_type": {"aes"},
		"signature":     {wxcrypt.Signature(callbackToken, timestamp, nonce)},
		"msg_signature": {wxcrypt.Signature(callbackToken, timestamp, nonce, sealed)},
	}
}

// openedPushes are the same events for the bare handler: neither signed nor
// sealed.
func openedPushes(ctx context.Context, addr string, n int) ([][]byte, error) {
	now := time.Now()
	return wires(n, func(i int) (*http.Request, error) {
		return http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/", bytes.NewReader(event(i, now)))
	})
}

// wires writes n requests down as they travel.
func wires(n int, request func(i int) (*http.Request, error)) ([][]byte, error) {
	list := make([][]byte, n)
	for i := range list {
		r, err := request(i)
		if err != nil {
			return nil, fmt.Errorf("make push: %w", err)
		}
		r.Header.Set("Content-Type", "application/json")
		var wire bytes.Buffer
		if err := r.Write(&wire); err != nil {
			return nil, fmt.Errorf("make push: %w", err)
		}
		list[i] = wire.Bytes()
	}
	return list, nil
}
