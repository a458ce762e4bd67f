package config

import "strings"

// Problem is one thing that is wrong with the environment.
type Problem struct {
	// Variable is the full name, such as WXNOTIFY_REDIS_URL.
	Variable string
	// Detail says what is wrong and what to do. It never holds the value.
	Detail string
}

// Error lists everything that is wrong with the environment.
type Error struct{ Problems []Problem }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString("config: the environment cannot be used:")
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.Variable + ": " + p.Detail)
	}
	return b.String()
}
