package main

import (
	"context"
	"fmt"
	"net/url"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/worker/wechat"
	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// sandboxServer is the sandbox's control API.
type sandboxServer struct{ *lab.Sandbox }

// accepted is the report of a run, provided that each of n messages was accepted
// once and nothing else arrived.
func (s *sandboxServer) accepted(ctx context.Context, n int) (sandbox.AppReport, error) {
	all, err := s.Report(ctx, true)
	if err != nil {
		return sandbox.AppReport{}, err
	}
	r := all.Apps[benchApp]
	want := int64(n)
	if r.Accepted != want || r.AcceptedMessages != want || r.Arrivals != want || len(r.Duplicates) > 0 {
		return r, fmt.Errorf("the sandbox got %d calls and accepted %d of %d messages, %d of them twice: a measurement of that says nothing",
			r.Arrivals, r.AcceptedMessages, n, len(r.Duplicates))
	}
	return r, nil
}

// sendURL is where a message is sent, with a token that holds for the whole run:
// the bare handler manages none.
func (s *sandboxServer) sendURL(ctx context.Context) (string, error) {
	client, err := wechat.New(wechat.Config{BaseURL: s.URL})
	if err != nil {
		return "", err
	}
	defer client.Close()
	token, err := client.StableToken(ctx, wechat.Credential{AppID: benchApp, Secret: benchSecret}, false)
	if err != nil {
		return "", fmt.Errorf("sandbox: %w", err)
	}
	return s.URL + "/cgi-bin/message/subscribe/send?access_token=" + url.QueryEscape(token.Value), nil
}
