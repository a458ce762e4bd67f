package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopWithin is how long a process may take to end after SIGTERM; then it is killed.
const stopWithin = 40 * time.Second

// process is a child that runs until it is stopped.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	end  context.CancelFunc
	done chan struct{}
}

// startProcess starts a child that writes to a log of its own in dir. failed
// hears of a child that ends before it is stopped. The child outlives ctx: who
// started it stops it, so that those that need each other end in order.
func startProcess(ctx context.Context, dir, name string, env []string, failed func(error), path string, args ...string) (*process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	cmd := exec.CommandContext(life, path, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopWithin
	cmd.Env, cmd.Stdout, cmd.Stderr = env, log, log
	if err := cmd.Start(); err != nil {
		end()
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &process{name: name, cmd: cmd, log: log.Name(), end: end, done: make(chan struct{})}
	go p.watch(life, failed)
	return p, nil
}

func (p *process) watch(life context.Context, failed func(error)) {
	defer close(p.done)
	_ = p.cmd.Wait() // the state tells more
	if life.Err() == nil {
		failed(fmt.Errorf("%s ended by itself (%s); the end of its log:\n%s", p.name, p.cmd.ProcessState, tail(p.log)))
	}
}

// stop ends the process and waits for it. It may be called more than once.
func (p *process) stop() {
	p.end()
	<-p.done
}

// resident is the process's resident memory in bytes; 0 where the system does
// not tell.
func (p *process) resident() int64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	return residentOf(string(status))
}

// residentOf reads the line "VmRSS:  12345 kB".
func residentOf(status string) int64 {
	for line := range strings.Lines(status) {
		f := strings.Fields(line)
		if len(f) == 3 && f[0] == "VmRSS:" {
			kib, _ := strconv.ParseInt(f[1], 10, 64) // the kernel's own number
			return kib << 10
		}
	}
	return 0
}

// tailBytes of a log are enough to say why its process ended.
const tailBytes = 2048

func tail(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		_, _ = f.Seek(-tailBytes, io.SeekEnd) // without it the text is only longer
	}
	text, _ := io.ReadAll(f) // what could be read is all there is to say
	return string(text)
}
