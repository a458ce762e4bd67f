package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
)

// notification is what differs from one to the next.
type notification struct {
	id        string
	user      int
	lane      tasks.Priority
	onUnknown tasks.OnUnknown
	// delayed ones have a sendAt, from when they are posted on.
	delayed bool
	sendAt  time.Time
}

// delay is how far ahead the time of a delayed notification is.
const delay = 5 * time.Second

// notifications makes n of them over all lanes. Every other one is dropped rather
// than sent again when nobody knows, some share their recipient with the one before,
// and some are to be sent later.
func notifications(n int) []notification {
	list := make([]notification, n)
	for i := range list {
		list[i] = notification{id: fmt.Sprintf("drop-%05d", i), user: i, lane: tasks.Priorities()[i/2%3], onUnknown: tasks.Drop}
		if i%2 == 1 {
			list[i].id, list[i].onUnknown = fmt.Sprintf("resend-%05d", i), tasks.Resend
		}
		if i%5 == 4 {
			list[i].user = i - 1
		}
		list[i].delayed = i%7 == 3
	}
	return list
}

func (n notification) body() ([]byte, error) {
	fields := map[string]any{
		"app": chaosApp, "kind": "subscribe", "id": n.id, "template_id": "CHAOS_TEMPLATE",
		"to":       map[string]string{"openid": fmt.Sprintf("oChaos%022d", n.user)},
		"data":     map[string]string{idKey: n.id, "thing2": "咖啡豆 500g"},
		"priority": n.lane, "on_unknown": n.onUnknown,
	}
	if n.delayed {
		fields["send_at"] = n.sendAt
	}
	return json.Marshal(fields)
}

// client posts to the gateway, again and again until it has an answer.
type client struct {
	url  string
	http *http.Client

	mu sync.Mutex
	// acknowledged are those the gateway answered with 202 or 200.
	acknowledged []notification
}

const senders = 32

func newClient(url string) *client {
	return &client{url: url, http: &http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: senders, IdleConnTimeout: 10 * time.Second},
	}}
}

// load posts the list, spread over a time if the gateway can keep up.
func (c *client) load(ctx context.Context, list []notification, over time.Duration) error {
	defer c.http.CloseIdleConnections()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(senders)
	began := time.Now()
	for i, n := range list {
		due := began.Add(over * time.Duration(i) / time.Duration(len(list)))
		if err := lab.Sleep(gctx, time.Until(due)); err != nil {
			break // group.Wait knows more
		}
		group.Go(func() error { return c.insist(gctx, n) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// insist posts until the gateway has it. The id makes that safe.
func (c *client) insist(ctx context.Context, n notification) error {
	if n.delayed {
		n.sendAt = time.Now().Add(delay).Truncate(time.Second)
	}
	body, err := n.body()
	if err != nil {
		return err
	}
	for {
		status, text := c.post(ctx, body)
		switch {
		case status == http.StatusAccepted || status == http.StatusOK:
			c.mu.Lock()
			c.acknowledged = append(c.acknowledged, n)
			c.mu.Unlock()
			return nil
		case status >= 400 && status < 500:
			return fmt.Errorf("the gateway answers %d to %s: %s", status, n.id, text)
		}
		if err := lab.Sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

// post returns status 0 if nothing answered.
func (c *client) post(ctx context.Context, body []byte) (int, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/notifications", bytes.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	req.Header.Set("Authorization", "Bearer "+gatewayKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }() // read below
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

func (c *client) sent() []notification {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.acknowledged)
}
