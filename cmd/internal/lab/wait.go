package lab

import (
	"context"
	"fmt"
	"net"
	"time"
)

const awaitEvery = 50 * time.Millisecond

// Await asks until something is so. Its error names what it waited for, or is the
// cause of ctx's end.
func Await(ctx context.Context, what string, within time.Duration, is func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, within, fmt.Errorf("waited %v for %s", within, what))
	defer cancel()
	for {
		ok, err := is()
		if ok || err != nil {
			return err
		}
		if err := Sleep(ctx, awaitEvery); err != nil {
			return err
		}
	}
}

// Sleep waits for d, or returns why ctx ended.
func Sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// FreeAddr finds a port of 127.0.0.1 that nothing listens on.
func FreeAddr() (addr, port string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", fmt.Errorf("free port: %w", err)
	}
	defer func() { _ = l.Close() }() // it was only to learn the port
	addr = l.Addr().String()
	_, port, err = net.SplitHostPort(addr)
	return addr, port, err
}
