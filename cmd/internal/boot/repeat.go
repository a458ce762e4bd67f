package boot

import (
	"context"
	"log/slog"
	"regexp"
	"sync"
	"time"
)

const (
	// repeatEvery is how often an identical warning is written.
	repeatEvery = 5 * time.Second
	// maxLines bounds the warnings remembered.
	maxLines = 1024
)

// localPort is the port of our end of a broken connection, which makes the same
// failure read differently every time.
var localPort = regexp.MustCompile(`:\d+->`)

// repeatHandler writes identical warnings and errors once in repeatEvery: with
// Redis away, every lane of every app says the same several times a second. The
// next one written says how many were left out.
type repeatHandler struct {
	next  slog.Handler
	scope string // the attributes and groups that every line carries
	lines *lines
}

type lines struct {
	mu   sync.Mutex
	seen map[string]line
}

type line struct {
	written time.Time
	left    int // identical ones since
}

func newRepeatHandler(next slog.Handler) slog.Handler {
	return repeatHandler{next: next, lines: &lines{seen: map[string]line{}}}
}

func (h repeatHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h repeatHandler) Handle(ctx context.Context, rec slog.Record) error {
	if rec.Level < slog.LevelWarn {
		return h.next.Handle(ctx, rec)
	}
	left, write := h.lines.take(h.key(rec), rec.Time)
	if !write {
		return nil
	}
	if left > 0 {
		rec = rec.Clone()
		rec.AddAttrs(slog.Int("left_out", left))
	}
	return h.next.Handle(ctx, rec)
}

func (h repeatHandler) key(rec slog.Record) string {
	key := h.scope + "\x00" + rec.Level.String() + "\x00" + rec.Message
	rec.Attrs(func(a slog.Attr) bool {
		key += "\x00" + a.String()
		return true
	})
	return localPort.ReplaceAllString(key, ":->")
}

// take reports whether a line is written at now, and how many identical ones
// were left out before it.
func (l *lines) take(key string, now time.Time) (int, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old, known := l.seen[key]
	if known && now.Sub(old.written) < repeatEvery {
		old.left++
		l.seen[key] = old
		return 0, false
	}
	if len(l.seen) >= maxLines {
		l.forget(now)
	}
	l.seen[key] = line{written: now}
	return old.left, true
}

// forget makes room: old lines go, and if that is not enough, all do.
func (l *lines) forget(now time.Time) {
	for key, old := range l.seen {
		if now.Sub(old.written) >= repeatEvery {
			delete(l.seen, key)
		}
	}
	if len(l.seen) >= maxLines {
		clear(l.seen)
	}
}

func (h repeatHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	scope := h.scope
	for _, a := range attrs {
		scope += "\x00" + a.String()
	}
	return repeatHandler{next: h.next.WithAttrs(attrs), scope: scope, lines: h.lines}
}

func (h repeatHandler) WithGroup(name string) slog.Handler {
	return repeatHandler{next: h.next.WithGroup(name), scope: h.scope + "\x00" + name + ".", lines: h.lines}
}
