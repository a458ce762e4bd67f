package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/worker/wechat"
)

// The comparison is fair only if both sides make the same call.
func TestBothSidesMakeTheSameCall(t *testing.T) {
	t.Parallel()
	var calls []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		calls = append(calls, r.Method+" "+r.URL.String()+" "+r.Proto+" "+r.Header.Get("Content-Type")+" "+string(body))
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1}`)
	}))
	t.Cleanup(server.Close)
	m := messages("x", 1)[0]
	callAsWorker(t, server.URL, m)
	callAsBare(t, server.URL, m)
	if len(calls) != 2 || calls[0] != calls[1] {
		t.Errorf("%q", calls)
	}
}

func callAsWorker(t *testing.T, url string, m message) {
	t.Helper()
	client, err := wechat.New(wechat.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	n := pipelineSender{app: benchApp, lane: tasks.Default}.notification(m).WithDefaults()
	if _, err := client.SendSubscribe(t.Context(), "TOKEN", wechat.SubscribeMessage{
		ToUser: n.To.OpenID, TemplateID: n.TemplateID, Page: n.Page, Data: n.Data, MiniprogramState: n.MiniprogramState, Lang: n.Lang,
	}); err != nil {
		t.Fatal(err)
	}
}

func callAsBare(t *testing.T, url string, m message) {
	t.Helper()
	body, err := m.body()
	if err != nil {
		t.Fatal(err)
	}
	s := newBareSender(url + "/cgi-bin/message/subscribe/send?access_token=TOKEN")
	t.Cleanup(s.client.CloseIdleConnections)
	if err := s.ProcessTask(t.Context(), asynq.NewTask(bareTask, body)); err != nil {
		t.Fatal(err)
	}
}

func TestBareHandlerFails(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{`{"errcode":43101}`, `<html>`} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, answer) }))
		t.Cleanup(server.Close)
		s := newBareSender(server.URL)
		t.Cleanup(s.client.CloseIdleConnections)
		if err := s.ProcessTask(t.Context(), asynq.NewTask(bareTask, []byte("{}"))); err == nil {
			t.Errorf("%s passed", answer)
		}
	}
}

func TestMessagesAreValidAndDistinct(t *testing.T) {
	t.Parallel()
	var people []string
	for _, m := range messages("x", 100) {
		people = append(people, m.openID)
		if err := (pipelineSender{app: benchApp, lane: tasks.Critical}).notification(m).Validate(time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Sort(people); len(slices.Compact(people)) != 100 {
		t.Error("recipients repeat")
	}
}
