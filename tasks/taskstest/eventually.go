package taskstest

import (
	"testing"
	"time"
)

// Eventually polls check until it returns "" and fails the test with its last
// complaint once d has passed.
func Eventually(t testing.TB, d time.Duration, check func() string) {
	t.Helper()
	deadline := time.Now().Add(d)
	for {
		complaint := check()
		if complaint == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("after %v still: %s", d, complaint)
		}
		<-time.After(20 * time.Millisecond)
	}
}
