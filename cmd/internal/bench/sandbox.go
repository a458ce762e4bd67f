package main

import (
	"bytes"
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
	return s.control(ctx, http.MethodPost, "reset", nil, nil)
}

// addApp makes one more app known.
func (s *sandboxServer) addApp(ctx context.Context, app string) error {
	return s.control(ctx, http.MethodPost, "apps", sandbox.App{
		AppID: app, Secret: benchSecret, AllowAnyTemplate: true, AllowAnyOpenID: true, IDKey: idKey,
	}, nil)
}

// hang answers no send of an app from now on, or all again.
func (s *sandboxServer) hang(ctx context.Context, app string, hangs bool) error {
	order := struct {
		App string `json:"app"`
		sandbox.Faults
	}{App: app}
	if hangs {
		order.Calls = map[string]sandbox.CallFaults{
			sandbox.APISubscribeSend: {Shares: map[sandbox.Fault]float64{sandbox.FaultHang: 1}},
		}
	}
	return s.control(ctx, http.MethodPut, "faults", order, nil)
}

// report is what an app received since the last reset, every message by name.
func (s *sandboxServer) report(ctx context.Context, app string) (sandbox.AppReport, error) {
	var r sandbox.Report
	if err := s.control(ctx, http.MethodGet, "report?ids=1", nil, &r); err != nil {
		return sandbox.AppReport{}, err
	}
	return r.Apps[app], nil
}

// accepted is the report of a run, provided that each of n messages was accepted
// once and nothing else arrived.
func (s *sandboxServer) accepted(ctx context.Context, n int) (sandbox.AppReport, error) {
	return s.acceptedBy(ctx, benchApp, n)
}

func (s *sandboxServer) acceptedBy(ctx context.Context, app string, n int) (sandbox.AppReport, error) {
	r, err := s.report(ctx, app)
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

// control gives an order, which may be nil, and reads the answer, unless that is nil.
func (s *sandboxServer) control(ctx context.Context, method, path string, order, answer any) error {
	var body bytes.Buffer
	if order != nil {
		if err := json.NewEncoder(&body).Encode(order); err != nil {
			return fmt.Errorf("sandbox: %s: %w", path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.url+"/_sandbox/"+path, &body)
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
