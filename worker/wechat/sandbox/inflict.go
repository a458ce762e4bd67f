package sandbox

import (
	"bytes"
	"context"
	"net/http"
	"time"
)

// deliver gives the client its answer, or what the fault leaves of it.
func (s *Server) deliver(w http.ResponseWriter, r *http.Request, f Fault, ans answer) {
	switch f {
	case FaultDrop, FaultLostCut:
		cut()
	case FaultHang, FaultLostHang:
		pause(r.Context(), s.hangLimit)
		cut()
	case FaultUnavailable:
		writePage(w, http.StatusServiceUnavailable)
	case FaultBadGateway, FaultLostBadGateway:
		writePage(w, http.StatusBadGateway)
	case FaultGarbled:
		writeAnswer(w, bytes.ReplaceAll(ans.body, []byte(`":`), []byte(`"=`)))
	case FaultTruncated:
		writeHalf(w, ans.body)
		cut()
	case FaultHalfOpen:
		writeHalf(w, ans.body)
		pause(r.Context(), s.hangLimit)
		cut()
	default:
		writeAnswer(w, ans.body)
	}
}

// cut closes the connection without another byte; net/http does so, silently, for this panic.
func cut() { panic(http.ErrAbortHandler) }

// writeHalf announces the whole body and sends half of it.
func writeHalf(w http.ResponseWriter, body []byte) {
	announce(w, body)
	_, _ = w.Write(body[:len(body)/2])        // a client that left has no use for the error
	_ = http.NewResponseController(w).Flush() // a client that left has no use for the error
}

// pause waits for d or until the client leaves or the server shuts down.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
