package boot

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/hibiken/asynq"
)

// NewLogger returns the logger of a process. It follows level, see NewLevel; format
// is text or json, anything else is text. Whatever is logged
// loses every text of secrets that has at least four characters, and the values
// of WeChat's secret parameters (access_token=…, "session_key":"…") wherever
// they stand: in the message, in attributes, in errors. Identical warnings are
// written once in five seconds.
func NewLogger(w io.Writer, level slog.Leveler, format string, secrets []string) *slog.Logger {
	opts := &slog.HandlerOptions{Level: level}
	var out slog.Handler = slog.NewTextHandler(w, opts)
	if format == "json" {
		out = slog.NewJSONHandler(w, opts)
	}
	return slog.New(redactHandler{next: newRepeatHandler(out), redact: newRedactor(secrets)})
}

type asynqLogger struct{ log *slog.Logger }

// AsynqLogger lets asynq log through log, so that its lines pass the same
// redaction. What asynq calls info is its own starting and stopping, once for
// every lane, and becomes debug.
func AsynqLogger(log *slog.Logger, component string) asynq.Logger {
	return asynqLogger{log: log.With("component", component)}
}

func (l asynqLogger) Debug(args ...any) { l.write(slog.LevelDebug, args) }
func (l asynqLogger) Info(args ...any)  { l.write(slog.LevelDebug, args) }
func (l asynqLogger) Warn(args ...any)  { l.write(warnLevel(args), args) }
func (l asynqLogger) Error(args ...any) { l.write(slog.LevelError, args) }

// warnLevel makes debug of what asynq says of each task that is archived: whoever gave
// it up has told more about it already.
func warnLevel(args []any) slog.Level {
	if len(args) > 0 && strings.HasPrefix(fmt.Sprint(args[0]), "Retry exhausted for task") {
		return slog.LevelDebug
	}
	return slog.LevelWarn
}

// Fatal does not end the process, as asynq's own logger would: only the
// lifecycle does that, and asynq returns its errors as well.
func (l asynqLogger) Fatal(args ...any) { l.write(slog.LevelError, args) }

func (l asynqLogger) write(level slog.Level, args []any) {
	if l.log.Enabled(context.Background(), level) {
		l.log.Log(context.Background(), level, fmt.Sprint(args...))
	}
}

// RedisLog lets go-redis log through a logger; see redis.SetLogger.
type RedisLog struct{ log *slog.Logger }

// RedisLogger returns a RedisLog. All its lines are warnings: go-redis speaks of
// connections that fail and of Sentinels that change.
func RedisLogger(log *slog.Logger) RedisLog {
	return RedisLog{log: log.With("component", "redis")}
}

// Printf writes one line.
func (l RedisLog) Printf(ctx context.Context, format string, args ...any) {
	l.log.WarnContext(ctx, fmt.Sprintf(format, args...))
}
