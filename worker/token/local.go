package token

import (
	"sync"
	"sync/atomic"
	"time"
)

// local is this process's copy of one app's token. Reading it costs no lock and
// no call.
type local struct {
	current atomic.Pointer[held]

	mu      sync.Mutex
	refused int64 // the confirmed number of the token last reported as refused here
}

type held struct {
	token Token
	until time.Time // on the monotonic clock
}

// get returns the copy while it may be used.
func (l *local) get(now time.Time) (Token, bool) {
	h := l.current.Load()
	if h == nil || !now.Before(h.until) {
		return Token{}, false
	}
	return h.token, true
}

// adopt takes what Redis says, unless the copy is newer or is known to be
// refused. A token Redis has forgotten is kept: it is good until its end.
func (l *local) adopt(s snapshot) {
	if s.token.Value() == "" {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	h := l.current.Load()
	if h != nil && h.token.confirmed > s.token.confirmed {
		return // read before that one was stored
	}
	if s.usable <= 0 || s.token.confirmed == l.refused {
		l.current.Store(nil)
		return
	}
	l.current.Store(&held{token: s.token, until: s.until})
}

// drop forgets the copy if t is it, and never takes it up again as it is now.
func (l *local) drop(t Token) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refused = t.confirmed
	if h := l.current.Load(); h != nil && h.token.confirmed == t.confirmed {
		l.current.Store(nil)
	}
}

// wasRefused reports whether t was reported as refused here.
func (l *local) wasRefused(t Token) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return t.confirmed == l.refused
}
