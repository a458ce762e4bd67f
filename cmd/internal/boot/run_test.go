package boot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// journal notes what happens in which order.
type journal struct {
	mu     sync.Mutex
	events []string
}

func (j *journal) add(event string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, event)
}

// part obeys, after taking its time, and answers err.
func (j *journal) part(name string, takes time.Duration, err error) Part {
	return Part{Name: name, Run: func(ctx context.Context) error {
		<-ctx.Done()
		j.add("told " + name)
		time.Sleep(takes)
		j.add("ended " + name)
		return err
	}}
}

func TestPartsStopLastFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var j journal
		ctx, cancel := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { cancel(errors.New("signal: terminated")) })
		var out buffer
		err := Run(ctx, NewLogger(&out, NewLevel("info"), "text", nil), j.part("redis", 0, nil), j.part("worker", time.Minute, nil), j.part("gateway", time.Second, context.Canceled))
		want := []string{"told gateway", "ended gateway", "told worker", "ended worker", "told redis", "ended redis"}
		if err != nil || !slices.Equal(j.events, want) {
			t.Errorf("%v, %v", err, j.events)
		}
		if !strings.Contains(out.String(), `reason="signal: terminated"`) {
			t.Errorf("no reason in %s", out.String())
		}
	})
}

func TestFirstToEndEndsAll(t *testing.T) {
	t.Parallel()
	broken := errors.New("address in use")
	for name, tc := range map[string]struct{ err, want error }{
		"failed": {broken, broken},
		"done":   {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var j journal
			short := Part{Name: "short", Run: func(context.Context) error { return tc.err }}
			err := Run(context.Background(), silent(), j.part("before", 0, nil), short, j.part("after", 0, nil))
			if !errors.Is(err, tc.want) {
				t.Errorf("error %v, want %v", err, tc.want)
			}
			if want := []string{"told after", "ended after", "told before", "ended before"}; !slices.Equal(j.events, want) {
				t.Errorf("events %v", j.events)
			}
		})
	}
}

func TestErrorsAreJoined(t *testing.T) {
	t.Parallel()
	one, two, three := errors.New("one"), errors.New("two"), errors.New("three")
	var j journal
	cause := Part{Name: "cause", Run: func(ctx context.Context) error {
		<-ctx.Done()
		return context.Cause(ctx)
	}}
	failing := Part{Name: "failing", Run: func(context.Context) error { return one }}
	err := Run(context.Background(), silent(), failing, cause,
		j.part("a", 0, fmt.Errorf("close: %w", two)), j.part("b", 0, errors.Join(context.Canceled, three)),
		j.part("c", 0, fmt.Errorf("poll: %w", context.Canceled)))
	if !errors.Is(err, one) || !errors.Is(err, two) || !errors.Is(err, three) {
		t.Errorf("error %v", err)
	}
	if n := strings.Count(err.Error(), "one"); n != 1 || strings.Contains(err.Error(), "poll") || strings.Contains(err.Error(), "cause:") {
		t.Errorf("obedience is called an error: %v", err)
	}
}

func TestNoParts(t *testing.T) {
	t.Parallel()
	if err := Run(context.Background(), silent()); err != nil {
		t.Error(err)
	}
}

func TestPartsKeepTheirContextsValues(t *testing.T) {
	t.Parallel()
	type key struct{}
	ctx := context.WithValue(context.Background(), key{}, "value")
	part := Part{Name: "p", Run: func(ctx context.Context) error {
		if ctx.Value(key{}) != "value" {
			return errors.New("value is lost")
		}
		return nil
	}}
	if err := Run(ctx, silent(), part); err != nil {
		t.Error(err)
	}
}

// TestSignals signals the test process, so nothing runs beside it.
func TestSignals(t *testing.T) {
	exited := make(chan int, 1)
	ctx, stop := signalContext(context.Background(), func(code int) { exited <- code })
	defer stop()
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ctx.Done():
	case <-time.After(30 * time.Second):
		t.Fatal("the first signal does not end the context")
	}
	if got := context.Cause(ctx).Error(); got != "signal: terminated" {
		t.Errorf("cause %q", got)
	}
	if err := syscall.Kill(syscall.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	select {
	case code := <-exited:
		if code != 1 {
			t.Errorf("status %d", code)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("the second signal does not end the process")
	}
	stop() // once more is fine
}

func TestSignalContextEndsWithItsParent(t *testing.T) {
	parent, cancel := context.WithCancel(context.Background())
	ctx, stop := SignalContext(parent)
	defer stop()
	cancel()
	<-ctx.Done()
}
