package gateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

type object = map[string]any

// described is the document as it is served.
func described(t *testing.T) object {
	t.Helper()
	var doc object
	if err := json.Unmarshal(openAPI, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

// at walks down a document: at(doc, "paths", "/v1/notifications", "post").
// Whatever is not there is nil.
func at(v any, path ...string) any {
	for _, name := range path {
		o, _ := v.(object)
		v = o[name]
	}
	return v
}

func names(v any) []string {
	o, _ := v.(object)
	return slices.Sorted(maps.Keys(o))
}

// resolve follows a $ref.
func resolve(doc object, v any) object {
	o, _ := v.(object)
	for o["$ref"] != nil {
		o, _ = at(doc, strings.Split(strings.TrimPrefix(o["$ref"].(string), "#/"), "/")...).(object)
	}
	return o
}

func TestDocumentIsServedWithoutKey(t *testing.T) {
	t.Parallel()
	b := setup(t)
	r := b.do("GET", "/v1/openapi.json", "", "Authorization: ").want(200)
	r.wantField("openapi", "3.1.0")
}

func TestDocumentAndRoutesAgree(t *testing.T) {
	t.Parallel()
	doc := described(t)
	want := map[string][]string{}
	for _, rt := range (&gateway{}).routes() {
		for method := range rt.methods {
			want[rt.path] = append(want[rt.path], strings.ToLower(method))
		}
		slices.Sort(want[rt.path])
	}
	got := map[string][]string{}
	for _, path := range names(doc["paths"]) {
		for _, name := range names(at(doc, "paths", path)) {
			if name != "parameters" {
				got[path] = append(got[path], name)
			}
		}
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("document has %v, mux has %v", got, want)
	}
	if !slices.Equal(slices.Sorted(maps.Keys(want)), slices.Sorted(slices.Values(Routes()))) {
		t.Errorf("Routes() is %q", Routes())
	}
}

func TestDocumentAndDecoderAgree(t *testing.T) {
	t.Parallel()
	schemas := at(described(t), "components", "schemas")
	for name, fields := range map[string][]string{
		"Notification": slices.Sorted(maps.Keys(notificationFields)),
		"Recipient":    slices.Sorted(maps.Keys(recipientFields)),
		"Batch":        slices.Sorted(maps.Keys(batchFields)),
		"FormID":       slices.Sorted(maps.Keys(formIDFields)),
		"Subscription": slices.Sorted(maps.Keys(subscriptionFields)),
		"DeadRun":      slices.Sorted(maps.Keys(deadFields)),
	} {
		if got := names(at(schemas, name, "properties")); !slices.Equal(got, fields) {
			t.Errorf("%s: document has %q, decoder has %q", name, got, fields)
		}
	}
}

func TestDocumentAndWordsAgree(t *testing.T) {
	t.Parallel()
	schemas := at(described(t), "components", "schemas")
	statuses := append(asStrings(tasks.Outcomes()), "queued", "scheduled", "sending", "retrying", "delivered", "undelivered")
	for _, c := range []struct {
		path []string
		want []string
	}{
		{[]string{"Notification", "properties", "kind"}, asStrings(tasks.Kinds())},
		{[]string{"Notification", "properties", "priority"}, asStrings(tasks.Priorities())},
		{[]string{"State", "properties", "kind"}, asStrings(tasks.Kinds())},
		{[]string{"Status"}, statuses},
	} {
		var got []string
		list, _ := at(schemas, append(c.path, "enum")...).([]any)
		for _, v := range list {
			if v != nil {
				got = append(got, v.(string))
			}
		}
		slices.Sort(got)
		slices.Sort(c.want)
		if !slices.Equal(got, c.want) {
			t.Errorf("%v: %q, want %q", c.path, got, c.want)
		}
	}
}

func asStrings[T ~string](words []T) []string {
	var s []string
	for _, w := range words {
		s = append(s, string(w))
	}
	return s
}

// The limits that stand in the document are those of the code.
func TestDocumentAndLimitsAgree(t *testing.T) {
	t.Parallel()
	schemas := at(described(t), "components", "schemas")
	if got := at(schemas, "Batch", "properties", "notifications", "maxItems"); got != float64(maxItems) {
		t.Errorf("maxItems is %v", got)
	}
	for name, wrong := range map[string]any{
		"id": strings.Repeat("x", 129), "app": strings.Repeat("x", 65), "template_id": strings.Repeat("x", 129),
		"page": strings.Repeat("x", 1025), "lang": "de", "miniprogram_state": "new", "on_unknown": "ask",
		"data": object{"thing1": strings.Repeat("x", 1025)}, "to": object{"openid": "!"},
		"sn": strings.Repeat("x", 129), "model_id": strings.Repeat("x", 65), "notify_code": strings.Repeat("x", 513), "notify_type": "bus",
		"content": object{"a": 1.0}, "check": object{"pay_time": 1.0}, "ext": "{}",
	} {
		b := setup(t, func(c *Config) { c.Apps = nil })
		body := notification("app", app, name, wrong)
		b.do("POST", "/v1/notifications", body).want(422)
		var value any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatal(err)
		}
		if conforms(described(t), at(schemas, "Notification"), value) == nil {
			t.Errorf("%s: refused by the gateway, fine by the document", name)
		}
	}
}

func TestDocumentNamesTheCards(t *testing.T) {
	t.Parallel()
	options, _ := at(described(t), "components", "schemas", "NotifyType", "oneOf").([]any)
	var want []any
	for _, notifyType := range tasks.NotifyTypes() {
		want = append(want, notifyType.String())
	}
	if got := at(options[len(options)-1], "enum"); !reflect.DeepEqual(got, want) {
		t.Errorf("document has %v, want %v", got, want)
	}
}

// Every example of a request is accepted, and every example fits its schema.
func TestExamples(t *testing.T) {
	t.Parallel()
	doc := described(t)
	requests, responses := 0, 0
	for _, path := range names(doc["paths"]) {
		for _, method := range names(at(doc, "paths", path)) {
			op, _ := at(doc, "paths", path, method).(object)
			for _, media := range mediaTypes(doc, object{"body": op["requestBody"]}) {
				for name, value := range examples(media) {
					requests++
					acceptedExample(t, strings.ToUpper(method), path, name, value)
					fits(t, doc, media["schema"], value, name)
				}
			}
			for _, media := range mediaTypes(doc, op["responses"]) {
				for name, value := range examples(media) {
					responses++
					fits(t, doc, media["schema"], value, path+" "+method+" "+name)
				}
			}
		}
	}
	if requests != 17 || responses < 60 {
		t.Errorf("%d examples of requests, %d of responses", requests, responses)
	}
}

// mediaTypes lists what is under content of each body in a map of bodies.
func mediaTypes(doc object, bodies any) []object {
	var list []object
	for _, name := range names(bodies) {
		content := resolve(doc, at(bodies, name))["content"]
		for _, media := range names(content) {
			list = append(list, at(content, media).(object))
		}
	}
	return list
}

func examples(media object) map[string]any {
	all := map[string]any{}
	for _, name := range names(media["examples"]) {
		all[name] = at(media["examples"], name, "value")
	}
	if v, ok := media["example"]; ok {
		all["example"] = v
	}
	return all
}

func acceptedExample(t *testing.T, method, path, name string, value any) {
	t.Helper()
	b := setup(t, func(c *Config) { c.Apps = []string{"wxexample0000000001"} })
	body, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	r := b.do(method, path, string(body))
	if r.Code < 200 || r.Code > 202 || strings.Contains(r.Body.String(), "error") {
		t.Errorf("example %s: %d %s", name, r.Code, r.Body)
	}
}

func fits(t *testing.T, doc object, schema, value any, name string) {
	t.Helper()
	if err := conforms(doc, schema, value); err != nil {
		t.Errorf("example %s: %v", name, err)
	}
}

// checkDocumented holds an answer against the document.
func checkDocumented(t *testing.T, req *http.Request, rec *httptest.ResponseRecorder) {
	t.Helper()
	doc := described(t)
	schema := at(doc, "components", "schemas", "Problem")
	wantType := "application/problem+json"
	if rec.Code < 400 {
		wantType = "application/json"
	}
	if rec.Code != http.StatusMethodNotAllowed && req.Pattern != "/" {
		op := at(doc, "paths", req.Pattern, strings.ToLower(strings.Replace(req.Method, "HEAD", "GET", 1)))
		response := resolve(doc, at(op, "responses", fmt.Sprint(rec.Code)))
		if response == nil {
			t.Errorf("%s %s: status %d is not in the document", req.Method, req.Pattern, rec.Code)
			return
		}
		schema = at(response, "content", wantType, "schema")
	}
	if got := rec.Header().Get("Content-Type"); got != wantType {
		t.Errorf("Content-Type %q, want %q", got, wantType)
	}
	var body any
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	if err := conforms(doc, schema, body); err != nil {
		t.Errorf("%s %s: %v: %s", req.Method, req.Pattern, err, rec.Body)
	}
}

// conforms checks a value against as much of JSON Schema as the document uses.
func conforms(doc object, schema, value any) error {
	s := resolve(doc, schema)
	if s == nil {
		return fmt.Errorf("no schema")
	}
	if err := conformsPlainly(s, value); err != nil {
		return err
	}
	if err := conformsOneOf(doc, s, value); err != nil {
		return err
	}
	switch v := value.(type) {
	case object:
		return conformsObject(doc, s, v)
	case []any:
		for i, item := range v {
			if err := conforms(doc, s["items"], item); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
	case string:
		return conformsString(s, v)
	}
	return nil
}

func conformsPlainly(s object, value any) error {
	types, _ := s["type"].([]any)
	if one, ok := s["type"].(string); ok {
		types = []any{one}
	}
	if len(types) > 0 && !slices.Contains(types, any(schemaType(value))) {
		return fmt.Errorf("is %s, want %v", schemaType(value), types)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, value) {
		return fmt.Errorf("is none of %v", enum)
	}
	return nil
}

func schemaType(value any) string {
	switch v := value.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

func conformsObject(doc, s, value object) error {
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := value[name.(string)]; !ok {
			return fmt.Errorf("%v is missing", name)
		}
	}
	for name, v := range value {
		schema := at(s, "properties", name)
		if schema == nil {
			schema = s["additionalProperties"]
		}
		if schema == false {
			return fmt.Errorf("%s is not in the schema", name)
		}
		if schema == nil {
			continue
		}
		if err := conforms(doc, schema, v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func conformsString(s object, value string) error {
	if pattern, ok := s["pattern"].(string); ok && !regexp.MustCompile(pattern).MatchString(value) {
		return fmt.Errorf("does not match %s", pattern)
	}
	if limit, ok := s["maxLength"].(float64); ok && len([]rune(value)) > int(limit) {
		return fmt.Errorf("is longer than %v", limit)
	}
	if least, ok := s["minLength"].(float64); ok && len([]rune(value)) < int(least) {
		return fmt.Errorf("is shorter than %v", least)
	}
	if s["format"] == "date-time" {
		if _, err := time.Parse(time.RFC3339, value); err != nil {
			return err
		}
	}
	return nil
}

func conformsOneOf(doc, s object, value any) error {
	options, ok := s["oneOf"].([]any)
	if !ok {
		return nil
	}
	fitting := 0
	for _, option := range options {
		if conforms(doc, option, value) == nil {
			fitting++
		}
	}
	if fitting != 1 {
		return fmt.Errorf("fits %d of oneOf", fitting)
	}
	return nil
}
