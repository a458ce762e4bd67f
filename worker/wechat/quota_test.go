package wechat

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestQuota(t *testing.T) {
	t.Parallel()
	c, requests := recording(t, "/private", `{"errcode":0,"errmsg":"ok","quota":{"daily_limit":10000000,"used":1234,"remain":9998766},
		"rate_limit":{"call_count":5000,"refresh_second":60},"component_rate_limit":{"call_count":1,"refresh_second":1}}`)
	got, err := c.Quota(t.Context(), testToken, PathSubscribeSend)
	want := Quota{Limit: 10_000_000, Used: 1234, Remain: 9_998_766, RateCalls: 5000, RatePeriod: time.Minute}
	if err != nil || got != want {
		t.Errorf("got %+v, %v", got, err)
	}
	r := <-requests
	if r.method != http.MethodPost || r.target != "/private/cgi-bin/openapi/quota/get?access_token="+url.QueryEscape(testToken) ||
		r.body != `{"cgi_path":"/cgi-bin/message/subscribe/send"}` {
		t.Errorf("asked %+v", r)
	}
}

func TestQuotaAnswers(t *testing.T) {
	t.Parallel()
	usual := Quota{Limit: 10, Used: 4, Remain: 6}
	rated := usual
	rated.RateCalls, rated.RatePeriod = 2, time.Second
	tests := []struct {
		name, body string
		want       Quota
	}{
		{"strings", `"quota":{"daily_limit":"10","used":"4","remain":"6"},"rate_limit":{"call_count":"2","refresh_second":"1"}`, rated},
		{"no rate", `"quota":{"daily_limit":10,"used":4,"remain":6}`, usual},
		{"rate of nothing", `"quota":{"daily_limit":10,"used":4,"remain":6},"rate_limit":{"call_count":0,"refresh_second":0}`, usual},
		{"negative rate", `"quota":{"daily_limit":10,"used":4,"remain":6},"rate_limit":{"call_count":5,"refresh_second":-1}`, usual},
		{"endless period", `"quota":{"daily_limit":10,"used":4,"remain":6},"rate_limit":{"call_count":5,"refresh_second":2147483647}`, usual},
		{"odd rate", `"quota":{"daily_limit":10,"used":4,"remain":6},"rate_limit":[7]`, usual},
		{"null rate", `"quota":{"daily_limit":10,"used":4,"remain":6},"rate_limit":null`, usual},
		{"more fields", `"quota":{"daily_limit":10,"used":4,"remain":6,"extra":{}}`, usual},
		{"used up", `"quota":{"daily_limit":10,"used":10,"remain":0}`, Quota{Limit: 10, Used: 10}},
		{"counts are off", `"quota":{"daily_limit":10,"used":4,"remain":7}`, Quota{Limit: 10, Used: 4, Remain: 7}},
		{"overrun", `"quota":{"daily_limit":10,"used":100,"remain":0}`, Quota{Limit: 10, Used: 100}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, 200, `{"errcode":0,`+tt.body+`}`).Quota(t.Context(), testToken, PathSubscribeSend)
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestQuotaRefusals(t *testing.T) {
	t.Parallel()
	const far = "far more used"
	tests := []struct {
		name, body string
		nonsense   bool
		class      errcode.Class
		code       int
		text       string
	}{
		{"no quota", `{"errcode":0,"errmsg":"ok"}`, true, errcode.Unknown, 0, "no quota"},
		{"null", `{"errcode":0,"quota":null}`, true, errcode.Unknown, 0, "no usable daily_limit"},
		{"list", `{"errcode":0,"quota":[1,2,3]}`, true, errcode.Unknown, 0, "no quota"},
		{"empty", `{"errcode":0,"quota":{}}`, true, errcode.Unknown, 0, "no usable daily_limit"},
		{"no used", `{"errcode":0,"quota":{"daily_limit":10,"remain":10}}`, true, errcode.Unknown, 0, "no usable used"},
		{"no remain", `{"errcode":0,"quota":{"daily_limit":10,"used":10}}`, true, errcode.Unknown, 0, "no usable remain"},
		{"limit 0", `{"errcode":0,"quota":{"daily_limit":0,"used":0,"remain":0}}`, true, errcode.Unknown, 0, "daily_limit of 0"},
		{"negative limit", `{"errcode":0,"quota":{"daily_limit":-1,"used":0,"remain":0}}`, true, errcode.Unknown, 0, "no usable daily_limit"},
		{"negative remain", `{"errcode":0,"quota":{"daily_limit":10,"used":11,"remain":-1}}`, true, errcode.Unknown, 0, "no usable remain"},
		{"too much left", `{"errcode":0,"quota":{"daily_limit":10,"used":0,"remain":11}}`, true, errcode.Unknown, 0, "more remain"},
		{"far too much used", `{"errcode":0,"quota":{"daily_limit":10,"used":101,"remain":0}}`, true, errcode.Unknown, 0, far},
		{"all that fits", `{"errcode":0,"quota":{"daily_limit":1,"used":9223372036854775807,"remain":0}}`, true, errcode.Unknown, 0, far},
		{"more than fits", `{"errcode":0,"quota":{"daily_limit":99999999999999999999,"used":0,"remain":0}}`, true, errcode.Unknown, 0, "daily_limit"},
		{"fraction", `{"errcode":0,"quota":{"daily_limit":1e3,"used":0,"remain":0.5}}`, true, errcode.Unknown, 0, "daily_limit"},
		{"words", `{"errcode":0,"quota":{"daily_limit":"many","used":0,"remain":0}}`, true, errcode.Unknown, 0, "daily_limit"},
		{"the answer to a send", `{"errcode":0,"errmsg":"ok","msgid":5}`, true, errcode.Unknown, 0, "no quota"},
		{"path unknown", `{"errcode":76021,"errmsg":"cgi_path not found, please check"}`, false, errcode.Invalid, 76021, "cgi_path"},
		{"path of nobody", `{"errcode":76022,"errmsg":"could not use this cgi_path,no permission"}`, false, errcode.Invalid, 76022, "permission"},
		{"path wrong", `{"errcode":76003}`, false, errcode.Invalid, 76003, ""},
		{"stale token", `{"errcode":"40001","quota":{}}`, false, errcode.Token, 40001, ""},
		{"a page", `<html>`, false, errcode.Unknown, 0, "no JSON"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, 200, tt.body).Quota(t.Context(), testToken, PathSubscribeSend)
			failure, ok := errors.AsType[*Error](err)
			if !ok || got != (Quota{}) || failure.Class != tt.class || failure.Code != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %+v, %v, want class %s, code %d", got, err, tt.class, tt.code)
			}
			if errors.Is(err, ErrQuotaNonsense) != tt.nonsense {
				t.Errorf("%v: nonsense %v, want %v", err, !tt.nonsense, tt.nonsense)
			}
		})
	}
}
