package gateway

import (
	"fmt"
	"testing"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// Which room is used up is told by the type, to all that store and to every item of a batch.
func TestBusyNamesItsReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		cause       error
		kind, title string
	}{
		{tasks.ErrMemoryFull, "urn:wxnotify:problem:redis-full", "Redis Is Full"},
		{tasks.ErrQueueFull, "urn:wxnotify:problem:queue-full", "Queue Is Full"},
	} {
		b := setup(t)
		b.sender.err = fmt.Errorf("%w: %w", producer.ErrBusy, c.cause)
		for path, body := range map[string]string{
			"/v1/notifications":       notification("id", "n-1"),
			"/v1/notifications:batch": batch(notification("id", "a"), notification("id", "b")),
			"/v1/form-ids":            formID(),
			"/v1/subscriptions":       subscription(),
		} {
			r := b.do("POST", path, body).want(503)
			r.wantField("type", c.kind)
			r.wantField("title", c.title)
			if wait := r.Header().Get("Retry-After"); wait != "5" {
				t.Errorf("%s: Retry-After %q", path, wait)
			}
		}
		items := b.do("POST", "/v1/notifications:batch", batch(notification("id", "a"), notification("tpl", 1))).want(200).results()
		if e := itemError(items[0]); e["status"] != 503.0 || e["type"] != c.kind {
			t.Errorf("item %v", e)
		}
		if e := itemError(items[1]); e["status"] != 422.0 || e["type"] != nil {
			t.Errorf("item %v", e)
		}
	}
}

// For a batch of which nothing is known to be stored, the reason is the less certain one.
func TestBatchBusyAndUnavailable(t *testing.T) {
	t.Parallel()
	full := batchResult{Error: busy(producer.ErrBusy)}
	away := batchResult{Error: unavailable()}
	stored := batchResult{receipt: &receipt{}}
	for _, c := range []struct {
		results []batchResult
		want    *problem
	}{
		{[]batchResult{full, full}, full.Error}, {[]batchResult{full, away, full}, away.Error}, {[]batchResult{away, full}, away.Error},
		{[]batchResult{full, stored}, nil}, {[]batchResult{stored}, nil}, {[]batchResult{{Error: internalError()}, full}, nil},
	} {
		if got := allUnavailable(c.results); got != c.want {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}
