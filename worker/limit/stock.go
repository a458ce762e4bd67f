package limit

import (
	"context"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	// shortestGrace: with pace 0.98 a second and 20 ms hold at most Rate slots.
	// Where they are further apart than a second the same share is longer.
	shortestGrace = 20 * time.Millisecond
	// shortestNotice is how long before its time a slot is handed out: enough
	// for an admission in Redis, short enough that whoever is urgent comes first.
	shortestNotice = 5 * time.Millisecond
	// together is how much earlier a slot is handed out to save a timer.
	together = time.Millisecond
	// margin is how much earlier than necessary new slots are asked for.
	margin = 10 * time.Millisecond

	longestTrip     = 500 * time.Millisecond
	longestHandling = 250 * time.Millisecond

	// askTimeout bounds a question. Slots that come later are of no use.
	askTimeout = 2 * time.Second
	// Between two questions that brought no answer.
	firstPause, longestPause = 50 * time.Millisecond, 2 * time.Second
)

// notice is how long before its time a slot is handed out.
func (l *Limiter) notice() time.Duration { return max(shortestNotice, 2*l.handling.value()) }

// turn does what is due and sets the timer for what is next. Everything that
// changes the state ends with it. mu is held.
func (l *Limiter) turn(now time.Time) {
	l.throwAway(now)
	l.handOut(now)
	if next := l.upcoming(now); next.IsZero() {
		l.timer.Stop()
	} else {
		l.timer.Reset(next.Sub(now))
	}
}

// tick is the timer's.
func (l *Limiter) tick() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.turn(time.Now())
	}
}

// throwAway forgets the slots that would be too old once their send is prepared.
func (l *Limiter) throwAway(now time.Time) {
	soon := now.Add(l.handling.value() - l.grace)
	old := 0
	for old < len(l.stock) && l.stock[old].Before(soon) {
		old++
	}
	l.stock = slices.Delete(l.stock, 0, old)
}

// handOut gives the slots that are near to those whose turn it is.
func (l *Limiter) handOut(now time.Time) {
	near := now.Add(l.notice() + together)
	out := 0
	for l.waiting.count > 0 && out < len(l.stock) && !l.stock[out].After(near) {
		l.waiting.next().slot <- &Slot{limiter: l, at: l.stock[out], handed: now}
		out++
	}
	l.stock = slices.Delete(l.stock, 0, out)
}

// upcoming asks for slots if it is time to, and returns when there is something
// to do again, zero for not before something happens.
func (l *Limiter) upcoming(now time.Time) time.Time {
	var next time.Time
	if l.waiting.count == 0 {
		return next
	}
	if len(l.stock) > 0 {
		next = l.stock[0].Add(-l.notice())
	}
	lacking := l.waiting.count - len(l.stock)
	if lacking <= 0 || l.asking {
		return next
	}
	at := l.askAt()
	if at.After(now) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
		return next
	}
	l.asking = true
	n := min(lacking, max(l.batch, int(2*l.trip.value()/l.interval)))
	lead := l.trip.value() + l.handling.value()
	l.asks.Go(func() { l.ask(n, lead) })
	return next
}

// askAt is when new slots should be asked for, so that they come before the last
// one is handed out.
func (l *Limiter) askAt() time.Time {
	if len(l.stock) == 0 {
		return l.askFrom
	}
	at := l.stock[len(l.stock)-1].Add(-l.notice() - margin - l.trip.value())
	if at.Before(l.askFrom) {
		return l.askFrom
	}
	return at
}

func (l *Limiter) ask(n int, lead time.Duration) {
	ctx, cancel := context.WithTimeout(l.life, askTimeout)
	defer cancel()
	sent := time.Now()
	got, err := l.lender.lend(ctx, n, lead)
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.asking = false
	if l.closed {
		return
	}
	if err != nil {
		l.failed(now)
	} else {
		l.lent(got, newSight(sent, now, got.now), now)
	}
	l.turn(now)
}

// failed keeps the limiter from asking for a while, longer each time.
func (l *Limiter) failed(now time.Time) {
	d := longestPause
	if l.failures < 6 { // 50 ms * 2^6 is beyond it
		d = min(d, firstPause<<l.failures)
	}
	l.failures++
	l.askFrom = now.Add(d/2 + rand.N(d/2+1))
}

// lent takes the slots of a loan into stock.
func (l *Limiter) lent(got loan, s sight, now time.Time) {
	l.failures = 0
	l.trip.see(s.trip)
	l.sight = l.sight.better(s)
	if got.n == 0 { // and the others who wait need not all ask in the same moment
		l.askFrom = now.Add(got.wait + rand.N(got.wait/4+time.Millisecond))
		return
	}
	first := l.sight.at(got.start)
	for i := range got.n {
		l.stock = append(l.stock, first.Add(time.Duration(i)*l.interval))
	}
	l.sort()
}

// sort is cheap where nothing is out of order, which is nearly always.
func (l *Limiter) sort() { slices.SortFunc(l.stock, time.Time.Compare) }

// prepared learns how long a send took to get ready.
func (l *Limiter) prepared(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.handling.see(d)
}

// takeBack puts a slot that was not used into stock again.
func (l *Limiter) takeBack(at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.stock = append(l.stock, at)
	l.sort()
	l.turn(time.Now())
}
