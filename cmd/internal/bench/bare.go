package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

// The bare handler's settings. The URL holds a token, which has no place among
// the arguments of a process.
const (
	bareRedisAddr = "BENCH_REDIS_ADDR"
	bareSendURL   = "BENCH_SEND_URL"
)

// The bare handler's task: its payload is the HTTP body, ready to be sent.
const (
	bareTask  = "bare:send"
	bareQueue = "default"
)

// runBare serves the queue until ctx ends: one asynq.Server with asynq's
// defaults, apart from concurrency and as many Redis connections as the worker
// has, and a handler that makes the call and looks at the errcode. It knows no
// ledger, no limits, no outcomes and no metrics.
func runBare(ctx context.Context, args []string, stderr io.Writer) error {
	addr, url := os.Getenv(bareRedisAddr), os.Getenv(bareSendURL)
	if len(args) > 0 || addr == "" || url == "" {
		_, _ = fmt.Fprintf(stderr, "bench %s is started by bench itself, with %s and %s\n", bareCommand, bareRedisAddr, bareSendURL)
		return errUsage
	}
	server := asynq.NewServer(bareRedis(addr), asynq.Config{Concurrency: concurrency, LogLevel: asynq.WarnLevel})
	sender := newBareSender(url)
	if err := server.Start(asynq.HandlerFunc(sender.ProcessTask)); err != nil {
		return fmt.Errorf("bench: bare: %w", err)
	}
	<-ctx.Done()
	server.Shutdown()
	return nil
}

func bareRedis(addr string) asynq.RedisClientOpt {
	return asynq.RedisClientOpt{Addr: addr, PoolSize: concurrency}
}

// bareSender makes the call over the same kind of connections as the worker.
type bareSender struct {
	client *http.Client
	url    string
}

func newBareSender(url string) *bareSender {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	transport := &http.Transport{
		MaxIdleConnsPerHost: concurrency, IdleConnTimeout: 30 * time.Second, DisableCompression: true, Protocols: protocols,
	}
	return &bareSender{client: &http.Client{Transport: transport, Timeout: 10 * time.Second}, url: url}
}

// ProcessTask implements asynq.Handler.
func (s *bareSender) ProcessTask(ctx context.Context, t *asynq.Task) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url, bytes.NewReader(t.Payload()))
	if err != nil {
		return errors.New("bench: bare: the URL cannot be used")
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.client.Do(req)
	if err != nil {
		return errors.New("bench: bare: the call failed") // the cause would print the URL
	}
	defer func() { _ = resp.Body.Close() }() // read below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("bench: bare: read the answer: %w", err)
	}
	var answer struct {
		Errcode int `json:"errcode"`
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		return fmt.Errorf("bench: bare: the answer is no JSON: %w", err)
	}
	if answer.Errcode != 0 {
		return fmt.Errorf("bench: bare: errcode %d", answer.Errcode)
	}
	return nil
}
