package catalogue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

var now = time.Now()

// bundle is a catalogue with a clock of its own.
type bundle struct {
	*testing.T
	server *taskstest.Server
	rdb    redis.UniversalClient
	*Catalogue
	clock *fakeClock
}

type fakeClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *fakeClock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (b *bundle) pass(d time.Duration) {
	b.clock.mu.Lock()
	defer b.clock.mu.Unlock()
	b.clock.now = b.clock.now.Add(d)
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	server := taskstest.StartRedis(t)
	b := &bundle{T: t, server: server, rdb: server.Client(t), clock: &fakeClock{now: time.Now().Truncate(time.Hour)}}
	b.Catalogue = New(b.rdb, "")
	b.now = b.clock.time
	t.Cleanup(b.Close)
	return b
}

// reads stores a list of templates that each have thing1 and the given keys.
func (b *bundle) reads(templates ...Template) {
	b.Helper()
	if err := New(b.rdb, "").Store(b.Context(), "wx1", b.clock.time(), templates); err != nil {
		b.Fatal(err)
	}
}

func template(id string, keys ...string) Template {
	return Template{ID: id, Title: "title of " + id, Type: tasks.OneTime, Fields: ParseFields("{{"+strings.Join(keys, ".DATA}}{{")+".DATA}}", "", nil)}
}

func message(id string) *tasks.Notification {
	return &tasks.Notification{App: "wx1", Kind: tasks.KindSubscribe, TemplateID: id, Data: map[string]string{"thing1": "x"}}
}

// judged fails unless a message of the template is judged as wanted: by what, and with
// what field wrong.
func (b *bundle) judged(n *tasks.Notification, by Knowledge, field string) {
	b.Helper()
	wrong, known := b.Judge(b.Context(), n, true)
	got := ""
	if len(wrong) > 0 {
		got = wrong[0].Field
	}
	if known != by || got != field {
		b.Errorf("%s of %s: %v by %q, want %q by %q", n.Kind, n.TemplateID, wrong, known, field, by)
	}
}

// asked counts the readings that were asked for.
func (b *bundle) asked() int {
	b.Helper()
	list, err := asynq.NewInspectorFromRedisClient(b.rdb).ListPendingTasks(tasks.Namespace("").SystemQueue())
	if err != nil && !errors.Is(err, asynq.ErrQueueNotFound) {
		b.Fatal(err)
	}
	return len(list)
}

func TestWithoutAList(t *testing.T) {
	b := setup(t)
	b.judged(message("T"), NoList, "")
	long := message("T")
	long.Data["thing1"] = times("x", 21)
	b.judged(long, NoList, "data.thing1")
	long.Kind = tasks.KindTemplate
	b.judged(long, Unjudged, "")
	b.pass(time.Hour)
	b.reads() // an app without templates says nothing
	b.judged(message("T"), NoList, "")
	if n := b.asked(); n != 0 {
		t.Errorf("asked %d times, want never", n)
	}
}

// A list that a worker's clock dates far ahead of its time says nothing for certain, until
// another is read.
func TestAListFromTheFuture(t *testing.T) {
	b := setup(t)
	b.pass(24 * time.Hour)
	b.reads(template("T", "thing1"))
	b.pass(-24 * time.Hour)
	b.judged(message("T"), Listed, "")
	b.judged(message("new"), Sought, "")
	if n := b.asked(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	b.pass(missingFor)
	b.judged(message("new"), Sought, "") // it was not read for its sake
	b.reads(template("T", "thing1"))
	b.pass(missingFor)
	b.judged(message("new"), Listed, "template_id")
}

// A template that is not in the list passes until a list that was read for its sake
// lacks it, too.
func TestAnUnknownTemplate(t *testing.T) {
	b := setup(t)
	b.reads(template("T", "thing1"))
	b.judged(message("T"), Listed, "")
	b.judged(message("new"), Listed, "template_id") // the list is too young
	b.pass(settled)
	b.judged(message("new"), Sought, "")
	b.judged(message("new"), Sought, "")
	if n := b.asked(); n != 1 {
		t.Errorf("asked %d times, want once", n)
	}
	b.pass(AskEvery)
	b.judged(message("new"), Sought, "")
	if n := b.asked(); n != 2 {
		t.Errorf("nobody answered: asked %d times, want twice", n)
	}
	b.reads(template("T", "thing1"))
	b.pass(missingFor)
	b.judged(message("new"), Listed, "template_id")
	b.pass(settled)
	b.judged(message("new"), Listed, "template_id")
	if n := b.asked(); n != 2 {
		t.Errorf("asked %d times, want no more than twice", n)
	}
	b.judged(message("other"), Sought, "")
	if n := b.asked(); n != 3 {
		t.Errorf("another template: asked %d times, want three times", n)
	}
	b.pass(seekAgain)
	b.judged(message("new"), Listed, "template_id") // and is looked for again
	if n := b.asked(); n != 4 {
		t.Errorf("after an hour: asked %d times, want four times", n)
	}
	b.reads(template("T", "thing1"), template("new", "thing1"))
	b.pass(missingFor)
	b.judged(message("new"), Listed, "")
}

// A dry run, and kinds whose templates may be elsewhere, ask for nothing.
func TestNobodyIsAsked(t *testing.T) {
	b := setup(t)
	b.reads(template("T", "thing1"))
	b.pass(settled)
	if wrong, known := b.Judge(t.Context(), message("new"), false); len(wrong) > 0 || known != Sought {
		t.Errorf("%v by %s", wrong, known)
	}
	other := message("new")
	other.Kind = "other"
	b.judged(other, NoList, "")
	if n := b.asked(); n != 0 {
		t.Errorf("asked %d times, want never", n)
	}
	other.TemplateID, other.Data["thing2"] = "T", "x"
	b.judged(other, Listed, "data.thing2")
}

// What a worker of an earlier version wrote is not held against a template.
func TestBesideAnEarlierVersion(t *testing.T) {
	b := setup(t)
	b.reads(template("T", "thing1"))
	if err := b.rdb.HSet(t.Context(), "wxn:templates:wx1", "N", "2").Err(); err != nil {
		t.Fatal(err)
	}
	b.judged(message("N"), NoList, "")
	if got := b.Type(t.Context(), "wx1", "N"); got != tasks.LongTerm {
		t.Errorf("type %v, want long-term", got)
	}
	if got := b.rdb.HGetAll(t.Context(), "wxn:templates:wx1").Val(); got["T"] != "1" {
		t.Errorf("types %v, want what every version reads", got)
	}
	if err := b.rdb.Set(t.Context(), "wxn:catalogue:wx1", `{"v":99,"templates":"?"}`, 0).Err(); err != nil {
		t.Fatal(err)
	}
	b.pass(freshFor)
	b.awaitJudged(message("T"), NoList)
}

// awaitJudged waits for what is read behind the scenes.
func (b *bundle) awaitJudged(n *tasks.Notification, by Knowledge) {
	b.Helper()
	taskstest.Eventually(b, 10*time.Second, func() string {
		if _, known := b.Judge(b.Context(), n, true); known != by {
			return fmt.Sprintf("judged by %s, want %s", known, by)
		}
		return ""
	})
}

// The list is held in memory: no send waits for Redis, and a change is seen soon.
func TestHeldInMemory(t *testing.T) {
	b := setup(t)
	b.reads(template("T", "thing1"))
	b.judged(message("T"), Listed, "")
	before := b.commands()
	for range 1000 {
		b.judged(message("T"), Listed, "")
	}
	if n := b.commands() - before; n > 5 { // the look itself is one
		t.Errorf("1000 messages cost %d commands, want none", n)
	}
	b.reads(template("T", "thing1", "thing2"))
	b.judged(message("T"), Listed, "")
	b.pass(freshFor)
	taskstest.Eventually(b, 10*time.Second, func() string {
		if wrong, _ := b.Judge(b.Context(), message("T"), true); len(wrong) != 1 {
			return fmt.Sprintf("%v, want thing2 missing", wrong)
		}
		return ""
	})
	b.reads(template("T", "thing1"))
	b.pass(staleAfter) // too old to go on with: this one waits
	b.judged(message("T"), Listed, "")
	b.server.Stop(t)
	b.pass(24 * time.Hour)
	b.judged(message("T"), Listed, "")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if got := b.Type(ctx, "wx1", "T"); got != tasks.OneTime {
		t.Errorf("while Redis is away: %v", got)
	}
}

// commands is how many Redis was sent.
func (b *bundle) commands() int {
	b.Helper()
	info, err := b.rdb.Info(b.Context(), "stats").Result()
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(info, "total_commands_processed:")
	n := 0
	if _, err := fmt.Sscan(after, &n); err != nil {
		b.Fatal(err)
	}
	return n
}

func TestChanges(t *testing.T) {
	b := setup(t)
	changes := func() *List {
		list, err := b.List(t.Context(), "wx1")
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	first := b.clock.time()
	b.reads(template("A", "thing1", "time2"), template("B", "thing1"))
	if l := changes(); len(l.Changes) != 0 || !l.ReadAt.Equal(first) {
		t.Errorf("the first list: %+v", l)
	}
	b.pass(time.Hour)
	second := b.clock.time()
	b.reads(template("A", "thing1", "thing3"), template("C", "thing1"))
	b.pass(time.Hour)
	b.reads(template("A", "thing1", "thing3"), template("C", "thing1"))
	l := changes()
	if got := fmt.Sprint(l.Changes); got != "[{A title of A fields [thing3] [time2]} {C title of C new [] []} {B title of B gone [] []}]" {
		t.Errorf("changes %s", got)
	}
	if !l.ChangedAt.Equal(second) || !l.Before.Equal(first) || !l.ReadAt.After(second) {
		t.Errorf("%+v", l)
	}
	if c := l.Find("A"); c == nil || c.Title != "title of A" || l.Find("B") != nil {
		t.Errorf("%+v", l.Templates)
	}
}

// Held and judged, as every send does it.
func BenchmarkJudge(b *testing.B) {
	c := New(redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"}), "")
	list := decodeList(`{"v":1,"read":1,"templates":[{"id":"T","fields":[{"key":"thing1"},{"key":"time2"},{"key":"character_string3"},{"key":"name4"}]}]}`)
	c.keep("wx1", &view{list: list, templates: map[string]*Template{"T": &list.Templates[0]}, types: map[string]tasks.TemplateType{"T": 1}, seen: time.Now().Add(time.Hour)})
	n := message("T")
	n.Data = map[string]string{
		"thing1": "您的订单 A-4711 已发货，请查收", "time2": "2026年11月21日 15:01", "character_string3": "SF1234567890", "name4": "张三丰",
	}
	b.ReportAllocs()
	for b.Loop() {
		if wrong, _ := c.Judge(b.Context(), n, true); wrong != nil {
			b.Fatal(wrong)
		}
	}
}
