package limit

import (
	"container/list"
	"time"
)

// Lane is how urgent a waiter is.
type Lane int

// The lanes, the most urgent first.
const (
	Critical Lane = iota
	Default
	Bulk
	lanes
)

// waiter is a Take that waits.
type waiter struct {
	// slot brings what it waits for; Close closes it instead. It has room for
	// one, so that nobody waits for the waiter.
	slot  chan *Slot
	since time.Time
	queue *list.List    // where it waits
	place *list.Element // nil once it waits no more
}

// line is those who wait in one lane: first those who have lost a slot already.
type line struct{ ahead, rest list.List }

func (l *line) empty() bool { return l.ahead.Len() == 0 && l.rest.Len() == 0 }

func (l *line) first() *waiter {
	e := l.ahead.Front()
	if e == nil {
		e = l.rest.Front()
	}
	return e.Value.(*waiter)
}

// waiters is everybody who waits, and whose turn it is.
type waiters struct {
	lines [lanes]line
	count int
	// bulkShare is the most that Bulk gets while Default waits too; due is what
	// it is owed of that, in slots.
	bulkShare, due float64
}

func (q *waiters) join(w *waiter, lane Lane, ahead bool) {
	w.queue = &q.lines[lane].rest
	if ahead {
		w.queue = &q.lines[lane].ahead
	}
	w.place = w.queue.PushBack(w)
	q.count++
}

// leave takes w out of its line and reports false if it was in none any more.
func (q *waiters) leave(w *waiter) bool {
	if w.place == nil {
		return false
	}
	w.queue.Remove(w.place)
	w.place = nil
	q.count--
	return true
}

// next takes out the one whose turn it is. Somebody waits.
func (q *waiters) next() *waiter {
	w := q.lines[q.choose()].first()
	q.leave(w)
	return w
}

func (q *waiters) choose() Lane {
	switch {
	case !q.lines[Critical].empty():
		return Critical
	case q.lines[Bulk].empty():
		return Default
	case q.lines[Default].empty():
		return Bulk
	}
	if q.due += q.bulkShare; q.due < 1 {
		return Default
	}
	q.due--
	return Bulk
}
