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

// addApp makes one more app known.
func (s *sandboxServer) addApp(ctx context.Context, app string) error {
	return s.AddApp(ctx, sandbox.App{AppID: app, Secret: benchSecret, AllowAnyTemplate: true, AllowAnyOpenID: true, IDKey: idKey})
}

// hang answers no send of an app from now on, or all again.
func (s *sandboxServer) hang(ctx context.Context, app string, hangs bool) error {
	var f sandbox.Faults
	if hangs {
		f.Calls = map[string]sandbox.CallFaults{
			sandbox.APISubscribeSend: {Shares: map[sandbox.Fault]float64{sandbox.FaultHang: 1}},
		}
	}
	return s.SetFaultsOf(ctx, app, f)
}

// report is what an app received since the last reset, every message by name.
func (s *sandboxServer) report(ctx context.Context, app string) (sandbox.AppReport, error) {
	all, err := s.Report(ctx, true)
	return all.Apps[app], err
}

// accepted is the report of a run, provided that each of n messages was accepted
// once and nothing else arrived.
func (s *sandboxServer) accepted(ctx context.Context, n int) (sandbox.AppReport, error) {
	return s.acceptedBy(ctx, benchApp, n)
}

func (s *sandboxServer) acceptedBy(ctx context.Context, app string, n int) (sandbox.AppReport, error) {
	r, err := s.report(ctx, app)
	if err != nil {
		return sandbox.AppReport{}, err
	}
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
