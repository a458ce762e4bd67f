package gateway

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
)

// What request bodies may hold of the memory until they are answered, whoever sends
// them and however slowly: some of each, which nearly every notification fits into,
// and beyond that so much of all together. So large bodies never hold up small ones.
const (
	ownBody      = 16 << 10
	sharedBodies = 32 << 20
)

// intake counts what is left of sharedBodies.
type intake struct{ left atomic.Int64 }

func newIntake() *intake {
	in := &intake{}
	in.left.Store(sharedBodies)
	return in
}

// take reports whether n more bytes may be held, and counts them then.
func (in *intake) take(n int64) bool {
	if in.left.Add(-n) >= 0 {
		return true
	}
	in.left.Add(n)
	return false
}

func (in *intake) giveBack(n int64) { in.left.Add(n) }

// firstBuffer is where a body begins; it grows with what really arrives, not with what
// is announced.
const firstBuffer = 1 << 10

// readBody reads the body of a request, of at most limit bytes.
func (x *exchange) readBody(limit int64) ([]byte, *problem) {
	in := http.MaxBytesReader(x.w, x.r.Body, limit)
	body := make([]byte, 0, firstBuffer)
	for {
		if len(body) == cap(body) {
			larger, ok := x.grow(body, limit)
			if !ok {
				return nil, crowded()
			}
			body = larger
		}
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch _, over := errors.AsType[*http.MaxBytesError](err); {
		case err == io.EOF:
			return body, nil
		case over:
			return nil, tooLarge()
		case err != nil:
			return nil, newProblem(http.StatusBadRequest, "the body did not arrive as announced: send it again")
		}
	}
}

// grow returns a body with twice the room, if there is some left.
func (x *exchange) grow(body []byte, limit int64) ([]byte, bool) {
	room := min(2*int64(cap(body)), limit+1) // one more, to see that it is over
	if more := room - max(int64(cap(body)), ownBody); more > 0 {
		if !x.intake.take(more) {
			return nil, false
		}
		x.held += more
	}
	return append(make([]byte, 0, room), body...), true
}

// crowded ends the connection: nobody wants to read the rest of the body.
func crowded() *problem {
	return newProblem(http.StatusServiceUnavailable,
		"nothing was done, because many large requests are arriving at once: repeat it, or send smaller batches").
		with("Retry-After", "1").with("Connection", "close")
}
