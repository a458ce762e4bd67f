package worker

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// What WeChat answers about a template becomes what values are judged by.
func TestListedTemplate(t *testing.T) {
	t.Parallel()
	got := listed(wechat.Template{
		ID: "T", Type: 3, Title: "发货", Content: "商品:{{thing1.DATA}}\n快递:{{enum_string2.DATA}}\n", Example: "商品:咖啡豆\n快递:顺丰\n",
		Enums: []wechat.Enum{{KeywordCode: "enum_string2.DATA", Values: []string{"顺丰", "京东"}}},
	})
	if got.ID != "T" || got.Type != tasks.LongTerm || got.Title != "发货" || len(got.Fields) != 2 {
		t.Fatalf("%+v", got)
	}
	if f := got.Fields[1]; f.Key != "enum_string2" || f.Label != "快递" || f.Example != "顺丰" || len(f.Enum) != 2 {
		t.Errorf("%+v", f)
	}
	if wrong := got.Check(map[string]string{"thing1": "x", "enum_string2": "邮政"}); len(wrong) != 1 {
		t.Errorf("%v, want enum_string2 refused", wrong)
	}
}

// The daily reading waits and tries again; one that somebody asked for is asked for again.
func TestReadingsOnDemand(t *testing.T) {
	t.Parallel()
	now := time.Now()
	daily := tasks.JobTask{Slot: now.Truncate(readTemplatesEvery).UnixMilli()}
	asked := tasks.JobTask{Slot: now.Truncate(readTemplatesEvery).Add(5 * time.Minute).UnixMilli()}
	if onDemand(daily) || !onDemand(asked) {
		t.Errorf("daily: %v, asked for: %v", onDemand(daily), onDemand(asked))
	}
}
