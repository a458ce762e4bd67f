package boot

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// levels are the names of the log levels, in the order in which they say less.
var levels = []string{"debug", "info", "warn", "error"}

// NewLevel returns a level that can be changed while its loggers are in use. name
// is debug, info, warn or error; anything else is info.
func NewLevel(name string) *slog.LevelVar {
	level := new(slog.LevelVar) // info
	_ = setLevel(level, name)   // else it stays at info
	return level
}

// setLevel reports whether name is a level, and sets it then.
func setLevel(level *slog.LevelVar, name string) bool {
	for _, known := range levels {
		if name == known {
			return level.UnmarshalText([]byte(name)) == nil
		}
	}
	return false
}

// maxLevel bounds the body of a request that sets the level.
const maxLevel = 64

// LevelHandler shows the level (GET) and changes it (PUT, with the new one as the
// body), in plain text, until the process ends. It has no login: it belongs on the
// admin port. log hears of each change.
func LevelHandler(level *slog.LevelVar, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodGet, http.MethodHead:
			answerText(w, http.StatusOK, levelName(level))
		case http.MethodPut:
			putLevel(w, r, level, log)
		default:
			w.Header().Set("Allow", "GET, HEAD, PUT")
			answerText(w, http.StatusMethodNotAllowed, "use GET or PUT")
		}
	})
}

func putLevel(w http.ResponseWriter, r *http.Request, level *slog.LevelVar, log *slog.Logger) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxLevel))
	before := levelName(level)
	if err != nil || !setLevel(level, strings.TrimSpace(string(body))) {
		answerText(w, http.StatusUnprocessableEntity, "no log level: send debug, info, warn or error as the body; it stays at "+before)
		return
	}
	// A warning, so that it is written whichever of the two is in force.
	log.Warn("log level changed", "from", before, "to", levelName(level))
	answerText(w, http.StatusOK, levelName(level))
}

func levelName(level *slog.LevelVar) string { return strings.ToLower(level.Level().String()) }

// answerText writes a plain text that no cache keeps.
func answerText(w http.ResponseWriter, code int, text string) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, text+"\n") // who hung up needs no answer
}
