package main

import (
	"context"
	"strings"
	"sync"
	"syscall"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
)

// member is a process that is started again as soon as it has ended.
type member struct {
	w    *world
	name string
	// start starts a process; it calls its argument if that ends untold.
	start func(func(error)) (*lab.Process, error)
	// mortal: it may die at a failpoint.
	mortal bool
	gone   chan struct{} // closed once it has ended for good

	mu      sync.Mutex
	proc    *lab.Process
	doomed  *lab.Process // killed by us
	closing bool
}

// addMember starts a process with the environment that env names each time.
func (w *world) addMember(name, path string, env func() []string, args ...string) (*member, error) {
	m := &member{w: w, name: name, mortal: args[0] == "worker" && w.row.failpoint != "", gone: make(chan struct{})}
	m.start = func(ended func(error)) (*lab.Process, error) {
		return lab.Start(lab.Command{Name: name, Dir: w.dir, Env: env(), Path: path, Args: args}, ended)
	}
	p, untold, err := m.next()
	if err != nil {
		return nil, err
	}
	go m.keep(p, untold)
	return m, nil
}

// next starts a process; untold has why it ended by itself, if it did.
func (m *member) next() (*lab.Process, *error, error) {
	untold := new(error)
	p, err := m.start(func(err error) { *untold = err })
	m.proc = p
	return p, untold, err
}

// keep replaces each process by another one, until the member is stopped.
func (m *member) keep(p *lab.Process, untold *error) {
	defer close(m.gone)
	for {
		<-p.Done()
		m.mu.Lock()
		m.account(p, *untold)
		if m.closing {
			m.mu.Unlock()
			return
		}
		var err error
		p, untold, err = m.next()
		m.mu.Unlock()
		if err != nil {
			m.w.complain("%v", err)
			return
		}
	}
}

// account judges how a process ended.
func (m *member) account(p *lab.Process, untold error) {
	switch {
	case p == m.doomed:
	case untold != nil && m.mortal && p.Signaled(syscall.SIGKILL):
		m.w.killed.Add(1)
	case untold != nil:
		m.w.complain("%v", untold)
	case p.Signaled(syscall.SIGTERM) && !up(p): // before it could listen for it
	case p.ExitCode() != 0:
		m.w.complain("%s was told to end and did so with code %d; the end of its log:\n%s", m.name, p.ExitCode(), p.Tail())
	}
	if text := p.Output(); strings.Contains(text, "panic") {
		m.w.complain("%s panicked:\n%s", m.name, text[max(strings.Index(text, "panic"), 0):])
	}
}

// current is the process that runs.
func (m *member) current() *lab.Process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.proc
}

// kill ends the process with SIGKILL.
func (m *member) kill() {
	m.mu.Lock()
	p := m.proc
	select {
	case <-p.Done(): // it died by itself a moment ago, and is counted there
		m.mu.Unlock()
		return
	default:
	}
	m.doomed = p
	m.mu.Unlock()
	p.Kill()
	m.w.killed.Add(1)
}

// roll ends the process with SIGTERM and waits until another one runs.
func (m *member) roll(ctx context.Context) error {
	m.current().Stop()
	return m.awaitUp(ctx)
}

// awaitUp returns once the process says that it works.
func (m *member) awaitUp(ctx context.Context) error {
	return lab.Await(ctx, m.name+" to start", startWithin, func() (bool, error) {
		return up(m.current()), nil
	})
}

// up reports whether a process has said that it works.
func up(p *lab.Process) bool {
	text := p.Output()
	return strings.Contains(text, "worker started") || strings.Contains(text, "gateway listens")
}

// stop ends the process for good. It may be called more than once.
func (m *member) stop() {
	m.mu.Lock()
	m.closing = true
	p := m.proc
	m.mu.Unlock()
	p.Stop()
	<-m.gone
}
