package boot

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func askLevel(h http.Handler, method, body string) (int, string) {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(method, "/log-level", strings.NewReader(body)))
	return rec.Code, strings.TrimSpace(rec.Body.String())
}

func TestLevelIsShownAndChanged(t *testing.T) {
	t.Parallel()
	var out buffer
	level := NewLevel("warn")
	log := NewLogger(&out, level, "text", nil)
	h := LevelHandler(level, log)
	if code, body := askLevel(h, "GET", ""); code != 200 || body != "warn" {
		t.Errorf("GET: %d %q", code, body)
	}
	for _, body := range []string{"debug", "info", "error", "warn", " debug\n"} {
		name := strings.TrimSpace(body)
		if code, text := askLevel(h, "PUT", body); code != 200 || text != name {
			t.Errorf("PUT %q: %d %q", body, code, text)
		}
		if code, body := askLevel(h, "GET", ""); code != 200 || body != name {
			t.Errorf("GET after %s: %d %q", name, code, body)
		}
	}
	if !strings.Contains(out.String(), "from=warn to=debug") {
		t.Errorf("the change is not logged: %s", out.String())
	}
}

func TestWhatIsNoLevelChangesNothing(t *testing.T) {
	t.Parallel()
	level := NewLevel("error")
	h := LevelHandler(level, silent())
	for _, body := range []string{"", "loud", "DEBUG", "debug+2", "info warn", `"info"`, strings.Repeat("debug", 1000)} {
		code, text := askLevel(h, "PUT", body)
		if code != 422 || !strings.Contains(text, "debug, info, warn or error") || level.Level() != slog.LevelError {
			t.Errorf("%.20q: %d %q, level %v", body, code, text, level.Level())
		}
	}
	for _, method := range []string{"POST", "DELETE", "PATCH"} {
		if code, _ := askLevel(h, method, "debug"); code != 405 || level.Level() != slog.LevelError {
			t.Errorf("%s: %d, level %v", method, code, level.Level())
		}
	}
}

// asynq's lines, and those of loggers made before the change, follow the level.
func TestAllLoggersFollowTheLevel(t *testing.T) {
	t.Parallel()
	var out buffer
	level := NewLevel("warn")
	log := NewLogger(&out, level, "json", nil)
	engine, part := AsynqLogger(log, "asynq"), log.With("component", "part").WithGroup("g")
	say := func(what string) {
		engine.Info("engine " + what)
		part.Info("part " + what)
	}
	say("before")
	level.Set(slog.LevelDebug)
	say("during")
	level.Set(slog.LevelError)
	say("after")
	engine.Warn("engine after")
	for _, want := range []string{"engine during", "part during"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing: %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "before") || strings.Contains(out.String(), "after") {
		t.Errorf("too much: %s", out.String())
	}
}
