package callback

import (
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Why a request is refused: one word for the log. The answer never tells.
const (
	reasonApp        = "unknown_app" // no app of ours
	reasonQuery      = "query"       // no timestamp, nonce or echostr, or a query that is no query
	reasonStale      = "stale"       // its timestamp is too far from our clock
	reasonSignature  = "signature"   // not signed with the app's token
	reasonOversize   = "oversize"    // larger than any push
	reasonCut        = "cut"         // the body did not arrive
	reasonCrowded    = "crowded"     // large, as many others at the same time
	reasonUnreadable = "unreadable"  // neither JSON nor XML, or no push
	reasonPlaintext  = "plaintext"   // nothing sealed, from an app that seals
	reasonSealed     = "sealed"      // only sealed, from an app without AES key
	reasonUnopened   = "unopened"    // sealed with another key, or for another app
)

// respond answers with a short text that no browser takes for anything else.
func respond(w http.ResponseWriter, status int, text string) {
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // the client may be gone: WeChat pushes again
}

// refuse gives the one answer to everything that is wrong with a request. It ends
// the connection, because net/http does so by itself after some bodies and that
// would show.
func (h *handler) refuse(w http.ResponseWriter, r *http.Request, a *app, reason string) string {
	w.Header().Set("Connection", "close")
	respond(w, http.StatusForbidden, "refused\n")
	level := slog.LevelDebug
	if a != nil && h.refusals.due(a.id+" "+reason, h.now()) {
		level = slog.LevelInfo
	}
	h.logger.LogAttrs(r.Context(), level, "push refused", slog.String("app", a.name()), slog.String("reason", reason))
	if reason == reasonSealed && !a.saidSealed.Swap(true) {
		h.logger.LogAttrs(r.Context(), slog.LevelWarn,
			"pushes are refused: this app seems to push in safe mode and no AES key is configured for it: "+
				"set its EncodingAESKey, or choose plaintext on the message push page", slog.String("app", a.id))
	}
	return Refused
}

// seldom says when a line may be logged again, so that strangers cannot fill the
// log. Its keys are our own words: there are few.
type seldom struct {
	mu   sync.Mutex
	last map[string]time.Time
}

const seldomEvery = time.Minute

// due reports whether key was not due within the last minute.
func (s *seldom) due(key string, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if last, seen := s.last[key]; seen && now.Sub(last) < seldomEvery {
		return false
	}
	if s.last == nil {
		s.last = map[string]time.Time{}
	}
	s.last[key] = now
	return true
}
