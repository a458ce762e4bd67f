package ledger_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// model is what one user allows, and where each credit went, told in the plainest way.
type model struct {
	p      *person
	r      *rand.Rand
	epoch  time.Time
	clock  int // seconds after epoch
	serial int

	free                    []credit // in the order in which they are taken
	refusedAt               int
	granted, spent, revoked int
	notes                   []*note
	flying                  *note // has the turn
}

// credit is one grant: when the user made it, and as which it arrived.
type credit struct{ at, arrival int }

// note is a notification that is not over.
type note struct {
	a         ledger.Admission
	in        place
	held      *credit
	known     int // the grants that had arrived at its admission
	unknowns  int
	forgotten bool // the user was erased since
}

type place int

const (
	waiting place = iota
	flying
	lost // its worker died, and nobody has noticed yet
	over
)

// Random grants, refusals, sends that end in every way, deaths, repeated commands and
// erasures: no credit is ever lost, doubled or used by two.
func TestEveryCreditIsSomewhere(t *testing.T) {
	each(t, func(b *bundle) {
		steps := 1500
		if b.embedded {
			steps = 500
		}
		seed := rand.Uint64()
		m := &model{p: b.person("ann"), r: rand.New(rand.NewPCG(seed, 0)), epoch: time.Now().Add(24 * time.Hour)}
		for step := range steps {
			m.clock++
			what := m.step()
			if complaint := m.check(); complaint != "" {
				b.t.Fatalf("seed %d, step %d: %s: %s", seed, step, what, complaint)
			}
		}
		b.t.Logf("%d granted, %d spent, %d revoked", m.granted, m.spent, m.revoked)
	})
}

func (m *model) chance(percent int) bool { return m.r.IntN(100) < percent }

// times is how often a command is sent: go-redis repeats one whose answer was lost.
func (m *model) times() int {
	if m.chance(30) {
		return 2
	}
	return 1
}

func (m *model) step() string {
	switch x := m.r.IntN(200); {
	case x < 60:
		return m.answer(true)
	case x < 63:
		return m.answer(false)
	case x < 64:
		return m.erase()
	case x < 130 || len(m.notes) == 0:
		return m.admit(m.someNote())
	default:
		return m.settle(m.notes[m.r.IntN(len(m.notes))])
	}
}

// check compares the ledger with the model: what is left, what is held, and that
// each credit granted is somewhere.
func (m *model) check() string {
	left, held, want := m.p.credits(), 0, 0
	for _, n := range m.notes {
		if hold := m.p.hold(n.a.Ref); hold != "" && hold[0] == 'C' {
			held++
		}
		if n.held != nil {
			want++
		}
	}
	switch {
	case left != len(m.free):
		return fmt.Sprintf("%d credits left, want %d", left, len(m.free))
	case held != want:
		return fmt.Sprintf("%d credits held, want %d", held, want)
	case left+held+m.spent+m.revoked != m.granted:
		return fmt.Sprintf("%d left, %d held, %d spent and %d revoked of %d granted", left, held, m.spent, m.revoked, m.granted)
	}
	m.notes = slices.DeleteFunc(m.notes, func(n *note) bool { return n.in == over })
	return ""
}

// answer accepts or refuses, now or a few seconds ago.
func (m *model) answer(yes bool) string {
	if yes && len(m.free) > 10 {
		return "nothing" // so many that the ledger would tell them apart no longer
	}
	m.serial++
	at := max(1, m.clock-m.r.IntN(6))
	for range m.times() {
		_, err := m.p.l.Grant(m.p.ctx, ledger.Answers{
			App: app, OpenID: m.p.openID, Source: fmt.Sprint(m.serial), At: m.epoch.Add(time.Duration(at) * time.Second),
			Answers: []ledger.Answer{{TemplateID: template, Accepted: yes}},
		})
		if err != nil {
			m.p.t.Fatal(err)
		}
	}
	switch {
	case !yes:
		m.refuse(at)
	case at >= m.refusedAt: // within one second the order of arrival counts
		m.granted++
		m.free = append(m.free, credit{at, m.granted})
	}
	return fmt.Sprint("answer ", yes)
}

func (m *model) refuse(at int) {
	m.refusedAt = max(m.refusedAt, at)
	m.drop(func(c credit) bool { return c.at <= at })
}

func (m *model) drop(gone func(credit) bool) {
	before := len(m.free)
	m.free = slices.DeleteFunc(m.free, gone)
	m.revoked += before - len(m.free)
}

func (m *model) erase() string {
	<-time.After(2 * time.Millisecond) // those made before are older by the clock, too
	m.p.erase()
	m.drop(func(credit) bool { return true })
	m.refusedAt = 0
	for _, n := range m.notes {
		n.forgotten = true
	}
	<-time.After(2 * time.Millisecond)
	return "erase"
}

// someNote is one that is under way, or a new one.
func (m *model) someNote() *note {
	if len(m.notes) < 5 && m.chance(50) || len(m.notes) == 0 {
		m.serial++
		a := m.p.message(fmt.Sprint(m.serial), []ledger.Need{ledger.NeedObserved, ledger.NeedSubscription}[m.r.IntN(2)])
		a.DropAfterUnknown = m.chance(20)
		n := &note{a: a}
		m.notes = append(m.notes, n)
		return n
	}
	return m.notes[m.r.IntN(len(m.notes))]
}

// admit asks for another attempt and compares the verdict.
func (m *model) admit(n *note) string {
	dies := m.chance(10)
	old := n.a
	n.a = next(n.a)
	n.a.Lease = time.Minute
	if dies {
		n.a.Lease = time.Millisecond
	}
	want := m.admitted(n)
	for range m.times() {
		if got, err := m.p.l.Admit(m.p.ctx, n.a); err != nil || got.Verdict != want {
			m.p.t.Errorf("admit: %+v, %v, want %s", got, err, want)
		}
	}
	switch {
	case want != ledger.Go:
		if n.in == flying {
			n.a = old
		}
	case dies:
		m.wait()
		n.in = lost
	default:
		n.in, m.flying = flying, n
	}
	return "admit"
}

// admitted is the verdict, and what it does to the credits.
func (m *model) admitted(n *note) ledger.Verdict {
	if n.in == flying {
		return ledger.Busy
	}
	if n.in == lost {
		n.in = waiting
		if n.unknowns++; n.unknowns > 1 || n.a.DropAfterUnknown {
			return m.end(n)
		}
	}
	switch {
	case n.forgotten:
		return m.end(n)
	case m.flying != nil:
		return ledger.Turn
	}
	if n.held != nil && n.held.at <= m.refusedAt { // a lost attempt may have used it, and another must not
		m.spend(n)
	}
	switch {
	case n.held == nil && len(m.free) > 0:
		first := m.free[0]
		n.held, m.free = &first, m.free[1:]
	case n.held == nil && n.a.Need == ledger.NeedSubscription:
		return m.end(n)
	}
	n.known = m.granted
	return ledger.Go
}

// end is how a notification ends with what it holds.
func (m *model) end(n *note) ledger.Verdict {
	if n.unknowns > 0 {
		m.spend(n)
	} else {
		m.giveBack(n)
	}
	n.in = over
	return ledger.Ended
}

func (m *model) spend(n *note) {
	if n.held != nil {
		m.spent++
	}
	n.held = nil
}

func (m *model) giveBack(n *note) {
	switch {
	case n.held == nil:
	case n.forgotten || n.held.at <= m.refusedAt:
		m.revoked++
	default:
		m.free = slices.Insert(m.free, 0, *n.held)
	}
	n.held = nil
}

// wait returns once the lease of an attempt that died is over.
func (m *model) wait() {
	for {
		<-time.After(2 * time.Millisecond)
		if m.p.rdb.Exists(m.p.ctx, m.p.key("t", m.p.tag())).Val() == 0 {
			return
		}
	}
}

// settle ends an attempt, if one is in flight or died, in some way. Its own admission
// may come once more after it.
func (m *model) settle(n *note) string {
	if n.in != flying && n.in != lost {
		return "nothing"
	}
	names := []string{"accepted", "accepted", "accepted", "accepted", "accepted", "accepted", "accepted", "rejected", "dead", "retry", "release", "doubt", "drop", "horizon", "unlisted", "43101"}
	name := names[m.r.IntN(len(names))]
	s := refused(n.a)
	if name != "43101" {
		s = endings[name](n.a)
	}
	for range m.times() {
		if got, err := m.p.l.Settle(m.p.ctx, s); err != nil || !got.Applied {
			m.p.t.Errorf("settle: %+v, %v", got, err)
		}
	}
	if m.chance(20) {
		if got, err := m.p.l.Admit(m.p.ctx, n.a); err != nil || got.Verdict == ledger.Go {
			m.p.t.Errorf("an admission after its own settlement: %+v, %v", got, err)
		}
	}
	if m.flying == n {
		m.flying = nil
	}
	n.in = waiting
	m.settled(n, name, s)
	return name
}

func (m *model) settled(n *note, name string, s ledger.Settlement) {
	switch name {
	case "accepted":
		m.spend(n)
		n.in = over
	case "43101":
		if n.held != nil {
			m.revoked++
		}
		n.held, n.in = nil, over
		if !n.forgotten {
			m.drop(func(c credit) bool { return c.arrival <= n.known })
		}
	case "doubt", "drop":
		if n.unknowns++; n.unknowns > 1 || s.DropAfterUnknown {
			m.end(n)
		}
	case "retry", "release":
		if n.unknowns == 0 {
			m.giveBack(n)
		}
	case "dead", "horizon", "unlisted": // its task may come again
		m.end(n)
		n.in = waiting
	default:
		if m.end(n); s.Outcome != tasks.Rejected {
			m.p.t.Fatal("unknown ending ", name)
		}
	}
}
