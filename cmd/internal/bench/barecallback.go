package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/hibiken/asynq"
)

// bareListenAddr is where the bare callback listens.
const bareListenAddr = "BENCH_LISTEN_ADDR"

// bareEvent is the bare callback's task: its payload is the event as it came.
const bareEvent = "bare:event"

// runBareCallback answers until ctx ends: net/http with a handler that enqueues
// what it is sent, with asynq's defaults and as many Redis connections as there
// are requests at once. It verifies nothing, opens nothing and reads nothing.
func runBareCallback(ctx context.Context, args []string, stderr io.Writer) error {
	redisAddr, listenAddr := os.Getenv(bareRedisAddr), os.Getenv(bareListenAddr)
	if len(args) > 0 || redisAddr == "" || listenAddr == "" {
		_, _ = fmt.Fprintf(stderr, "bench %s is started by bench itself, with %s and %s\n", bareCallbackCommand, bareRedisAddr, bareListenAddr)
		return errUsage
	}
	client := asynq.NewClient(asynq.RedisClientOpt{Addr: redisAddr, PoolSize: connections})
	defer func() { _ = client.Close() }() // every task has been stored
	listener, err := net.Listen("tcp", listenAddr)
	if err != nil {
		return fmt.Errorf("bench: bare callback: %w", err)
	}
	server := &http.Server{Handler: bareCallback{client}, ReadHeaderTimeout: 5 * time.Second}
	hangUp := context.AfterFunc(ctx, func() { _ = server.Close() }) // nobody waits for an answer any more
	defer hangUp()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("bench: bare callback: %w", err)
	}
	return nil
}

type bareCallback struct{ client *asynq.Client }

// ServeHTTP stores first and then answers, as the gateway does.
func (b bareCallback) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err == nil {
		_, err = b.client.EnqueueContext(r.Context(), asynq.NewTask(bareEvent, body), asynq.Queue(bareQueue))
	}
	if err != nil {
		http.Error(w, "not stored", http.StatusInternalServerError)
		return
	}
	_, _ = io.WriteString(w, success) // who does not wait for it asks again
}
