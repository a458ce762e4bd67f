package main_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

const judged = "e2e-judged"

// define makes a template of the sandbox; what was there with its id is replaced.
func (s *sandboxProcess) define(template string, keys ...string) {
	s.t.Helper()
	s.control(http.MethodPut, "templates", map[string]any{
		"app": testApp, "template_id": template, "keys": keys, "title": "发货通知",
		"enums": map[string][]string{"enum_string6": {"顺丰", "京东"}},
	})
}

var judgedKeys = []string{idKey, "thing2", "number3", "time4", "name5", "enum_string6"}

// judgedMessage is a message that the template takes.
func judgedMessage(id string, user int) notification {
	return message(id, user).with("template_id", judged).with("data", map[string]string{
		idKey: id, "thing2": "咖啡豆 500g，中度烘焙 😀", "number3": "12.5", "time4": "2026年11月21日 15:01", "name5": "张三丰", "enum_string6": "顺丰",
	})
}

// breakage is one way in which a message can break a rule: the field, and its value;
// none leaves the field out.
type breakage struct{ field, value string }

var breakages = []breakage{
	{"thing2", strings.Repeat("字", 21)}, {"number3", "twelve"}, {"time4", "tomorrow"}, {"name5", strings.Repeat("张", 11)}, {"enum_string6", "邮政"},
	{idKey, "单号"}, {"thing2", ""}, {"number3", "none"}, {"thing9", "nobody sees this"}, {"number3", "1,000"},
}

func (b breakage) of(n notification) notification {
	data := n["data"].(map[string]string)
	data[b.field] = b.value
	if b.value == "none" {
		delete(data, b.field)
	}
	return n
}

// listOf is the app's templates as the gateway knows them.
func (g *gatewayProcess) listOf() (list struct {
	ReadAt    time.Time `json:"read_at"`
	Templates []struct {
		TemplateID string `json:"template_id"`
		Fields     []struct{ Key, Placeholder string }
	}
}) {
	g.t.Helper()
	code, body := get(g.t, g.url+"/v1/templates?app="+testApp, gatewayKey)
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != http.StatusOK {
		g.t.Fatalf("GET /v1/templates: %d %s", code, body)
	}
	return list
}

func (w *world) judging() (*gatewayProcess, *workerProcess) {
	w.t.Helper()
	w.sandbox.define(judged, judgedKeys...)
	g := w.gateway()
	a := w.worker("a", nil)
	taskstest.Eventually(w.t, 60*time.Second, func() string {
		if list := g.listOf(); len(list.Templates) != 1 || len(list.Templates[0].Fields) != len(judgedKeys) {
			return fmt.Sprintf("the gateway knows %+v, want the template", list)
		}
		return ""
	})
	return g, a
}

// refusals posts a batch and returns the fields that were named, by place.
func (g *gatewayProcess) refusals(batch []notification) map[int][]string {
	g.t.Helper()
	code, body := request(g.t, http.MethodPost, g.url+"/v1/notifications:batch", gatewayKey, map[string]any{"notifications": batch})
	var answer struct {
		Results []struct {
			ID    string `json:"id"`
			Error *struct {
				Status int
				Errors []struct{ Field, Detail string }
			} `json:"error"`
		} `json:"results"`
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil || code != http.StatusOK || len(answer.Results) != len(batch) {
		g.t.Fatalf("batch of %d: %d %.300s", len(batch), code, body)
	}
	refused := map[int][]string{}
	for i, r := range answer.Results {
		if r.Error == nil {
			continue
		}
		if r.Error.Status != http.StatusUnprocessableEntity || len(r.Error.Errors) != 1 {
			g.t.Fatalf("item %d: %+v, want 422 and one field", i, r.Error)
		}
		refused[i] = []string{r.Error.Errors[0].Field, r.Error.Errors[0].Detail}
	}
	return refused
}

// Of 10 000 messages 1 000 break a rule: these are refused with the field named, and
// WeChat has nothing to complain about the others.
func TestWhatBreaksARuleIsRefusedAtEnqueue(t *testing.T) {
	w := newWorld(t)
	g, _ := w.judging()
	const n, size = 10_000, 500
	total := 0
	for first := 0; first < n; first += size {
		batch := make([]notification, size)
		for i := range batch {
			batch[i] = judgedMessage(fmt.Sprintf("judged-%05d", first+i), first+i)
			if i%10 == 0 {
				batch[i] = breakages[i/10%len(breakages)].of(batch[i])
			}
		}
		refused := g.refusals(batch)
		total += len(refused)
		for i := range batch {
			wrong, is := refused[i]
			if is != (i%10 == 0) {
				t.Fatalf("item %d of %d: refused %v", i, first, wrong)
			}
			if want := "data." + breakages[i/10%len(breakages)].field; is && wrong[0] != want {
				t.Fatalf("item %d: %q, want %s", i, wrong, want)
			}
		}
	}
	if total != n/10 {
		t.Errorf("%d were refused, want %d", total, n/10)
	}
	taskstest.Eventually(t, 120*time.Second, func() string {
		if got := w.sandbox.report(testApp, false).AcceptedMessages; got < n-n/10 {
			return fmt.Sprintf("the sandbox accepted %d messages, want %d", got, n-n/10)
		}
		return ""
	})
	r := w.sandbox.report(testApp, false)
	if codes := r.Calls[sandbox.APISubscribeSend].Errcodes; codes[47003] != 0 || codes[40037] != 0 || r.AcceptedMessages != n-n/10 {
		t.Errorf("accepted %d, errcodes %v; want %d and no 47003", r.AcceptedMessages, codes, n-n/10)
	}
}

// What an operator does with templates, and what happens when one changes at WeChat.
func TestATemplateChanges(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	command(t, w.env, "templates", "check").want(t, 1, "no worker has read")
	command(t, w.env, "templates", "show", judged).want(t, 1, "no worker has read")
	g, _ := w.judging()
	command(t, w.env, "templates", "list").want(t, 0, judged, "one_time", "thing2", "发货通知", "1 templates, read from WeChat")
	command(t, w.env, "templates", "check").want(t, 0, "no list has differed")
	command(t, w.env, "templates", "show", "nobody's").want(t, 1, "none of the 1 templates")
	command(t, w.env, "templates", "show").want(t, 2)
	w.wantShownToBeSendable(g)
	w.wantDryRuns(g)

	w.sandbox.define(judged, append(slices.Clone(judgedKeys), "phrase7")...)
	command(t, w.env, "templates", "refresh", testApp).want(t, 0, judged, "added phrase7")
	command(t, w.env, "templates", "check").want(t, 0, judged+" 发货通知: added phrase7", "ago")
	command(t, w.env, "templates", "list", "--refresh", "--json").want(t, 0, "phrase7")
	taskstest.Eventually(t, 60*time.Second, func() string { // the gateway looks every 20 seconds, when there is something to send
		refused := g.refusals([]notification{judgedMessage("old-form", 1).with("dry_run", true)})
		if len(refused) != 1 || refused[0][0] != "data.phrase7" || !strings.Contains(refused[0][1], "missing") {
			return fmt.Sprintf("the old form: %v, want phrase7 missing", refused)
		}
		return ""
	})
	n := judgedMessage("new-form", 1)
	n["data"].(map[string]string)["phrase7"] = "配送中"
	g.mustSend(n)
	g.awaitStatus("new-form", "accepted", 30*time.Second)
	if code, body := request(t, http.MethodPost, g.url+"/v1/notifications", gatewayKey, judgedMessage("x", 1).with("template_id", "e2e-unknown")); code != http.StatusUnprocessableEntity ||
		!strings.Contains(body, "templates refresh") {
		t.Errorf("an unknown template: %d %s, want 422 and what to do", code, body)
	}
}

// wantShownToBeSendable sends what templates show prints, both ways.
func (w *world) wantShownToBeSendable(g *gatewayProcess) {
	w.t.Helper()
	shown := command(w.t, w.env, "templates", "show", judged)
	shown.want(w.t, 0, "thing2", "20 characters", "one of 顺丰, 京东", "POST /v1/notifications")
	text := strings.ReplaceAll(shown.stdout, "OPENID", openID(1))
	body := regexp.MustCompile(`(?s)\n(\{.*\n\})\n`).FindStringSubmatch(text)
	if body == nil {
		w.t.Fatalf("no JSON in %s", text)
	}
	code, answer := request(w.t, http.MethodPost, g.url+"/v1/notifications", gatewayKey, json.RawMessage(body[1]))
	if code != http.StatusAccepted {
		w.t.Errorf("the JSON that templates show prints is answered %d %s", code, answer)
	}
	line := regexp.MustCompile(`(?m)^wxnotify (send .*)$`).FindStringSubmatch(text)
	if line == nil {
		w.t.Fatalf("no command in %s", text)
	}
	var args []string
	for _, word := range regexp.MustCompile(`[^\s']*'[^']*'|\S+`).FindAllString(line[1], -1) {
		args = append(args, strings.ReplaceAll(word, "'", ""))
	}
	command(w.t, w.env, args...).want(w.t, 0, "queued")
}

// wantDryRuns tries what is not to be sent.
func (w *world) wantDryRuns(g *gatewayProcess) {
	w.t.Helper()
	before := w.sandbox.report(testApp, false).Arrivals
	dry := []string{
		"send", "--to", openID(2), "--template", judged, "--id", "dry", "--dry-run", "--data", "number3=1", "--data", "time4=15:01", "--data", "name5=张三",
		"--data", "enum_string6=京东", "--data", idKey + "=dry",
	}
	command(w.t, w.env, slices.Concat(dry, []string{"--data", "thing2=x"})...).want(w.t, 0, "nothing was stored", "send", "listed")
	long := slices.Concat(dry, []string{"--data", "thing2=" + strings.Repeat("字", 25)})
	command(w.t, w.env, long...).want(w.t, 2, "data.thing2", "25 characters, at most 20")
	command(w.t, w.env, slices.Concat(long, []string{"--truncate"})...).want(w.t, 0, "shortened  thing2")
	command(w.t, w.env, slices.Concat(long, []string{"--truncate", "--json"})...).want(w.t, 0, `"would": "send"`, `"thing2"`)
	if code, _ := g.status(testApp, "dry"); code != http.StatusNotFound {
		w.t.Errorf("a dry run is known: %d, want 404", code)
	}
	sent := slices.DeleteFunc(slices.Concat(long, []string{"--truncate"}), func(arg string) bool { return arg == "--dry-run" })
	command(w.t, w.env, sent...).want(w.t, 0, "dry: queued", "shortened: thing2")
	g.awaitStatus("dry", "accepted", 30*time.Second)
	command(w.t, w.env, slices.Concat(sent, []string{"--dry-run"})...).want(w.t, 0, "duplicate", "accepted")
	if after := w.sandbox.report(testApp, false).Arrivals; after > before+3 { // this one, and those that templates show prints
		w.t.Errorf("%d calls were made, want at most 3", after-before)
	}
}
