package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// Every value sent here is a canary: do() searches answer and log for it.
func TestBadInput(t *testing.T) {
	t.Parallel()
	soon := time.Now().Add(time.Hour).Format(time.RFC3339)
	for name, c := range map[string]struct {
		body   string
		status int
		fields []string
	}{
		"empty":               {" ", 400, nil},
		"no JSON":             {`openid=` + openid, 400, nil},
		"cut":                 {notification()[:80], 400, nil},
		"something behind":    {notification() + `{}`, 400, nil},
		"text behind":         {notification() + openid, 400, nil},
		"single quotes":       {`{'to':'` + openid + `'}`, 400, nil},
		"NaN":                 {`{"to":NaN}`, 400, nil},
		"comment":             {`{/*` + content + `*/}`, 400, nil},
		"byte order mark":     {"\ufeff" + notification(), 400, nil},
		"GBK":                 {"{\"page\":\"" + content + "\xb6\xa9\"}", 400, nil},
		"null":                {`null`, 400, nil},
		"array":               {`["` + openid + `"]`, 400, nil},
		"string":              {`"` + openid + `"`, 400, nil},
		"nested too deeply":   {`{"to":` + strings.Repeat("[", 20000) + strings.Repeat("]", 20000) + `}`, 400, nil},
		"too large":           {notification("page", strings.Repeat(content, 6000)), 413, nil},
		"object of nothing":   {`{}`, 422, []string{"to.openid", "template_id", "data"}},
		"all null":            {`{"to":null,"data":null,"template_id":null,"page":null}`, 422, []string{"to.openid", "template_id", "data"}},
		"misspelled":          {notification("tempalte_id", content), 422, []string{"tempalte_id"}},
		"later field":         {notification("sn", content, "dry_run", true), 422, []string{"sn"}},
		"another kind's":      {notification("form_id", content, "emphasis_keyword", "CANARY.DATA"), 422, []string{"form_id", "emphasis_keyword"}},
		"form_id empty":       {notification("kind", "template", "form_id", ""), 422, []string{"form_id"}},
		"form_id mock":        {notification("kind", "template", "form_id", "the formId is a mock one CANARY"), 422, []string{"form_id"}},
		"emphasis number":     {notification("kind", "template", "emphasis_keyword", 1), 422, []string{"emphasis_keyword"}},
		"emphasis malformed":  {notification("kind", "template", "emphasis_keyword", "CANARY"), 422, []string{"emphasis_keyword"}},
		"unknown and null":    {notification("nothing", nil), 422, []string{"nothing"}},
		"openid as a name":    {notification(openid, 1), 422, []string{"(unnamed)"}},
		"no name":             {notification("", 1), 422, []string{"(unnamed)"}},
		"other case":          {notification("Page", content), 422, []string{"Page"}},
		"twice":               {`{"page":"` + content + `","page":"b",` + notification()[1:], 422, []string{"page"}},
		"twice, escaped":      {`{"page":"` + content + `","p\u0061ge":"b",` + notification()[1:], 422, []string{"page"}},
		"app number":          {notification("app", 1), 422, []string{"app"}},
		"app empty":           {notification("app", ""), 422, []string{"app"}},
		"app malformed":       {notification("app", "wx CANARY"), 422, []string{"app"}},
		"app unknown":         {notification("app", "wxCANARY"), 422, []string{"app"}},
		"kind unknown":        {notification("kind", content), 422, []string{"kind"}},
		"kind empty":          {notification("kind", ""), 422, []string{"kind"}},
		"id empty":            {notification("id", ""), 422, []string{"id"}},
		"id malformed":        {notification("id", "CANARY/1"), 422, []string{"id"}},
		"id long":             {notification("id", strings.Repeat("CANARY", 22)), 422, []string{"id"}},
		"id number":           {notification("id", 4711), 422, []string{"id"}},
		"to string":           {notification("to", openid), 422, []string{"to"}},
		"to empty":            {notification("to", map[string]any{}), 422, []string{"to.openid"}},
		"to more":             {notification("to", map[string]any{"openid": openid, "code": content}), 422, []string{"to"}},
		"to unknown":          {notification("to", map[string]any{"openid": openid, "openidz": []string{content}}), 422, []string{"to.openidz"}},
		"to several":          {notification("to", map[string]any{"openid": openid, "openids": []string{content}}), 422, []string{"to.openids"}},
		"openids string":      {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"openids": openid}), 422, []string{"to.openids"}},
		"openids number":      {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"openids": []any{openid, 1}}), 422, []string{"to.openids"}},
		"openids empty":       {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"openids": []any{}}), 422, []string{"to.openids"}},
		"openids malformed":   {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"openids": []any{"CANARY !"}}), 422, []string{"to.openids"}},
		"openids twice":       {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"openids": []any{openid, openid}}), 422, []string{"to.openids"}},
		"openids and openid":  {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"openid": openid, "openids": []any{openid}}), 422, []string{"to"}},
		"device and code":     {notification("kind", "device", "sn", "s", "model_id", "m", "to", map[string]any{"code": content}), 422, []string{"to.code"}},
		"device without":      {notification("kind", "device"), 422, []string{"sn", "model_id"}},
		"sn malformed":        {notification("kind", "device", "sn", "CANARY !", "model_id", "m"), 422, []string{"sn"}},
		"device's elsewhere":  {notification("sn", "CANARY"), 422, []string{"sn"}},
		"card's elsewhere":    {notification("content", map[string]any{"cur_status": 1}, "notify_code", "CANARY"), 422, []string{"content", "notify_code"}},
		"template's in card":  {cardBody("template_id", "CANARY", "data", map[string]any{"thing1": content}), 422, []string{"template_id", "data"}},
		"notify_type float":   {cardBody("notify_type", 2010.5), 422, []string{"notify_type"}},
		"notify_type name":    {cardBody("notify_type", "CANARY"), 422, []string{"notify_type"}},
		"notify_type far":     {cardBody("notify_type", 1), 422, []string{"notify_type"}},
		"content string":      {cardBody("content", `{"cur_status":1}`), 422, []string{"content"}},
		"content no state":    {cardBody("content", map[string]any{"CANARY": 1}), 422, []string{"content.cur_status"}},
		"content twice":       {strings.Replace(cardBody(), `"cur_status":1`, `"cur_status":1,"cur_status":2`, 1), 422, []string{"content.cur_status"}},
		"check no time":       {cardBody("check", map[string]any{"pay_amount": 1}), 422, []string{"check.pay_time"}},
		"content and ext":     {cardBody("ext", map[string]any{"a": content}), 422, []string{"ext"}},
		"code empty":          {notification("to", map[string]any{"code": ""}), 422, []string{"to.code"}},
		"code number":         {notification("to", map[string]any{"code": 1}), 422, []string{"to.code"}},
		"code malformed":      {notification("to", map[string]any{"code": "CANARY CANARY"}), 422, []string{"to.code"}},
		"code and no openid":  {notification("to", map[string]any{"code": content, "openid": ""}), 422, []string{"to.openid"}},
		"code later":          {notification("to", map[string]any{"code": content}, "send_at", soon), 422, []string{"send_at"}},
		"to twice":            {`{"to":{"openid":"` + openid + `","openid":"CANARY2"},"template_id":"t","data":{"thing1":"v"}}`, 422, []string{"to.openid"}},
		"openid null":         {notification("to", map[string]any{"openid": nil}), 422, []string{"to.openid"}},
		"openid empty":        {notification("to", map[string]any{"openid": ""}), 422, []string{"to.openid"}},
		"openid long":         {notification("to", map[string]any{"openid": strings.Repeat("CANARY", 22)}), 422, []string{"to.openid"}},
		"openid malformed":    {notification("to", map[string]any{"openid": "CANARY {}"}), 422, []string{"to.openid"}},
		"openid object":       {notification("to", map[string]any{"openid": map[string]any{"a": openid}}), 422, []string{"to.openid"}},
		"template empty":      {notification("template_id", ""), 422, []string{"template_id"}},
		"template number":     {notification("template_id", 12345), 422, []string{"template_id"}},
		"page number":         {notification("page", 1), 422, []string{"page"}},
		"page with newline":   {notification("page", "CANARY\n"), 422, []string{"page"}},
		"data string":         {notification("data", `{"thing1":"CANARY"}`), 422, []string{"data"}},
		"data array":          {notification("data", []string{content}), 422, []string{"data"}},
		"data empty":          {notification("data", map[string]any{}), 422, []string{"data"}},
		"data number":         {notification("data", map[string]any{"number1": 42, "thing2": content}), 422, []string{"data.number1"}},
		"data null":           {notification("data", map[string]any{"thing1": nil}), 422, []string{"data.thing1"}},
		"data bool":           {notification("data", map[string]any{"thing1": true}), 422, []string{"data.thing1"}},
		"data array in it":    {notification("data", map[string]any{"thing1": []string{content}}), 422, []string{"data.thing1"}},
		"data value number":   {notification("data", map[string]any{"thing1": map[string]any{"value": 42}}), 422, []string{"data.thing1"}},
		"data value null":     {notification("data", map[string]any{"thing1": map[string]any{"value": nil}}), 422, []string{"data.thing1"}},
		"data no value":       {notification("data", map[string]any{"thing1": map[string]any{}}), 422, []string{"data.thing1"}},
		"data color":          {notification("data", map[string]any{"thing1": map[string]any{"value": content, "color": "CANARY"}}), 422, []string{"data.thing1.color"}},
		"data value twice":    {`{"data":{"thing1":{"value":"CANARY","value":"b"}},"template_id":"t","to":{"openid":"o"}}`, 422, []string{"data.thing1"}},
		"data key twice":      {`{"data":{"thing1":"CANARY","thing1":"b"},"template_id":"t","to":{"openid":"o"}}`, 422, []string{"data.thing1"}},
		"data empty value":    {notification("data", map[string]any{"thing1": "", "thing2": content}), 422, []string{"data.thing1"}},
		"data newline":        {notification("data", map[string]any{"thing1": "CANARY\nCANARY"}), 422, []string{"data.thing1"}},
		"data odd key":        {notification("data", map[string]any{"CANARY 1": content}), 422, []string{"data"}},
		"data openid key":     {notification("data", map[string]any{openid: 1}), 422, []string{"data"}},
		"half an emoji":       {strings.Replace(notification(), content, `CANARY \ud83d`, 1), 422, []string{"data.thing1"}},
		"other half":          {strings.Replace(notification(), content, `CANARY \uDE00 \ufffd`, 1), 422, []string{"data.thing1"}},
		"state unknown":       {notification("miniprogram_state", content), 422, []string{"miniprogram_state"}},
		"lang unknown":        {notification("lang", "CANARY"), 422, []string{"lang"}},
		"send_at number":      {notification("send_at", 1893456000), 422, []string{"send_at"}},
		"send_at no offset":   {notification("send_at", "2030-01-31T09:00:00"), 422, []string{"send_at"}},
		"send_at words":       {notification("send_at", "CANARY"), 422, []string{"send_at"}},
		"send_at far ahead":   {notification("send_at", "2999-01-31T09:00:00+08:00"), 422, []string{"send_at"}},
		"send_at of .NET":     {notification("send_at", "0001-01-01T00:00:00Z"), 422, []string{"send_at"}},
		"not_after past":      {notification("not_after", "2020-01-31T09:00:00+08:00"), 422, []string{"not_after"}},
		"not_after of Go":     {notification("not_after", "0001-01-01T00:00:00Z"), 422, []string{"not_after"}},
		"not_after at once":   {notification("send_at", soon, "not_after", soon), 422, []string{"not_after"}},
		"priority unknown":    {notification("priority", "CANARY"), 422, []string{"priority"}},
		"priority number":     {notification("priority", 1), 422, []string{"priority"}},
		"on_unknown unknown":  {notification("on_unknown", "CANARY"), 422, []string{"on_unknown"}},
		"everything at once":  {`{"tpl":"CANARY","id":"","to":{"openid":"CANARY !"},"data":{"number1":7},"priority":"CANARY"}`, 422, []string{"tpl", "id", "data.number1", "to.openid", "template_id", "priority"}},
		"too many to tell":    {`{"x` + strings.Repeat(`":1,"tpl`, 4000) + `":1}`, 422, nil},
		"numbers as JSON has": {notification("id", json.RawMessage("-1.5e+30")), 422, []string{"id"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			r := b.do("POST", "/v1/notifications", c.body).want(c.status)
			slices.Sort(c.fields)
			got := r.fields()
			slices.Sort(got)
			if c.fields != nil && !slices.Equal(got, c.fields) {
				t.Errorf("fields %q, want %q: %s", got, c.fields, r.Body)
			}
			if len(got) > maxFieldErrors || (c.status == 422) != (len(got) > 0) {
				t.Errorf("%d field errors", len(got))
			}
			if b.sender.calls > 1 || len(b.sender.sent) > 0 {
				t.Error("it was sent")
			}
		})
	}
}

// cardBody is a service card with fields replaced.
func cardBody(change ...any) string {
	base := []any{
		"kind", "card", "template_id", nil, "data", nil, "notify_type", 2010, "notify_code", "4200",
		"content", map[string]any{"cur_status": 1, "a": map[string]any{"b": []string{content}}},
	}
	return notification(append(base, change...)...)
}

func TestSuggestions(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"tempalte_id": "template_id", "templateId": "template_id", "template-id": "template_id", "TEMPLATE_ID": "template_id",
		"miniprogramState": "miniprogram_state", "sendat": "send_at", "notAfter": "not_after", "prio": "", "touser": "to.openid",
		"openid": "to.openid", "datas": "data", "url": "", "x": "", "": "", strings.Repeat("template_id", 9): "",
	} {
		got := suggestion(name, notificationFields)
		if want == "" && got != ": leave it out" || want != "" && got != "; did you mean "+want+"?" {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestSuggestionsElsewhere(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"touser": "openid", "formId": "form_id", "submittedAt": "submitted_at"} {
		if got := suggestion(name, formIDFields); got != "; did you mean "+want+"?" {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

func TestAccepted(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		body  string
		check func(n tasks.Notification) bool
	}{
		"least":         {notification(), func(n tasks.Notification) bool { return n.App == app && n.Page == nil && n.To.OpenID == openid }},
		"nulls":         {notification("id", nil, "app", nil, "send_at", nil, "page", nil), func(n tasks.Notification) bool { return n.Page == nil }},
		"no page":       {notification("page", ""), func(n tasks.Notification) bool { return n.Page != nil && *n.Page == "" }},
		"page":          {notification("page", "a?b=c&d=<e>"), func(n tasks.Notification) bool { return *n.Page == "a?b=c&d=<e>" }},
		"value":         {notification("data", map[string]any{"thing1": map[string]any{"value": "v"}}), func(n tasks.Notification) bool { return n.Data["thing1"] == "v" }},
		"escapes":       {strings.Replace(notification(), content, `\u60a8\"\\\/\ud83d\ude00`, 1), func(n tasks.Notification) bool { return n.Data["thing1"] == `您"\/😀` }},
		"own U+FFFD":    {strings.Replace(notification(), content, `a\uFFFD\"`+"\ufffd", 1), func(n tasks.Notification) bool { return n.Data["thing1"] == "a\ufffd\"\ufffd" }},
		"spaces":        {" \n" + strings.NewReplacer(":", "\t: ", ",", "\r\n,\n ", "{", "{ ", "}", " }").Replace(notification()) + " \n", func(n tasks.Notification) bool { return n.Data["thing1"] == content }},
		"escaped names": {strings.Replace(notification(), "thing1", `th\u0069ng1`, 1), func(n tasks.Notification) bool { return n.Data["thing1"] == content }},
		"times":         {notification("send_at", "2020-01-31T09:00:00.5+08:00"), func(n tasks.Notification) bool { return n.SendAt.UnixMilli() == 1580432400500 }},
		"all words": {notification("kind", "subscribe", "priority", "bulk", "on_unknown", "drop", "lang", "en_US", "miniprogram_state", "trial"), func(n tasks.Notification) bool {
			return n.Priority == tasks.Bulk && n.OnUnknown == tasks.Drop && n.Lang == "en_US" && n.MiniprogramState == "trial"
		}},
		"code": {notification("to", map[string]any{"code": "071CANARY=code", "openid": nil}), func(n tasks.Notification) bool {
			return n.To.Code == "071CANARY=code" && n.To.OpenID == ""
		}},
		"template": {notification("kind", "template", "form_id", content, "emphasis_keyword", "keyword1.DATA", "data", nil), func(n tasks.Notification) bool {
			return n.Kind == tasks.KindTemplate && n.FormID == content && n.EmphasisKeyword == "keyword1.DATA" && n.Data == nil
		}},
		"device": {notification("kind", "device", "sn", "SN_1", "model_id", "m", "to", map[string]any{"openids": []string{openid, "o2"}}), func(n tasks.Notification) bool {
			return n.Kind == tasks.KindDevice && n.SN == "SN_1" && n.ModelID == "m" && slices.Equal(n.To.OpenIDs, []string{openid, "o2"})
		}},
		"card": {cardBody("check", map[string]any{"pay_amount": 1, "pay_time": 2}), func(n tasks.Notification) bool {
			return n.Kind == tasks.KindCard && n.NotifyType == tasks.CardTrain && n.NotifyCode == "4200" &&
				string(n.Content) == `{"a":{"b":["`+content+`"]},"cur_status":1}` && string(n.Check) == `{"pay_amount":1,"pay_time":2}` && n.Ext == nil
		}},
		"card by name": {cardBody("notify_type", "taxi"), func(n tasks.Notification) bool { return n.NotifyType == tasks.CardTaxi }},
		"details":      {cardBody("content", nil, "ext", map[string]any{"a": 1}), func(n tasks.Notification) bool { return string(n.Ext) == `{"a":1}` && n.Content == nil }},
		"nothing is lost": {notification("id", "n", "not_after", "2100-01-01T00:00:00Z"), func(n tasks.Notification) bool {
			return n.ID == "n" && n.NotAfter.Year() == 2100 && n.TemplateID == "template-1"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.do("POST", "/v1/notifications", c.body).want(202)
			if n := b.sender.last(t); !c.check(n) {
				t.Errorf("became %+v", n)
			}
		})
	}
}

func TestMediaType(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		header string
		status int
	}{
		{"Content-Type: application/json", 202}, {"Content-Type: Application/JSON; Charset=UTF-8", 202},
		{"Content-Type: ", 415}, {"Content-Type: text/json", 415}, {"Content-Type: application/json; charset=gbk", 415},
		{"Content-Type: application/json;;", 415}, {"Content-Type: application/x-www-form-urlencoded", 415},
		{"Content-Encoding: gzip", 415}, {"Content-Encoding: identity", 202},
	} {
		if r := b.do("POST", "/v1/notifications", notification(), c.header); r.Code != c.status {
			t.Errorf("%s: %d, want %d", c.header, r.Code, c.status)
		}
	}
}

func TestBodySize(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := notification()
	b.do("POST", "/v1/notifications", body+strings.Repeat(" ", maxBody-len(body))).want(202)
	b.do("POST", "/v1/notifications", body+strings.Repeat(" ", maxBody-len(body)+1)).want(413)
}

// A body that breaks off is answered without the reader's words.
func TestBodyBreaksOff(t *testing.T) {
	t.Parallel()
	b := setup(t)
	body := io.MultiReader(strings.NewReader(notification()[:40]), readerFunc(func([]byte) (int, error) {
		return 0, errors.New(content)
	}))
	req := httptest.NewRequest("POST", "/v1/notifications", body)
	req.Header.Set("Authorization", "Bearer "+secretKey)
	req.Header.Set("Content-Type", "application/json")
	rec := httptest.NewRecorder()
	b.handler.ServeHTTP(rec, req)
	if rec.Code != 400 || rec.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", rec.Code, rec.Header())
	}
	checkDocumented(t, req, rec)
	b.checkLeaks(result{ResponseRecorder: rec, t: t})
}

func TestQuery(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, c := range []struct {
		method, path, body string
		status             int
		fields             []string
	}{
		{"POST", "/v1/notifications?dry_run=CANARY", notification(), 422, []string{"dry_run"}},
		{"POST", "/v1/notifications:batch?app=" + app, `{"notifications":[]}`, 422, []string{"app"}},
		{"GET", "/v1/notifications/n?ap=CANARY", "", 422, []string{"ap"}},
		{"GET", "/v1/notifications/n?app=CANARY", "", 422, []string{"app"}},
		{"GET", "/v1/notifications/n?app=CANARY&app=" + app, "", 422, []string{"app"}},
		{"GET", "/v1/notifications/n?app=" + app + "&" + openid + "=1", "", 422, []string{"(unnamed)"}},
		{"GET", "/v1/notifications/n?app=%zz", "", 400, nil},
		{"POST", "/v1/notifications?a;b=CANARY", notification(), 400, nil},
		{"DELETE", "/v1/notifications/n%20CANARY?x=1", "", 422, []string{"x", "id"}},
	} {
		r := b.do(c.method, c.path, c.body).want(c.status)
		if !slices.Equal(r.fields(), c.fields) {
			t.Errorf("%s: fields %q, want %q", c.path, r.fields(), c.fields)
		}
	}
}

// The query may be wrong everywhere too.
func TestManyQueryParameters(t *testing.T) {
	t.Parallel()
	b := setup(t)
	var query strings.Builder
	for i := range 200 {
		fmt.Fprintf(&query, "&x%d=1", i)
	}
	r := b.do("GET", "/v1/notifications/n?"+query.String()[1:], "").want(422)
	if len(r.fields()) != maxFieldErrors {
		t.Errorf("%d field errors", len(r.fields()))
	}
}
