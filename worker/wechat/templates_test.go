package wechat

import (
	"errors"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

func TestTemplates(t *testing.T) {
	t.Parallel()
	c, requests := recording(t, "", `{"errcode":0,"errmsg":"ok","data":[
		{"priTmplId":"T_ONE","title":"报名结果","content":"时间:{{date2.DATA}}\n","example":"时间:2016年8月8日\n","type":2},
		{"priTmplId":"T_LONG","title":"故障提醒","content":"位置:{{enum_string2.DATA}}\n","example":"","type":3,
		 "keywordEnumValueList":[{"keywordCode":"enum_string2.DATA","enumValueList":["客厅","餐厅"]}]}]}`)
	got, err := c.Templates(t.Context(), testToken)
	want := []Template{
		{ID: "T_ONE", Type: 2, Title: "报名结果", Content: "时间:{{date2.DATA}}\n", Example: "时间:2016年8月8日\n"},
		{ID: "T_LONG", Type: 3, Title: "故障提醒", Content: "位置:{{enum_string2.DATA}}\n",
			Enums: []Enum{{KeywordCode: "enum_string2.DATA", Values: []string{"客厅", "餐厅"}}}},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	r := <-requests
	if r.method != http.MethodGet || r.target != "/wxaapi/newtmpl/gettemplate?access_token="+url.QueryEscape(testToken) || r.body != "" {
		t.Errorf("asked %+v", r)
	}
}

func TestTemplatesAnswers(t *testing.T) {
	t.Parallel()
	one := []Template{{ID: "T"}}
	tests := []struct {
		name, data string
		want       []Template
	}{
		{"none", `[]`, nil},
		{"type as a string", `[{"priTmplId":"T","type":"3"}]`, []Template{{ID: "T", Type: 3}}},
		{"type not explained", `[{"priTmplId":"T","type":7}]`, []Template{{ID: "T", Type: 7}}},
		{"no type", `[{"priTmplId":"T"}]`, one},
		{"odd type", `[{"priTmplId":"T","type":{}}]`, one},
		{"null enums", `[{"priTmplId":"T","keywordEnumValueList":null}]`, one},
		{"odd enums", `[{"keywordEnumValueList":{"a":1},"priTmplId":"T"}]`, one},
		{"odd enum", `[{"keywordEnumValueList":[7],"priTmplId":"T"}]`, []Template{{ID: "T", Enums: []Enum{{}}}}},
		{"odd values", `[{"keywordEnumValueList":[{"enumValueList":"x"}],"priTmplId":"T"}]`, []Template{{ID: "T", Enums: []Enum{{}}}}},
		{"others are not templates", `[7,null,"x",{"title":"no id"},{"priTmplId":8},{"priTmplId":"T"}]`, one},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, 200, `{"errcode":0,"data":`+tt.data+`}`).Templates(t.Context(), testToken)
			if err != nil || !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestTemplatesRefusals(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, body string
		class      errcode.Class
		code       int
		text       string
	}{
		{"no list", `{"errcode":0,"errmsg":"ok"}`, errcode.Unknown, 0, "no list"},
		{"null", `{"errcode":0,"data":null}`, errcode.Unknown, 0, "no list"},
		{"object", `{"errcode":0,"data":{"priTmplId":"T"}}`, errcode.Unknown, 0, "no list"},
		{"nothing readable", `{"errcode":0,"data":[7,{}]}`, errcode.Unknown, 0, "no template with an id"},
		{"the answer to a send", `{"errcode":0,"errmsg":"ok","msgid":5}`, errcode.Unknown, 0, "no list"},
		{"quota", `{"errcode":45009,"errmsg":"reach max api daily quota limit"}`, errcode.Exhausted, 45009, "quota"},
		{"stale token", `{"errcode":40001,"data":[]}`, errcode.Token, 40001, ""},
		{"service error", `{"errcode":200001}`, errcode.Transient, 200001, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := answering(t, 200, tt.body).Templates(t.Context(), testToken)
			failure, ok := errors.AsType[*Error](err)
			if !ok || got != nil || failure.Class != tt.class || failure.Code != tt.code || !strings.Contains(err.Error(), tt.text) {
				t.Errorf("got %+v, %v, want class %s, code %d", got, err, tt.class, tt.code)
			}
		})
	}
}

// The list may be large; no other answer may.
func TestOnlyTemplatesMayBeLarge(t *testing.T) {
	t.Parallel()
	body := `{"errcode":0,"access_token":"t","expires_in":7200,"openid":"o1","quota":{"daily_limit":1,"used":0,"remain":1},"data":[{"priTmplId":"T","content":"` +
		strings.Repeat("x", maxTemplatesBody-200) + `"}]}`
	c := answering(t, 200, body)
	for _, call := range calls {
		err := call.do(t.Context(), c)
		if call.api == errcode.APIGetTemplates {
			if err != nil {
				t.Errorf("%s: %v", call.api, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "larger than 64 KiB") {
			t.Errorf("%s: got %v", call.api, err)
		}
	}
	_, err := answering(t, 200, body+strings.Repeat(" ", 200)).Templates(t.Context(), testToken)
	if err == nil || !strings.Contains(err.Error(), "larger than 1024 KiB") {
		t.Errorf("got %v", err)
	}
}
