package catalogue

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func TestListIsShared(t *testing.T) {
	t.Parallel()
	rdb := taskstest.StartRedis(t).Client(t)
	writer, reader := New(rdb, "ns"), New(rdb, "ns")
	now := time.Now()
	reader.now = func() time.Time { return now }
	if got := reader.Type(t.Context(), "wx1", "a"); got != tasks.TypeUnknown {
		t.Fatalf("before the first list: %v", got)
	}
	err := writer.Store(t.Context(), "wx1", time.Now(), []Template{{ID: "a", Type: tasks.OneTime}, {ID: "b", Type: tasks.LongTerm}})
	if err != nil {
		t.Fatal(err)
	}
	if got := reader.Type(t.Context(), "wx1", "a"); got != tasks.TypeUnknown {
		t.Fatalf("a missing template asked Redis again at once: %v", got)
	}
	now = now.Add(missingFor)
	for id, want := range map[string]tasks.TemplateType{"a": tasks.OneTime, "b": tasks.LongTerm, "c": tasks.TypeUnknown} {
		if got := reader.Type(t.Context(), "wx1", id); got != want {
			t.Errorf("%s is %v, want %v", id, got, want)
		}
	}
	if got := reader.Type(t.Context(), "wx2", "a"); got != tasks.TypeUnknown {
		t.Errorf("another app's template is %v", got)
	}
}

func TestStoreReplaces(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, storeReplaces)
}

func storeReplaces(t *testing.T, url string) {
	rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	c := New(rdb, "")
	for _, list := range [][]Template{{{ID: "old", Type: tasks.OneTime}}, {{ID: "new", Type: tasks.LongTerm}}, nil} {
		if err := c.Store(t.Context(), "wx1", time.Now(), list); err != nil {
			t.Fatal(err)
		}
		types, err := c.Types(t.Context(), "wx1")
		if err != nil || len(types) != len(list) {
			t.Fatalf("after storing %v: %v, %v", list, types, err)
		}
	}
}

func TestKnownTypesOutliveRedis(t *testing.T) {
	t.Parallel()
	server := taskstest.StartRedis(t)
	c := New(server.Client(t), "")
	if err := c.Store(t.Context(), "wx1", time.Now(), []Template{{ID: "a", Type: tasks.LongTerm}}); err != nil {
		t.Fatal(err)
	}
	if got := c.Type(t.Context(), "wx1", "a"); got != tasks.LongTerm {
		t.Fatal(got)
	}
	server.Stop(t)
	c.now = func() time.Time { return time.Now().Add(time.Hour) }
	if got := c.Type(t.Context(), "wx1", "a"); got != tasks.LongTerm {
		t.Errorf("while Redis is away: %v", got)
	}
}
