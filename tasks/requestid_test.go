package tasks_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// The request's id travels with the task, is no content, and costs nothing where
// there is none.
func TestRequestIDTravels(t *testing.T) {
	t.Parallel()
	n := valid().WithDefaults()
	plain := n.ContentHash()
	n.RequestID = "req-4711"
	if n.ContentHash() != plain {
		t.Error("the request's id changes the content")
	}
	e := tasks.Envelope{Notification: n, EnqueuedAt: time.Now(), Hash: plain}
	typ, payload, err := tasks.Encode(e)
	if err != nil {
		t.Fatal(err)
	}
	back, err := tasks.Decode(typ, payload)
	if err != nil || back.RequestID != "req-4711" {
		t.Errorf("it came back as %q, %v", back.RequestID, err)
	}
	e.RequestID = ""
	if _, payload, err = tasks.Encode(e); err != nil || bytes.Contains(payload, []byte("rid")) {
		t.Errorf("without one: %s, %v", payload, err)
	}
	if back, err = tasks.Decode(typ, payload); err != nil || back.RequestID != "" {
		t.Errorf("what an earlier version wrote: %q, %v", back.RequestID, err)
	}
}

func TestRequestIDFitsIntoALogLine(t *testing.T) {
	t.Parallel()
	for id, ok := range map[string]bool{
		"": true, "a": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "two words": false, "a\nb": false, "\u00fc": false,
	} {
		n := valid()
		n.RequestID = id
		err := n.Validate(time.Now())
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "request_id") {
			t.Errorf("%q: %v", id, err)
		}
	}
}
