package lab

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func startShell(t *testing.T, script string) (*Process, <-chan error) {
	t.Helper()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	p, err := Start(Command{Name: "child", Dir: t.TempDir(), Env: CleanEnv(), Path: sh, Args: []string{"-c", script}}, func(err error) { failed <- err })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
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
	p.Stop()
	p.Stop()
	select {
	case err := <-failed:
		t.Error(err)
	default:
	}
}

func TestAwaitSaysWhatItWaitedFor(t *testing.T) {
	t.Parallel()
	err := Await(t.Context(), "the moon", time.Millisecond, func() (bool, error) { return false, nil })
	if err == nil || !strings.Contains(err.Error(), "waited 1ms for the moon") {
		t.Error(err)
	}
}

func TestWaitsEndWithTheirCause(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the sandbox ended")
	cancel(cause)
	if err := Await(ctx, "x", time.Minute, func() (bool, error) { return false, nil }); !errors.Is(err, cause) {
		t.Error(err)
	}
	if err := Sleep(ctx, time.Minute); !errors.Is(err, cause) {
		t.Error(err)
	}
}

func TestResident(t *testing.T) {
	t.Parallel()
	if got := residentOf("Name:\tx\nVmPeak:\t 99 kB\nVmRSS:\t   2048 kB\nThreads:\t5\n"); got != 2<<20 {
		t.Error(got)
	}
	if got := residentOf("Name:\tx\n"); got != 0 {
		t.Error(got)
	}
}
