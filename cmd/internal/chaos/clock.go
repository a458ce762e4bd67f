package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A Go program asks the kernel for the time without a library in between, so nothing
// from outside can give one process another time. But the standard library can be
// built with another time.Now. That moves the wall clock of the whole process, asynq
// and go-redis included, and leaves the monotonic clock and all timers alone, as a
// clock does that is set wrong.

// nowLine is where time.Now reads the clock; movedLine follows it.
const (
	nowLine   = "sec, nsec, mono := runtimeNow()\n"
	movedLine = "\tsec += failpointClock\n"
)

// clockFile is added to package time.
const clockFile = `package time

import "syscall"

// failpointClock is the seconds by which the wall clock is wrong.
var failpointClock = func() int64 {
	text, found := syscall.Getenv("FAILPOINT_CLOCK")
	if !found {
		return 0
	}
	d, err := ParseDuration(text)
	if err != nil {
		panic("FAILPOINT_CLOCK: " + err.Error())
	}
	return int64(d / Second)
}()
`

// writeOverlay writes what go build -overlay needs, and returns its file.
func writeOverlay(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return "", err
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "src", "time")
	text, err := os.ReadFile(filepath.Join(source, "time.go"))
	if err != nil {
		return "", err
	}
	moved, err := moveClock(string(text))
	if err != nil {
		return "", err
	}
	files := map[string]string{"time.go": moved, "failpointclock.go": clockFile}
	replace := map[string]string{}
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			return "", err
		}
		replace[filepath.Join(source, name)] = path
	}
	overlay, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, overlay, 0o600)
}

// moveClock changes the source of time.Now.
func moveClock(source string) (string, error) {
	if strings.Count(source, nowLine) != 1 {
		return "", errors.New("time.Now of this Go version reads the clock elsewhere: look at time.go and change nowLine")
	}
	return strings.Replace(source, nowLine, nowLine+movedLine, 1), nil
}
