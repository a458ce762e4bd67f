package boot

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// SignalContext returns a context that the first SIGINT or SIGTERM ends, with the
// signal's name as its cause. A second one ends the process at once, with status
// 1: somebody does not want to wait. stop gives the signals back to the runtime.
func SignalContext(parent context.Context) (ctx context.Context, stop func()) {
	return signalContext(parent, os.Exit)
}

func signalContext(parent context.Context, exit func(int)) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for first := true; ; first = false {
			select {
			case <-quit:
				return
			case s := <-signals:
				if !first {
					exit(1)
				}
				cancel(fmt.Errorf("signal: %v", s))
			}
		}
	}()
	return ctx, sync.OnceFunc(func() {
		signal.Stop(signals)
		close(quit)
		<-done
		cancel(context.Canceled)
	})
}
