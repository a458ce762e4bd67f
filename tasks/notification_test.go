package tasks_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

func valid() tasks.Notification {
	return tasks.Notification{
		App: "wxba5fad812f8e6fb9", ID: "order-1~a.b_C", To: tasks.Recipient{OpenID: "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"},
		TemplateID: "tmpl_-1", Data: map[string]string{"thing1": "您的订单已发货 👨‍👩‍👧", "phone_number3": "+86 10"},
	}
}

func TestValidateAccepts(t *testing.T) {
	t.Parallel()
	now := time.Now()
	for name, change := range map[string]func(*tasks.Notification){
		"least":        func(*tasks.Notification) {},
		"no id":        func(n *tasks.Notification) { n.ID = "" },
		"no page":      func(n *tasks.Notification) { n.Page = new("") },
		"page query":   func(n *tasks.Notification) { n.Page = new("pages/order?id=1&x=<2>") },
		"past send_at": func(n *tasks.Notification) { n.SendAt = now.Add(-time.Hour) },
		"far send_at":  func(n *tasks.Notification) { n.SendAt, n.NotAfter = now.Add(tasks.MaxAhead), now.Add(tasks.MaxAhead+1) },
		"longest id":   func(n *tasks.Notification) { n.ID = strings.Repeat("x", 128) },
		"login code":   func(n *tasks.Notification) { n.To = tasks.Recipient{Code: "0c1Xyz~!"} },
		"template":     func(n *tasks.Notification) { n.Kind, n.Data = tasks.KindTemplate, nil },
		"whole template": func(n *tasks.Notification) {
			n.Kind, n.FormID, n.EmphasisKeyword = tasks.KindTemplate, "wx201410272009395522657a690389285100", "keyword1.DATA"
		},
		"all words": func(n *tasks.Notification) {
			n.Kind, n.MiniprogramState, n.Lang, n.Priority, n.OnUnknown = "subscribe", "trial", "zh_TW", "bulk", "drop"
		},
	} {
		n := valid()
		change(&n)
		if err := n.Validate(now); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestValidateNamesTheField(t *testing.T) {
	t.Parallel()
	const canary = "CANARY中"
	now := time.Now()
	for _, c := range []struct {
		field  string
		change func(*tasks.Notification)
	}{
		{"app", func(n *tasks.Notification) { n.App = "" }},
		{"app", func(n *tasks.Notification) { n.App = canary }},
		{"app", func(n *tasks.Notification) { n.App = strings.Repeat("a", 65) }},
		{"kind", func(n *tasks.Notification) { n.Kind = canary }},
		{"id", func(n *tasks.Notification) { n.ID = canary }},
		{"id", func(n *tasks.Notification) { n.ID = "a/b" }},
		{"id", func(n *tasks.Notification) { n.ID = ".." }},
		{"id", func(n *tasks.Notification) { n.ID = strings.Repeat("x", 129) }},
		{"to.openid", func(n *tasks.Notification) { n.To.OpenID = "" }},
		{"to.openid", func(n *tasks.Notification) { n.To.OpenID = canary }},
		{"to.openid", func(n *tasks.Notification) { n.To.OpenID = strings.Repeat("o", 129) }},
		{"to", func(n *tasks.Notification) { n.To.Code = canary }},
		{"to.code", func(n *tasks.Notification) { n.To = tasks.Recipient{Code: canary} }},
		{"to.code", func(n *tasks.Notification) { n.To = tasks.Recipient{Code: strings.Repeat("c", 129)} }},
		{"send_at", func(n *tasks.Notification) { n.To, n.SendAt = tasks.Recipient{Code: "c"}, now.Add(time.Minute) }},
		{"form_id", func(n *tasks.Notification) { n.FormID = canary }},
		{"form_id", func(n *tasks.Notification) { n.Kind, n.FormID = tasks.KindTemplate, canary }},
		{"form_id", func(n *tasks.Notification) { n.Kind, n.FormID = tasks.KindTemplate, "the formId is a mock one" }},
		{"form_id", func(n *tasks.Notification) { n.Kind, n.FormID = tasks.KindTemplate, "a;b" }},
		{"form_id", func(n *tasks.Notification) { n.Kind, n.FormID = tasks.KindTemplate, "undefined" }},
		{"emphasis_keyword", func(n *tasks.Notification) { n.EmphasisKeyword = canary }},
		{"emphasis_keyword", func(n *tasks.Notification) { n.Kind, n.EmphasisKeyword = tasks.KindTemplate, "keyword1" }},
		{"template_id", func(n *tasks.Notification) { n.TemplateID = "" }},
		{"template_id", func(n *tasks.Notification) { n.TemplateID = strings.Repeat("t", 129) }},
		{"page", func(n *tasks.Notification) { n.Page = new("a\nb" + canary) }},
		{"page", func(n *tasks.Notification) { n.Page = new(strings.Repeat("p", 1025)) }},
		{"data", func(n *tasks.Notification) { n.Data = nil }},
		{"data", func(n *tasks.Notification) { n.Data = map[string]string{canary: "x"} }},
		{"data.thing1", func(n *tasks.Notification) { n.Data = map[string]string{"thing1": " "} }},
		{"data.thing1", func(n *tasks.Notification) { n.Data = map[string]string{"thing1": canary + "\n"} }},
		{"data.thing1", func(n *tasks.Notification) { n.Data = map[string]string{"thing1": canary + "\xff"} }},
		{"data.thing1", func(n *tasks.Notification) { n.Data = map[string]string{"thing1": strings.Repeat("x", 1025)} }},
		{"miniprogram_state", func(n *tasks.Notification) { n.MiniprogramState = canary }},
		{"lang", func(n *tasks.Notification) { n.Lang = canary }},
		{"priority", func(n *tasks.Notification) { n.Priority = canary }},
		{"on_unknown", func(n *tasks.Notification) { n.OnUnknown = canary }},
		{"send_at", func(n *tasks.Notification) { n.SendAt = now.Add(tasks.MaxAhead + time.Second) }},
		{"not_after", func(n *tasks.Notification) { n.NotAfter = now.Add(-time.Second) }},
		{"not_after", func(n *tasks.Notification) { n.SendAt, n.NotAfter = now.Add(2*time.Hour), now.Add(time.Hour) }},
	} {
		n := valid()
		c.change(&n)
		err := n.Validate(now)
		var refused *tasks.ValidationError
		if !errors.As(err, &refused) || len(refused.Fields) != 1 || refused.Fields[0].Field != c.field {
			t.Errorf("%s: %v", c.field, err)
			continue
		}
		if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%s: the error holds the value: %v", c.field, err)
		}
	}
}

func TestValidateReportsAllFieldsOnce(t *testing.T) {
	t.Parallel()
	err := tasks.Notification{Kind: "x", Priority: "y"}.Validate(time.Now())
	var refused *tasks.ValidationError
	if !errors.As(err, &refused) {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, f := range refused.Fields {
		seen[f.Field]++
	}
	for _, field := range []string{"app", "kind", "to.openid", "template_id", "data", "priority"} {
		if seen[field] != 1 {
			t.Errorf("%s is named %d times in %v", field, seen[field], err)
		}
	}
}

func TestContentHash(t *testing.T) {
	t.Parallel()
	hash := func(change func(*tasks.Notification)) string {
		n := valid()
		change(&n)
		return n.WithDefaults().ContentHash()
	}
	same := hash(func(*tasks.Notification) {})
	for name, change := range map[string]func(*tasks.Notification){
		"defaults spelt out": func(n *tasks.Notification) { n.Page, n.Lang = new(tasks.DefaultPage), "zh_CN" },
		"priority":           func(n *tasks.Notification) { n.Priority = tasks.Bulk },
		"times":              func(n *tasks.Notification) { n.SendAt, n.NotAfter = time.Now(), time.Now().Add(time.Hour) },
		"on_unknown":         func(n *tasks.Notification) { n.OnUnknown = tasks.Drop },
	} {
		if hash(change) != same {
			t.Errorf("%s changes the content", name)
		}
	}
	for name, change := range map[string]func(*tasks.Notification){
		"openid":   func(n *tasks.Notification) { n.To.OpenID = "other" },
		"template": func(n *tasks.Notification) { n.TemplateID = "other" },
		"page":     func(n *tasks.Notification) { n.Page = new("") },
		"value":    func(n *tasks.Notification) { n.Data["thing1"] = "x" },
		"shifted": func(n *tasks.Notification) {
			n.Data = map[string]string{"thing1": "您的订单已发货 👨‍👩‍👧phone_number3", "x": ""}
		},
		"state": func(n *tasks.Notification) { n.MiniprogramState = "trial" },
	} {
		if hash(change) == same {
			t.Errorf("%s does not change the content", name)
		}
	}
}

// asynq's mux and the dashboard's filters go by prefix.
// What an earlier version wrote keeps its hash, and what says something new has
// another. The way to the recipient is content, the permit to send is not.
func TestHashesOfEarlierVersionsStand(t *testing.T) {
	t.Parallel()
	base := valid().WithDefaults()
	if got := base.ContentHash(); got != "YWlXcHqhU_SqXZAF" {
		t.Errorf("the hash of an ordinary notification is %q now: a repeated request would be a conflict", got)
	}
	template := base
	template.Kind = tasks.KindTemplate
	hash := template.ContentHash()
	withForm, emphasized, coded := template, template, template
	withForm.FormID = "f1"
	emphasized.EmphasisKeyword = "keyword1.DATA"
	coded.To = tasks.Recipient{Code: "c"}
	if withForm.ContentHash() != hash {
		t.Error("another form id is no other content")
	}
	if emphasized.ContentHash() == hash || coded.ContentHash() == hash || emphasized.ContentHash() == coded.ContentHash() {
		t.Error("emphasis and login code are content")
	}
}

func TestNoKindIsAPrefixOfAnother(t *testing.T) {
	t.Parallel()
	names := tasks.Jobs()
	for _, k := range tasks.Kinds() {
		names = append(names, string(k), k.TaskType())
	}
	for i, a := range names {
		for j, b := range names {
			if i != j && strings.HasPrefix(b, a) {
				t.Errorf("%q is a prefix of %q", a, b)
			}
		}
	}
}

func TestNamespaces(t *testing.T) {
	t.Parallel()
	plain, team := tasks.Namespace(""), tasks.Namespace("team-a")
	if got := team.Queue("wx1", tasks.Critical); got != "team-a.wx1.critical" {
		t.Error(got)
	}
	for queue, want := range map[string]bool{
		"wx1.default": true, "wx1.bulk": true, "wxnotify.system": true,
		"wx1.low": false, "default": false, "team-a.wx1.critical": false, "team-a.wxnotify.system": false,
	} {
		if plain.Owns(queue) != want {
			t.Errorf("the plain namespace owns %s: %v", queue, !want)
		}
	}
	if !team.Owns("team-a.wx1.critical") || team.Owns("wx1.critical") || team.Owns("wxnotify.system") {
		t.Error("a namespace owns the wrong queues")
	}
	if err := tasks.Namespace("a b").Check(); err == nil {
		t.Error("a namespace with a space passed")
	}
	if err := tasks.Namespace(strings.Repeat("x", 33)).Check(); err == nil {
		t.Error("a namespace of 33 characters passed")
	}
}
