package lab

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
	"sync"
	"syscall"
	"time"
)

// stopWithin is how long a process may take to end after SIGTERM; then it is killed.
const stopWithin = 40 * time.Second

// Command is a process to be started.
type Command struct {
	// Name is what messages call it, and its log in Dir.
	Name, Dir string
	// Env is the whole environment.
	Env  []string
	Path string
	Args []string
}

// Process is a child that runs until it is stopped.
type Process struct {
	name   string
	cmd    *exec.Cmd
	log    string
	from   int64 // where its part of the log begins
	mu     sync.Mutex
	asked  bool // it was told to end
	done   chan struct{}
	ending *time.Timer
}

// Start starts a child that appends to a log of its own. ended hears of a child
// that ends before it was told to. The child outlives whoever started it: that one
// stops it, so that those that need each other end in order.
func Start(c Command, ended func(error)) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(c.Dir, c.Name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.Name, err)
	}
	defer func() { _ = log.Close() }() // the child has its own copy
	p := &Process{name: c.Name, log: log.Name(), done: make(chan struct{})}
	if info, err := log.Stat(); err == nil {
		p.from = info.Size()
	}
	p.cmd = exec.CommandContext(context.Background(), c.Path, c.Args...)
	p.cmd.Env, p.cmd.Stdout, p.cmd.Stderr = c.Env, log, log
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Name, err)
	}
	go p.watch(ended)
	return p, nil
}

func (p *Process) watch(ended func(error)) {
	_ = p.cmd.Wait() // the state tells more
	p.mu.Lock()
	asked := p.asked
	if p.ending != nil {
		p.ending.Stop()
	}
	p.mu.Unlock()
	if !asked {
		ended(fmt.Errorf("%s ended by itself (%s); the end of its log:\n%s", p.name, p.cmd.ProcessState, p.Tail()))
	}
	close(p.done)
}

// Terminate asks the process to end, and kills it if it does not within 40 s. It
// does not wait.
func (p *Process) Terminate() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked {
		return
	}
	p.asked = true
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	p.ending = time.AfterFunc(stopWithin, func() { _ = p.cmd.Process.Kill() })
}

// Kill ends the process with SIGKILL and waits for its end.
func (p *Process) Kill() {
	p.mu.Lock()
	p.asked = true
	_ = p.cmd.Process.Kill() // it may have ended
	p.mu.Unlock()
	<-p.done
}

// Stop ends the process and waits for it. It may be called more than once.
func (p *Process) Stop() {
	p.Terminate()
	<-p.done
}

// Signal sends a signal that does not end the process.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil {
		return fmt.Errorf("signal %s: %w", p.name, err)
	}
	return nil
}

// Name is what messages call the process.
func (p *Process) Name() string { return p.name }

// Done is closed once the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode is the process's once it has ended, -1 if a signal ended it.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Signaled reports whether this signal ended the process, once it has ended.
func (p *Process) Signaled(sig syscall.Signal) bool {
	status, ok := p.cmd.ProcessState.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == sig
}

// Output is what the process has written.
func (p *Process) Output() string {
	f, err := os.Open(p.log)
	if err != nil {
		return err.Error()
	}
	defer func() { _ = f.Close() }()
	text, _ := io.ReadAll(io.NewSectionReader(f, p.from, 1<<30)) // what could be read is all there is
	return string(text)
}

// tailBytes of a log are enough to say why its process ended.
const tailBytes = 2048

// Tail is the end of what the process has written.
func (p *Process) Tail() string {
	text := p.Output()
	return text[max(0, len(text)-tailBytes):]
}

// Resident is the process's resident memory in bytes; 0 where the system does not
// tell.
func (p *Process) Resident() int64 {
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
