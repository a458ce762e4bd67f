package tasks_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

func validDevice() tasks.Notification {
	n := valid()
	n.Kind, n.SN, n.ModelID = tasks.KindDevice, "SN-1_a", "model/1"
	n.To = tasks.Recipient{OpenIDs: []string{"o2", "o1"}}
	return n
}

func validCard() tasks.Notification {
	return tasks.Notification{
		App: "wxba5fad812f8e6fb9", Kind: tasks.KindCard, To: tasks.Recipient{OpenID: "o1"},
		NotifyType: tasks.CardTrain, NotifyCode: "4200000000202001310000000000",
		Content: json.RawMessage(`{"cur_status": 1, "seat": "3车5A"}`), Check: json.RawMessage(`{"pay_amount":100,"pay_time":1700000000}`),
	}
}

func openIDs(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "o" + strconv.Itoa(i)
	}
	return list
}

func TestKindsAccept(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]tasks.Notification{
		"device": validDevice(),
		"device, one": func(n tasks.Notification) tasks.Notification {
			n.To = tasks.Recipient{OpenID: "o1"}
			return n
		}(validDevice()),
		"device, most": func(n tasks.Notification) tasks.Notification {
			n.To, n.SN = tasks.Recipient{OpenIDs: openIDs(tasks.MaxOpenIDs)}, strings.Repeat("s", 128)
			return n
		}(validDevice()),
		"card": validCard(),
		"card of a login code": func(n tasks.Notification) tasks.Notification {
			n.To = tasks.Recipient{Code: "c"}
			return n
		}(validCard()),
		"card, update": func(n tasks.Notification) tasks.Notification {
			n.Check, n.NotifyType = nil, tasks.CardTaxi
			return n
		}(validCard()),
		"card, details": func(n tasks.Notification) tasks.Notification {
			n.Content, n.Check, n.Ext = nil, nil, json.RawMessage(` {}`)
			return n
		}(validCard()),
		"card of a type to come": func(n tasks.Notification) tasks.Notification {
			n.NotifyType = 3001
			return n
		}(validCard()),
	} {
		if err := n.Validate(time.Now()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKindsNameTheField(t *testing.T) {
	t.Parallel()
	const canary = "CANARY中"
	for _, c := range []struct {
		field  string
		base   func() tasks.Notification
		change func(*tasks.Notification)
	}{
		{"to.openids", valid, func(n *tasks.Notification) { n.To = tasks.Recipient{OpenIDs: []string{canary}} }},
		{"sn", valid, func(n *tasks.Notification) { n.SN = canary }},
		{"model_id", valid, func(n *tasks.Notification) { n.ModelID = canary }},
		{"notify_type", valid, func(n *tasks.Notification) { n.NotifyType = 1001 }},
		{"notify_code", valid, func(n *tasks.Notification) { n.NotifyCode = canary }},
		{"content", valid, func(n *tasks.Notification) { n.Content = json.RawMessage(`{}`) }},
		{"check", valid, func(n *tasks.Notification) { n.Check = json.RawMessage(`{}`) }},
		{"ext", valid, func(n *tasks.Notification) { n.Ext = json.RawMessage(`{}`) }},
		{"to.openids", validDevice, func(n *tasks.Notification) { n.To = tasks.Recipient{} }},
		{"to.openids", validDevice, func(n *tasks.Notification) { n.To.OpenIDs = openIDs(21) }},
		{"to.openids", validDevice, func(n *tasks.Notification) { n.To.OpenIDs = []string{"o1", "o1"} }},
		{"to.openids", validDevice, func(n *tasks.Notification) { n.To.OpenIDs = []string{canary} }},
		{"to.openid", validDevice, func(n *tasks.Notification) { n.To = tasks.Recipient{OpenID: canary} }},
		{"to", validDevice, func(n *tasks.Notification) { n.To.OpenID = "o1" }},
		{"to.code", validDevice, func(n *tasks.Notification) { n.To = tasks.Recipient{Code: "c"} }},
		{"sn", validDevice, func(n *tasks.Notification) { n.SN = "" }},
		{"sn", validDevice, func(n *tasks.Notification) { n.SN = canary }},
		{"sn", validDevice, func(n *tasks.Notification) { n.SN = strings.Repeat("s", 129) }},
		{"model_id", validDevice, func(n *tasks.Notification) { n.ModelID = "" }},
		{"template_id", validDevice, func(n *tasks.Notification) { n.TemplateID = "" }},
		{"data", validDevice, func(n *tasks.Notification) { n.Data = nil }},
		{"form_id", validDevice, func(n *tasks.Notification) { n.FormID = canary }},
		{"notify_code", validDevice, func(n *tasks.Notification) { n.NotifyCode = canary }},
		{"to.openid", validCard, func(n *tasks.Notification) { n.To = tasks.Recipient{} }},
		{"to.openids", validCard, func(n *tasks.Notification) { n.To = tasks.Recipient{OpenIDs: []string{"o1"}} }},
		{"template_id", validCard, func(n *tasks.Notification) { n.TemplateID = canary }},
		{"page", validCard, func(n *tasks.Notification) { n.Page = new("") }},
		{"data", validCard, func(n *tasks.Notification) { n.Data = map[string]string{"a": canary} }},
		{"miniprogram_state", validCard, func(n *tasks.Notification) { n.MiniprogramState = "formal" }},
		{"lang", validCard, func(n *tasks.Notification) { n.Lang = canary }},
		{"sn", validCard, func(n *tasks.Notification) { n.SN = canary }},
		{"emphasis_keyword", validCard, func(n *tasks.Notification) { n.EmphasisKeyword = canary }},
		{"notify_type", validCard, func(n *tasks.Notification) { n.NotifyType = 0 }},
		{"notify_type", validCard, func(n *tasks.Notification) { n.NotifyType = 10000 }},
		{"notify_code", validCard, func(n *tasks.Notification) { n.NotifyCode = "" }},
		{"notify_code", validCard, func(n *tasks.Notification) { n.NotifyCode = strings.Repeat("c", 513) }},
		{"content", validCard, func(n *tasks.Notification) { n.Content, n.Check = nil, nil }},
		{"content", validCard, func(n *tasks.Notification) { n.Content = json.RawMessage(`"` + canary + `"`) }},
		{"content", validCard, func(n *tasks.Notification) { n.Content = json.RawMessage(`{`) }},
		{"content", validCard, func(n *tasks.Notification) { n.Content = json.RawMessage("{\"cur_status\":1,\"a\":\"\xff\"}") }},
		{"content", validCard, func(n *tasks.Notification) {
			n.Content = json.RawMessage(`{"cur_status":1,"a":"` + strings.Repeat("x", 16<<10) + `"}`)
		}},
		{"content.cur_status", validCard, func(n *tasks.Notification) { n.Content = json.RawMessage(`{"a":1}`) }},
		{"content.cur_status", validCard, func(n *tasks.Notification) { n.Content = json.RawMessage(`{"cur_status":"1"}`) }},
		{"content.cur_status", validCard, func(n *tasks.Notification) { n.Content = json.RawMessage(`{"cur_status":-1}`) }},
		{"check", validCard, func(n *tasks.Notification) { n.Check = json.RawMessage(`[]`) }},
		{"check.pay_amount", validCard, func(n *tasks.Notification) { n.Check = json.RawMessage(`{"pay_time":1}`) }},
		{"check.pay_time", validCard, func(n *tasks.Notification) { n.Check = json.RawMessage(`{"pay_amount":1,"pay_time":4294967296}`) }},
		{"ext", validCard, func(n *tasks.Notification) { n.Ext = json.RawMessage(`{}`) }},
		{"check", validCard, func(n *tasks.Notification) { n.Content, n.Ext = nil, json.RawMessage(`{}`) }},
	} {
		n := c.base()
		c.change(&n)
		err := n.Validate(time.Now())
		var refused *tasks.ValidationError
		if !errors.As(err, &refused) {
			t.Errorf("%s of %s: %v, want it refused", c.field, n.Kind, err)
			continue
		}
		if len(refused.Fields) != 1 || refused.Fields[0].Field != c.field || refused.Fields[0].Detail == "" {
			t.Errorf("%s of %s: %+v", c.field, n.Kind, refused.Fields)
		}
		if strings.Contains(err.Error(), canary) {
			t.Errorf("the error holds the value: %v", err)
		}
	}
}

// What is stored is what is read again, and means the same.
func TestKindsKeepTheirFields(t *testing.T) {
	t.Parallel()
	one := validDevice()
	one.To = tasks.Recipient{OpenIDs: []string{"o1"}}
	ext := validCard()
	ext.Content, ext.Check, ext.Ext = nil, nil, json.RawMessage(`{"store_info":{"name":"<&>"}}`)
	for _, n := range []tasks.Notification{validDevice(), one, validCard(), ext} {
		n.ID = "a"
		n = n.WithDefaults()
		e := tasks.Envelope{Notification: n, EnqueuedAt: time.UnixMilli(1700000000123), Hash: n.ContentHash()}
		taskType, payload, err := tasks.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tasks.Decode(taskType, payload)
		if err != nil || got.ContentHash() != e.Hash || got.Hash != e.Hash {
			t.Fatalf("%s: %+v, %v", payload, got, err)
		}
		got.Content, e.Content = nil, nil // written without blanks
		if !reflect.DeepEqual(got, e) {
			t.Errorf("%+v, want %+v", got, e)
		}
	}
}

func TestContentHashOfKinds(t *testing.T) {
	t.Parallel()
	hash := func(n tasks.Notification) string { return n.WithDefaults().ContentHash() }
	same := validDevice()
	same.To.OpenIDs = []string{"o1", "o2"}
	if hash(same) != hash(validDevice()) {
		t.Error("the order of openids makes a difference")
	}
	card := validCard()
	card.Content = json.RawMessage(`{"seat":"3\u8f665A","cur_status":1}`)
	if hash(card) != hash(validCard()) {
		t.Error("the order of names, or an escape, makes a difference")
	}
	seen := map[string]bool{hash(validDevice()): true, hash(validCard()): true}
	for _, change := range []func(*tasks.Notification){
		func(n *tasks.Notification) { n.SN = "other" },
		func(n *tasks.Notification) { n.ModelID = "other" },
		func(n *tasks.Notification) { n.To.OpenIDs = []string{"o1", "o3"} },
	} {
		n := validDevice()
		change(&n)
		seen[hash(n)] = true
	}
	for _, change := range []func(*tasks.Notification){
		func(n *tasks.Notification) { n.NotifyType = tasks.CardHotel },
		func(n *tasks.Notification) { n.NotifyCode = "other" },
		func(n *tasks.Notification) { n.Content = json.RawMessage(`{"cur_status":2}`) },
		func(n *tasks.Notification) { n.Check = nil },
		func(n *tasks.Notification) { n.Content, n.Check, n.Ext = nil, nil, n.Content },
	} {
		n := validCard()
		change(&n)
		seen[hash(n)] = true
	}
	if len(seen) != 10 {
		t.Errorf("%d different hashes, want 10", len(seen))
	}
}

func TestRecipientKeys(t *testing.T) {
	t.Parallel()
	n := validDevice()
	given := slices.Clone(n.To.OpenIDs)
	to := n.WithDefaults().To
	if to.Key() != "openids:o1,o2" || !slices.Equal(to.All(), []string{"o1", "o2"}) {
		t.Errorf("%q, %v", to.Key(), to.All())
	}
	if !slices.Equal(n.To.OpenIDs, given) {
		t.Error("the caller's list was sorted")
	}
	if (tasks.Recipient{Code: "c"}).All() != nil || (tasks.Recipient{OpenID: "o1"}).Key() != "o1" {
		t.Error("one recipient is not several")
	}
}

func TestNotifyTypes(t *testing.T) {
	t.Parallel()
	if len(tasks.NotifyTypes()) != 15 {
		t.Errorf("%d types have names", len(tasks.NotifyTypes()))
	}
	for _, want := range tasks.NotifyTypes() {
		byName, ok := tasks.ParseNotifyType(want.String())
		byNumber, also := tasks.ParseNotifyType(strconv.Itoa(int(want)))
		if !ok || !also || byName != want || byNumber != want {
			t.Errorf("%s: %d, %d", want, byName, byNumber)
		}
	}
	if _, ok := tasks.ParseNotifyType("bus"); ok || tasks.NotifyType(2999).String() != "2999" {
		t.Error("a type without a name has one")
	}
}

func TestCardEnd(t *testing.T) {
	t.Parallel()
	enqueued := time.Unix(1700000100, 0)
	update, ride, details, other := validCard(), validCard(), validCard(), validCard()
	update.Check = nil
	ride.NotifyType, ride.Check = tasks.CardTaxi, nil
	details.Content, details.Check, details.Ext = nil, nil, json.RawMessage(`{}`)
	other.NotifyType = 3001
	for name, c := range map[string]struct {
		n    tasks.Notification
		want time.Time
	}{
		"a payment's activation": {validCard(), time.Unix(1700000000, 0).Add(24 * time.Hour)},
		"a payment's update":     {update, enqueued.Add(31 * 24 * time.Hour)},
		"a button's":             {ride, enqueued.Add(24*time.Hour + 5*time.Minute)},
		"details of a payment's": {details, enqueued.Add(31 * 24 * time.Hour)},
		"of a type to come":      {other, time.Time{}},
		"no card":                {validDevice(), time.Time{}},
	} {
		if got := (tasks.Envelope{Notification: c.n, EnqueuedAt: enqueued}).CardEnd(); !got.Equal(c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
