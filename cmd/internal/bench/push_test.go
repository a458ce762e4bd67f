package main

import (
	"bufio"
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/producer/callback"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// stored keeps what a callback would enqueue, by source.
type stored struct {
	mu     sync.Mutex
	events map[string]tasks.Event
}

func (s *stored) EnqueueEvent(_ context.Context, e tasks.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events[e.Source] = e
	return nil
}

func newCallback(t *testing.T) (http.Handler, *stored) {
	t.Helper()
	kept := &stored{events: map[string]tasks.Event{}}
	h, err := callback.New(callback.Config{
		Apps:   []callback.App{{AppID: benchApp, Token: callbackToken, AESKey: callbackAESKey}},
		Events: kept,
	})
	if err != nil {
		t.Fatal(err)
	}
	return h, kept
}

// The measurement is of pushes that are verified, opened and stored, each as an
// event of its own, and that act on something.
func TestSealedPushesAreGenuineAndDistinct(t *testing.T) {
	t.Parallel()
	handler, kept := newCallback(t)
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	addr := server.Listener.Addr().String()
	pushes, err := sealedPushes(t.Context(), addr, 100)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fire(t.Context(), addr, pushes); err != nil {
		t.Fatal(err)
	}
	names := map[tasks.EventName]int{}
	for _, e := range kept.events {
		names[e.Name]++
		if e.App != benchApp || len(e.Items) != 1 || e.Items[0].TemplateID != templateID {
			t.Errorf("%+v", e)
		}
	}
	if names[tasks.EventPopup] != 50 || names[tasks.EventSent] != 50 {
		t.Errorf("stored %v, want 50 of each", names)
	}
}

// What the bare handler is sent is the event that the gateway finds when it opens
// a push.
func TestOpenedPushesAreTheEvents(t *testing.T) {
	t.Parallel()
	pushes, err := openedPushes(t.Context(), "127.0.0.1:1", 2)
	if err != nil {
		t.Fatal(err)
	}
	for i, wire := range pushes {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(wire)))
		if err != nil {
			t.Fatal(err)
		}
		var body bytes.Buffer
		if _, err := body.ReadFrom(r.Body); err != nil {
			t.Fatal(err)
		}
		name := []string{string(tasks.EventPopup), string(tasks.EventSent)}[i]
		if r.Method != http.MethodPost || !bytes.Contains(body.Bytes(), []byte(name)) || !bytes.Contains(body.Bytes(), []byte(openID(i))) {
			t.Errorf("%s %s", r.Method, &body)
		}
	}
}

func TestBareCallback(t *testing.T) {
	t.Parallel()
	redis := taskstest.StartRedis(t)
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: redis.Addr})
	t.Cleanup(func() { _ = client.Close() })
	inspector := asynq.NewInspector(asynq.RedisClientOpt{Addr: redis.Addr})
	t.Cleanup(func() { _ = inspector.Close() })
	w := httptest.NewRecorder()
	bareCallback{client}.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte("event"))))
	if w.Code != http.StatusOK || w.Body.String() != success {
		t.Errorf("answered %d %q", w.Code, w.Body)
	}
	list, err := inspector.ListPendingTasks(bareQueue)
	if err != nil || len(list) != 1 || string(list[0].Payload) != "event" {
		t.Errorf("stored %v, %v", list, err)
	}
}

func TestBareCallbackStoresFirst(t *testing.T) {
	t.Parallel()
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: "127.0.0.1:1"}) // nobody listens there
	t.Cleanup(func() { _ = client.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader([]byte("event"))).WithContext(ctx)
	if (bareCallback{client}).ServeHTTP(w, r); w.Code != http.StatusInternalServerError {
		t.Errorf("answered %d", w.Code)
	}
}
