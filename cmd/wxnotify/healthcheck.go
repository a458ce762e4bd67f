package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

type healthcheckCmd struct {
	Ready   bool          `help:"Ask /readyz instead of /healthz."`
	Timeout time.Duration `help:"How long to wait for the answer." default:"3s"`
}

// Run asks the process that listens on WXNOTIFY_ADMIN_ADDR.
func (h *healthcheckCmd) Run(p *program) error {
	c, err := config.Load()
	if err != nil {
		return err
	}
	path := "/healthz"
	if h.Ready {
		path = "/readyz"
	}
	ctx, cancel := context.WithTimeout(p.ctx, h.Timeout)
	defer cancel()
	answer, err := ask(ctx, "http://"+local(c.AdminAddr)+path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	_, err = fmt.Fprintln(p.stdout, answer)
	return err
}

// ask returns the body of a 200 and an error with the body of anything else. It
// goes to this machine, so no proxy is asked.
func ask(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 4<<10))
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(body))
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("status %d: %s", resp.StatusCode, text)
	}
	return text, nil
}

// local turns a listen address into one to connect to.
func local(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
