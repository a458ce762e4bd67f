package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
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

// FreeAddr finds a port of 127.0.0.1 that nothing listens on. It lies below those that
// systems give to outgoing connections, so that none of these takes it meanwhile.
func FreeAddr() (addr, port string, err error) {
	for range 100 {
		port = strconv.Itoa(10_000 + rand.N(20_000))
		addr = net.JoinHostPort("127.0.0.1", port)
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil {
			return addr, port, l.Close()
		}
	}
	return "", "", fmt.Errorf("lab: no free port: %w", err)
}
