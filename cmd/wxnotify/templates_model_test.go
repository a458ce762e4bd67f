package main_test

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// pieces are what random values are made of.
var pieces = []string{
	"字", "张", "配送", "a", "Z", "é", "e\u0301", "1", "23", "0", ".", "-", "/", ":", "~", " ", "年", "月", "日", "2026年10月1日", "15:01", "2026-10-01", "¥", "$", "元",
	"，", "！", "*", "😀", "👨‍👩‍👧", "👍🏽", "🇨🇳", "粤", "カ", "한", "〇", "々", "٣", "𠮷", "\u200d", "\ufe0f", "\u0301", "Ω", "10", "31", "24", "59", "1\ufe0f\u20e3",
}

func randomValue(r *rand.Rand) string {
	var b strings.Builder
	pool := pieces
	if n := r.IntN(3); n > 0 { // long values of few sorts
		pool = []string{pieces[r.IntN(len(pieces))], pieces[r.IntN(len(pieces))]}[:n]
	}
	for range 1 + r.IntN(40) {
		b.WriteString(pool[r.IntN(len(pool))])
		if r.IntN(12) == 0 {
			break
		}
	}
	return b.String()
}

// Two readings of WeChat's rules, written apart: what ours takes, or shortens, the
// sandbox takes.
func TestWhatIsTakenHereTheSandboxTakes(t *testing.T) {
	t.Parallel()
	keys := []string{
		"thing1", "number1", "letter1", "symbol1", "character_string1", "time1", "date1", "amount1", "phone_number1", "car_number1", "name1", "phrase1",
	}
	app := sandbox.App{AppID: testApp, Secret: appSecret, AllowAnyOpenID: true}
	for _, key := range keys {
		app.Templates = append(app.Templates, sandbox.Template{ID: key, Keys: []string{key}})
	}
	server, err := sandbox.New(sandbox.Config{Apps: []sandbox.App{app}})
	if err != nil {
		t.Fatal(err)
	}
	call := func(path, body string) string {
		w := httptest.NewRecorder()
		server.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(body)))
		return w.Body.String()
	}
	var token struct {
		AccessToken string `json:"access_token"`
	}
	answer := call("/cgi-bin/stable_token", `{"grant_type":"client_credential","appid":"`+testApp+`","secret":"`+appSecret+`"}`)
	if err := json.Unmarshal([]byte(answer), &token); err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	taken, refused := map[string]int{}, map[string]int{}
	for range 30_000 {
		key, value := keys[r.IntN(len(keys))], randomValue(r)
		data := map[string]string{key: value}
		n := tasks.Notification{App: testApp, To: tasks.Recipient{OpenID: "o1"}, TemplateID: key, Data: data}
		if n.Validate(time.Now()) != nil {
			continue
		}
		if r.IntN(2) == 0 {
			data, _ = catalogue.Truncate(data)
		}
		if len(catalogue.CheckTypes(data)) > 0 {
			refused[key]++
			continue
		}
		taken[key]++
		body, err := json.Marshal(map[string]any{"touser": "o1", "template_id": key, "data": map[string]any{key: map[string]string{"value": data[key]}}})
		if err != nil {
			t.Fatal(err)
		}
		if text := call("/cgi-bin/message/subscribe/send?access_token="+token.AccessToken, string(body)); !strings.Contains(text, `"errcode":0`) {
			t.Fatalf("%s with %q is taken here, and answered %s there", key, data[key], text)
		}
	}
	for _, key := range keys {
		if taken[key] < 3 || refused[key] < 3 {
			t.Errorf("%s: %d taken, %d refused: too few to say anything", key, taken[key], refused[key])
		}
	}
}
