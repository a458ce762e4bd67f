package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// stand lets the servers of taskstest run outside of a test: what would fail a
// test becomes an error. It has of testing.TB what they use.
type stand struct {
	testing.TB
	dir     string
	mu      sync.Mutex
	closers []func()
}

// complaint is what a test would have failed with.
type complaint string

// do runs what needs a test.
func (s *stand) do(f func(testing.TB)) (err error) {
	defer func() {
		switch x := recover().(type) {
		case nil:
		case complaint:
			err = errors.New(string(x))
		default:
			panic(x)
		}
	}()
	f(s)
	return nil
}

// close undoes what was begun, the last first.
func (s *stand) close() {
	s.mu.Lock()
	closers := s.closers
	s.closers = nil
	s.mu.Unlock()
	for i := len(closers) - 1; i >= 0; i-- {
		closers[i]()
	}
}

// Helper does nothing: there is no line to be named.
func (s *stand) Helper() {}

// Cleanup keeps f for the end.
func (s *stand) Cleanup(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closers = append(s.closers, f)
}

// TempDir makes a folder in the row's, which is deleted with it.
func (s *stand) TempDir() string {
	dir, err := os.MkdirTemp(s.dir, "redis-")
	if err != nil {
		s.Fatal(err)
	}
	return dir
}

// Logf writes where whoever looks into a failed row finds it.
func (s *stand) Logf(format string, args ...any) {
	f, err := os.OpenFile(filepath.Join(s.dir, "redis.txt"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return // it is only an explanation
	}
	_, _ = fmt.Fprintf(f, format+"\n", args...)
	_ = f.Close()
}

// Fatal ends what do runs.
func (s *stand) Fatal(args ...any) { panic(complaint(fmt.Sprint(args...))) }

// Fatalf ends what do runs.
func (s *stand) Fatalf(format string, args ...any) { panic(complaint(fmt.Sprintf(format, args...))) }
