package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// hurried are the changes that let a run see in seconds what takes minutes: how often
// is looked, over how long, and how long something must last.
var hurried = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`(_interval): 15s`), "${1}: 1s"},
	{regexp.MustCompile(`\[(?:5|10|15)m\]`), "[20s]"},
	{regexp.MustCompile(`(for): \d+m`), "${1}: 3s"},
}

// writeConfig copies deploy/prometheus to dir, hurried, with the targets of this run.
func writeConfig(dir string, targets map[string]string) error {
	if err := os.MkdirAll(filepath.Join(dir, "rules"), 0o700); err != nil {
		return err
	}
	rules, err := filepath.Glob("deploy/prometheus/rules/*.yml")
	if err != nil {
		return err
	}
	for _, file := range append(rules, "deploy/prometheus/prometheus.yml") {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		text := string(content)
		for _, h := range hurried {
			text = h.pattern.ReplaceAllString(text, h.with)
		}
		for from, to := range targets {
			text = strings.ReplaceAll(text, from, to)
		}
		to := filepath.Join(dir, strings.TrimPrefix(file, "deploy/prometheus/"))
		if err := os.WriteFile(to, []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// variables stands in for what Grafana fills in.
var variables = strings.NewReplacer("$app", testApp, "$queue", ".+", "$__rate_interval", "30s", "$__range", "5m")

// ask returns how many series an expression has now.
func (s *stack) ask(ctx context.Context, expr string) (int, error) {
	text, err := s.get(ctx, "http://"+s.prometheus+"/api/v1/query?query="+url.QueryEscape(variables.Replace(expr)))
	if err != nil {
		return 0, err
	}
	var answer struct {
		Data struct {
			Result []json.RawMessage `json:"result"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return 0, fmt.Errorf("the answer to %s: %w", expr, err)
	}
	return len(answer.Data.Result), nil
}

// firing lists the alerts that fire now.
func (s *stack) firing(ctx context.Context) ([]string, error) {
	text, err := s.get(ctx, "http://"+s.prometheus+"/api/v1/alerts")
	if err != nil {
		return nil, err
	}
	var answer struct {
		Data struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
				State  string            `json:"state"`
			} `json:"alerts"`
		} `json:"data"`
	}
	if err := json.Unmarshal([]byte(text), &answer); err != nil {
		return nil, fmt.Errorf("the alerts: %w", err)
	}
	var names []string
	for _, a := range answer.Data.Alerts {
		if a.State == "firing" {
			names = append(names, a.Labels["alertname"])
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// get returns what an address answers.
func (s *stack) get(ctx context.Context, address string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return "", err
	}
	return answered(req)
}

func answered(req *http.Request) (string, error) {
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }() // read below
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return "", err
	}
	if resp.StatusCode/100 != 2 {
		return "", fmt.Errorf("%s %s: %s: %s", req.Method, req.URL.Path, resp.Status, text)
	}
	return string(text), nil
}
