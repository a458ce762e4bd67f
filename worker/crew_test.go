package worker

import (
	"errors"
	"sync"
	"testing"
)

func TestCrew(t *testing.T) {
	t.Parallel()
	c := newCrew()
	failed := errors.New("x")
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			var want error
			if i%2 == 0 {
				want = failed
			}
			if err := c.do(func() error { return want }); !errors.Is(err, want) {
				t.Error(i, err)
			}
		})
	}
	// A job may itself need the crew: nobody waits for a member to become free.
	if err := c.do(func() error { return c.do(func() error { return failed }) }); !errors.Is(err, failed) {
		t.Error(err)
	}
	wg.Wait()
	c.dismiss()
}
