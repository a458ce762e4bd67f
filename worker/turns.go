package worker

import (
	"context"
	"sync"
	"time"
)

// turns lets one goroutine of this process at a time send to a recipient: WeChat
// answers 43108 to concurrent sends to one openid. The ledger's turn does the
// same between processes; waiting here first spares it the asking.
type turns struct {
	mu    sync.Mutex
	lines map[string]*line
}

// line is the queue before one recipient.
type line struct {
	free   chan struct{} // holds one token while nobody has the turn
	people int           // having it or waiting
}

func newTurns() *turns { return &turns{lines: make(map[string]*line)} }

// take waits for the turn, at most d. When it reports true, the returned
// function gives the turn back.
func (t *turns) take(ctx context.Context, tag string, d time.Duration) (func(), bool) {
	l := t.join(tag)
	select { // the usual case needs no timer
	case <-l.free:
		return func() { t.leave(tag, l, true) }, true
	default:
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-l.free:
		return func() { t.leave(tag, l, true) }, true
	case <-timer.C:
	case <-ctx.Done():
	}
	t.leave(tag, l, false)
	return nil, false
}

func (t *turns) join(tag string) *line {
	t.mu.Lock()
	defer t.mu.Unlock()
	l := t.lines[tag]
	if l == nil {
		l = &line{free: make(chan struct{}, 1)}
		l.free <- struct{}{}
		t.lines[tag] = l
	}
	l.people++
	return l
}

func (t *turns) leave(tag string, l *line, had bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if had {
		l.free <- struct{}{}
	}
	l.people--
	if l.people == 0 {
		delete(t.lines, tag)
	}
}
