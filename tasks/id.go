package tasks

import (
	"fmt"

	"github.com/google/uuid"
)

const maxID = 128

// NewID makes an id for a notification that came without one: a UUIDv7, so
// that ids sort by time.
func NewID() (string, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return "", fmt.Errorf("tasks: make id: %w", err)
	}
	return id.String(), nil
}

// TaskID is the asynq task id of a notification. It carries the app, because
// asynq's cancel messages know no queue.
func TaskID(app, id string) string { return app + ":" + id }

// validID reports whether id may name a notification: 1 to 128 characters that
// need no escaping in a URL path, and no path segment that clients resolve away.
func validID(id string) bool {
	return id != "" && id != "." && id != ".." && len(id) <= maxID && allBytes(id, isIDByte)
}

func isIDByte(c byte) bool {
	return isAlnum(c) || c == '.' || c == '_' || c == '~' || c == '-'
}

// isOpaqueByte holds what openids, template ids and AppIDs are made of.
func isOpaqueByte(c byte) bool { return isAlnum(c) || c == '_' || c == '-' }

func isAlnum(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

func allBytes(s string, ok func(byte) bool) bool {
	for i := range len(s) {
		if !ok(s[i]) {
			return false
		}
	}
	return true
}
