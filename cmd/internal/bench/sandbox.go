package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"

	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// sandboxServer is the sandbox's control API.
type sandboxServer struct{ url string }

// reset forgets what was received.
func (s *sandboxServer) reset(ctx context.Context) error {
	return s.control(ctx, http.MethodPost, "reset", nil)
}

// report is what the app received since the last reset, every message by name.
func (s *sandboxServer) report(ctx context.Context) (sandbox.AppReport, error) {
	var r sandbox.Report
	if err := s.control(ctx, http.MethodGet, "report?ids=1", &r); err != nil {
		return sandbox.AppReport{}, err
	}
	return r.Apps[benchApp], nil
}

// accepted is the report of a run, provided that each of n messages was accepted
// once and nothing else arrived.
func (s *sandboxServer) accepted(ctx context.Context, n int) (sandbox.AppReport, error) {
	r, err := s.report(ctx)
	if err != nil {
		return r, err
	}
	want := int64(n)
	if r.Accepted != want || r.AcceptedMessages != want || r.Arrivals != want || len(r.Duplicates) > 0 {
		return r, fmt.Errorf("the sandbox got %d calls and accepted %d of %d messages, %d of them twice: a measurement of that says nothing",
			r.Arrivals, r.AcceptedMessages, n, len(r.Duplicates))
	}
	return r, nil
}

func (s *sandboxServer) control(ctx context.Context, method, path string, answer any) error {
	req, err := http.NewRequestWithContext(ctx, method, s.url+"/_sandbox/"+path, nil)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read below
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("sandbox: %s: %s", path, resp.Status)
	}
	if answer == nil {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(answer); err != nil {
		return fmt.Errorf("sandbox: %s: %w", path, err)
	}
	return nil
}

// sendURL is where a message is sent, with a token that holds for the whole run:
// the bare handler manages none.
func (s *sandboxServer) sendURL(ctx context.Context) (string, error) {
	client, err := wechat.New(wechat.Config{BaseURL: s.url})
	if err != nil {
		return "", err
	}
	defer client.Close()
	token, err := client.StableToken(ctx, wechat.Credential{AppID: benchApp, Secret: benchSecret}, false)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	return s.url + "/cgi-bin/message/subscribe/send?access_token=" + url.QueryEscape(token.Value), nil
}
