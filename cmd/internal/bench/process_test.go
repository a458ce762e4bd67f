package main

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func startShell(t *testing.T, script string) (*process, <-chan error) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	p, err := startProcess(t.Context(), t.TempDir(), "child", cleanEnv(), func(err error) { failed <- err }, sh, "-c", script)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.stop)
	return p, failed
}

func TestProcessThatEndsByItself(t *testing.T) {
	t.Parallel()
	_, failed := startShell(t, "echo what went wrong; exit 3")
	if err := <-failed; !strings.Contains(err.Error(), "what went wrong") || !strings.Contains(err.Error(), "exit status 3") {
		t.Error(err)
	}
}

func TestStop(t *testing.T) {
	t.Parallel()
	p, failed := startShell(t, "exec sleep 60")
	p.stop()
	p.stop()
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}

func TestAwaitSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	err := await(t.Context(), "the moon", time.Millisecond, func() (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "waited 1ms for the moon") {
		t.Error(err)
	}
}

func TestWaitsEndWithTheirCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the sandbox ended")
	cancel(cause)
	if err := await(ctx, "x", time.Minute, func() (bool, error) { return false, nil }); !errors.Is(err, cause) {
		t.Error(err)
	}
	if err := sleep(ctx, time.Minute); !errors.Is(err, cause) {
		t.Error(err)
	}
}
