package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestTurnsLetOneInAtATime(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	var inside, most [3]atomic.Int32
	var wg sync.WaitGroup
	for i := range 300 {
		wg.Go(func() {
			who := i % 3
			giveBack, ok := turns.take(t.Context(), fmt.Sprint(who), time.Minute)
			if !ok {
				t.Error("no turn within a minute")
				return
			}
			if n := inside[who].Add(1); n > most[who].Load() {
				most[who].Store(n)
			}
			inside[who].Add(-1)
			giveBack()
		})
	}
	wg.Wait()
	for who := range most {
		if most[who].Load() != 1 {
			t.Errorf("%d at once", most[who].Load())
		}
	}
	if len(turns.lines) != 0 {
		t.Errorf("%d lines are left behind", len(turns.lines))
	}
}

func TestTurnsGiveUp(t *testing.T) {
	t.Parallel()
	turns := newTurns()
	giveBack, ok := turns.take(t.Context(), "a", time.Minute)
	if !ok {
		t.Fatal("the first gets the turn")
	}
	if _, ok := turns.take(t.Context(), "a", time.Millisecond); ok {
		t.Fatal("two at once")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok := turns.take(ctx, "a", time.Minute); ok {
		t.Fatal("two at once")
	}
	giveBack()
	if len(turns.lines) != 0 {
		t.Fatal("a line is left behind")
	}
}
