package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/wxnotify/wxnotify/worker/wechat/sandbox"
)

// Sandbox is the control API of a running sandbox.
type Sandbox struct {
	// URL is where it listens, without a path.
	URL string
}

// Reset forgets what was received.
func (s *Sandbox) Reset(ctx context.Context) error {
	return s.control(ctx, http.MethodPost, "reset", nil, nil)
}

// SetFaults replaces how every app misbehaves.
func (s *Sandbox) SetFaults(ctx context.Context, f sandbox.Faults) error {
	return s.control(ctx, http.MethodPut, "faults", f, nil)
}

// SetFaultsOf replaces how one app misbehaves.
func (s *Sandbox) SetFaultsOf(ctx context.Context, app string, f sandbox.Faults) error {
	return s.control(ctx, http.MethodPut, "faults", struct {
		App string `json:"app"`
		sandbox.Faults
	}{app, f}, nil)
}

// AddApp makes one more app known.
func (s *Sandbox) AddApp(ctx context.Context, app sandbox.App) error {
	return s.control(ctx, http.MethodPost, "apps", app, nil)
}

// KillTokens ends the working tokens of every app.
func (s *Sandbox) KillTokens(ctx context.Context) error {
	return s.control(ctx, http.MethodPost, "tokens:kill", struct{}{}, nil)
}

// Report is what was received since the last reset, with ids every message by name.
func (s *Sandbox) Report(ctx context.Context, ids bool) (sandbox.Report, error) {
	var r sandbox.Report
	path := "report"
	if ids {
		path += "?ids=1"
	}
	err := s.control(ctx, http.MethodGet, path, nil, &r)
	return r, err
}

func (s *Sandbox) control(ctx context.Context, method, path string, body, answer any) error {
	var content bytes.Buffer
	if body != nil {
		if err := json.NewEncoder(&content).Encode(body); err != nil {
			return fmt.Errorf("sandbox: %s: %w", path, err)
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/_sandbox/"+path, &content)
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
