package callback

import (
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
)

// What bodies may hold of the memory until they are answered, whoever sends them and
// however slowly: some of each, which every usual push fits into, and beyond that so
// much of all together. Nobody has proven anything while a body arrives.
const (
	ownBody      = 4 << 10
	sharedBodies = 8 << 20
)

// intake counts what bodies hold of sharedBodies.
type intake struct{ held atomic.Int64 }

// take reports whether n more bytes may be held, and counts them then.
func (in *intake) take(n int64) bool {
	if in.held.Add(n) <= sharedBodies {
		return true
	}
	in.held.Add(-n)
	return false
}

func (in *intake) giveBack(n int64) { in.held.Add(-n) }

// firstBuffer is where a body begins; it grows with what really arrives.
const firstBuffer = 1 << 10

// read reads a body to its end, before anything else is judged. Of the intake it holds
// so much, which the caller gives back; or there is a reason not to take it.
func (in *intake) read(r io.Reader) (body []byte, held int64, reason string) {
	// No http.MaxBytesReader: it would mark the answer to a body that is too large.
	r = io.LimitReader(r, maxBody+1)
	body = make([]byte, 0, firstBuffer)
	for {
		if len(body) == cap(body) {
			room := min(2*cap(body), maxBody+1) // one more, to see that it is over
			more := int64(max(room, ownBody) - max(cap(body), ownBody))
			if !in.take(more) {
				return nil, held, reasonCrowded
			}
			held += more
			body = append(make([]byte, 0, room), body...)
		}
		n, err := r.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxBody:
			return nil, held, reasonOversize
		case err == io.EOF:
			return body, held, ""
		case err != nil:
			return nil, held, reasonCut
		}
	}
}

// turnAway has WeChat push again. It is the same for all apps and tells a stranger no
// more than that much arrives; nobody wants to read the rest of the body.
func (h *handler) turnAway(w http.ResponseWriter, r *http.Request) string {
	w.Header().Set("Connection", "close")
	w.Header().Set("Retry-After", "1")
	respond(w, http.StatusServiceUnavailable, "busy\n")
	if h.refusals.due(reasonCrowded, h.now()) {
		h.logger.LogAttrs(r.Context(), slog.LevelWarn, "pushes turned away: many large bodies arrive at once; genuine ones are small and go on, or come again")
	}
	return Crowded
}
