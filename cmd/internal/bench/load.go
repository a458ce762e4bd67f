package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// connections is how many requests are under way at once.
const connections = 64

// load is what became of the requests.
type load struct {
	rate float64 // answers per second
	// waits are the times from a request's first byte to its answer's last. Every
	// connection always has a request under way, so at a given rate they depend on
	// how many connections there are.
	waits []time.Duration
}

// fire sends requests that are ready to be written, each connection its next one
// as soon as the last one was answered. All must be answered with 200 and
// "success". It does less work for a request than http.Client would: what it
// uses of the CPUs the server lacks.
func fire(ctx context.Context, addr string, requests [][]byte) (load, error) {
	result := load{waits: make([]time.Duration, len(requests))}
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	start := time.Now()
	for range connections {
		group.Go(func() error {
			return converse(ctx, addr, func(exchange func([]byte) error) error {
				for {
					i := int(next.Add(1)) - 1
					if i >= len(requests) {
						return nil
					}
					began := time.Now()
					if err := exchange(requests[i]); err != nil {
						return err
					}
					result.waits[i] = time.Since(began)
				}
			})
		})
	}
	err := group.Wait()
	result.rate = float64(len(requests)) / time.Since(start).Seconds()
	return result, err
}

// converse opens a connection for as long as talk uses it, or until ctx ends.
func converse(ctx context.Context, addr string, talk func(exchange func([]byte) error) error) error {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	hangUp := context.AfterFunc(ctx, func() { _ = conn.Close() }) // whoever waits for an answer hears of it
	defer func() {
		if hangUp() {
			_ = conn.Close() // everything was answered, or the error says more
		}
	}()
	answers := bufio.NewReader(conn)
	return talk(func(request []byte) error {
		if _, err := conn.Write(request); err != nil {
			return fmt.Errorf("ask: %w", err)
		}
		return readSuccess(answers)
	})
}

// success is how a push is answered.
const success = "success"

func readSuccess(answers *bufio.Reader) error {
	resp, err := http.ReadResponse(answers, nil)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	defer func() { _ = resp.Body.Close() }() // read below
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %s: a measurement of that says nothing", resp.Status)
	}
	if string(body) != success {
		return errors.New("the answer is not success: a measurement of that says nothing")
	}
	return nil
}
