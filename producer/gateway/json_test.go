package gateway

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

var seeds = []string{
	notification(), notification("id", "n", "priority", "bulk", "page", "", "send_at", "2030-01-31T09:00:00+08:00"),
	notification("data", map[string]any{"thing1": map[string]any{"value": "v"}, "x": 1}),
	notification("kind", "template", "form_id", "f", "emphasis_keyword", "keyword1.DATA", "to", map[string]any{"code": "c"}),
	`{}`, `{"a":[1,{"b":"]}"},"\\\""],"c":-1.5e3 , "d":true}`, ` { "\u0061" : null , "a" : { } , "" : [ ] } `,
	`{"data":{"thing1":"\ud83d"}}`, `{"to":{"openid":"\ud83d\ude00"},"to":0}`, `[]`, `null`, `"\ufffd"`, "{\"a\":\"\ufffd\\u0000\"}",
}

// What members says is what encoding/json says, apart from names that occur twice.
func FuzzMembers(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		object, p := parseObject(body)
		if p != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(object, &want); err != nil {
			t.Fatalf("accepted %q, which encoding/json does not: %v", body, err)
		}
		got := map[string]json.RawMessage{}
		for name, value := range members(object) {
			if !json.Valid(value) {
				t.Fatalf("%q: value %q of %q", body, value, name)
			}
			got[name] = value
			sameElements(t, value)
		}
		if len(got) != len(want) {
			t.Fatalf("%q: %d names, want %d", body, len(got), len(want))
		}
		for name := range want {
			if !bytes.Equal(got[name], want[name]) {
				t.Fatalf("%q: %q is %q, want %q", body, name, got[name], want[name])
			}
		}
	})
}

func sameElements(t *testing.T, value json.RawMessage) {
	t.Helper()
	if value[0] != '[' {
		return
	}
	var want []json.RawMessage
	if err := json.Unmarshal(value, &want); err != nil {
		t.Fatal(err)
	}
	got := slices.Collect(elements(value))
	if !slices.EqualFunc(got, want, func(a, b json.RawMessage) bool { return bytes.Equal(a, b) }) {
		t.Fatalf("elements of %q: %q", value, got)
	}
}

// Whatever the body, reading it either gives a notification that the contract
// takes, and that reads the same when it is written again, or says why not.
func FuzzNotification(f *testing.F) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	g := &gateway{apps: []string{app}}
	f.Fuzz(func(t *testing.T, body []byte) {
		object, p := parseObject(body)
		if p != nil {
			return
		}
		n, _, p := g.notification(object)
		if p != nil {
			if len(p.Errors) == 0 || len(p.Errors) > maxFieldErrors {
				t.Fatalf("%q: %d field errors", body, len(p.Errors))
			}
			return
		}
		again, _, p := g.notification(written(t, n))
		if p != nil {
			t.Fatalf("%q: read once, then refused: %+v", body, p)
		}
		if !reflect.DeepEqual(n, again) && n.SendAt.Equal(again.SendAt) && n.NotAfter.Equal(again.NotAfter) {
			t.Fatalf("%q: %+v, then %+v", body, n, again)
		}
	})
}

// written is a notification as a careful caller writes it.
func written(t *testing.T, n tasks.Notification) json.RawMessage {
	t.Helper()
	fields := map[string]any{
		"app": n.App, "kind": n.Kind, "id": n.ID, "to": recipient(n.To), "template_id": n.TemplateID,
		"page": n.Page, "data": n.Data, "miniprogram_state": n.MiniprogramState, "lang": n.Lang,
		"send_at": n.SendAt, "not_after": n.NotAfter, "priority": n.Priority, "on_unknown": n.OnUnknown,
		"form_id": n.FormID, "emphasis_keyword": n.EmphasisKeyword, "truncate": n.Truncate,
	}
	for name, value := range fields {
		if v := reflect.ValueOf(value); v.IsZero() || v.Kind() == reflect.Map && v.IsNil() {
			delete(fields, name)
		}
	}
	body, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func recipient(to tasks.Recipient) map[string]string {
	if to.Code != "" {
		return map[string]string{"code": to.Code}
	}
	return map[string]string{"openid": to.OpenID}
}

func BenchmarkRead(b *testing.B) {
	g := &gateway{apps: []string{app}}
	body := []byte(notification("app", app, "id", "order-4711", "page", "pages/order?no=4711", "priority", "bulk",
		"not_after", time.Now().Add(time.Hour).Format(time.RFC3339),
		"data", map[string]any{"thing1": "您的订单已发货", "character_string2": map[string]any{"value": "SF1234567890"}}))
	b.ReportAllocs()
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		object, p := parseObject(body)
		if p != nil {
			b.Fatal(p.Detail)
		}
		if _, _, p := g.notification(object); p != nil {
			b.Fatal(p.Errors)
		}
	}
}

// A body that is wrong everywhere must not cost more than it brings.
func BenchmarkReadNonsense(b *testing.B) {
	g := &gateway{apps: []string{app}}
	body := []byte(`{"` + strings.Repeat(`tempalte_idd":1,"`, 3500) + `x":1}`)
	b.SetBytes(int64(len(body)))
	for b.Loop() {
		object, p := parseObject(body)
		if p != nil {
			b.Fatal(p.Detail)
		}
		if _, _, p := g.notification(object); p == nil {
			b.Fatal("accepted")
		}
	}
}
