package ledger_test

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// sort is a sort of user whose consent the purge meets: what is stored, which fields
// and form ids must be left of it, and what it counts. In the stored form, as nothing can be made old
// otherwise.
type sort struct {
	name        string
	fields      map[string]any
	left        []string
	forms, stay map[string]time.Duration // expiry from now
	counts      ledger.Purged
}

func sorts() []sort {
	day := func(ago int) int64 { return time.Now().Add(time.Duration(-24*ago) * time.Hour).Unix() }
	spent := func(changedAgo int) string { return fmt.Sprint("3;", day(changedAgo), ";;") }
	live := func(changedAgo int) string { return fmt.Sprint("3;", day(changedAgo), ";;", day(changedAgo)) }
	refusal := func(ago int) string { return fmt.Sprint("0;", day(ago), ";", day(ago), ";") }
	expired, good := map[string]time.Duration{"1;E": -time.Minute, "3;E3": -6 * 24 * time.Hour}, map[string]time.Duration{"1;G": time.Hour, "2;G2": 30 * time.Minute}
	mixed := maps.Clone(expired)
	maps.Copy(mixed, good)
	return []sort{
		{name: "expired form ids", forms: expired, counts: ledger.Purged{FormIDs: 2}},
		{name: "form ids", forms: good, stay: good},
		{name: "both", forms: mixed, stay: good, counts: ledger.Purged{FormIDs: 2}},
		{
			name: "an old source", fields: map[string]any{"sA": live(100), "!old": day(8)},
			left: []string{"sA"}, counts: ledger.Purged{Sources: 1},
		},
		{
			name: "spent long ago", fields: map[string]any{"sA": spent(91), "!old": day(91), "!fid": day(8), "!bad": -day(8)},
			counts: ledger.Purged{Subscriptions: 1, Sources: 3},
		},
		{name: "refused long ago", fields: map[string]any{"sA": refusal(91)}, counts: ledger.Purged{Subscriptions: 1}},
		{
			name: "spent and refused lately", fields: map[string]any{"sA": spent(89), "sB": refusal(89), "!new": day(6), "!bad": -day(6)},
			left: []string{"sA", "sB", "!new", "!bad"},
		},
		// A message to several may wait for 45 days, and its letter for 30 more.
		{name: "erased long ago", fields: map[string]any{"x": 1000 * day(76)}},
		{name: "erased", fields: map[string]any{"x": 1000 * day(74)}, left: []string{"x"}},
	}
}

func (p *person) store(pipe redis.Pipeliner, s sort) {
	if len(s.fields) > 0 {
		pipe.HSet(p.ctx, p.key("c", p.tag()), s.fields)
	}
	for member, left := range s.forms {
		pipe.ZAdd(p.ctx, p.key("f", p.tag()), redis.Z{Member: member, Score: float64(time.Now().Add(left).UnixMilli())})
	}
}

// stock stores so many users of each sort and returns what a purge must count.
func (b *bundle) stock(ofEach int) (want ledger.Purged) {
	b.t.Helper()
	for _, s := range sorts() {
		_, err := b.rdb.Pipelined(b.ctx, func(pipe redis.Pipeliner) error {
			for i := range ofEach {
				b.person(fmt.Sprint(s.name, i)).store(pipe, s)
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
		for range ofEach {
			add(&want, s.counts)
		}
	}
	return want
}

func add(sum *ledger.Purged, p ledger.Purged) {
	sum.FormIDs += p.FormIDs
	sum.Subscriptions += p.Subscriptions
	sum.Sources += p.Sources
}

// purged fails unless of all users exactly what counts is left.
func (b *bundle) purged(ofEach int) {
	b.t.Helper()
	for _, s := range sorts() {
		fields, forms := make([]*redis.MapStringStringCmd, ofEach), make([]*redis.StringSliceCmd, ofEach)
		_, err := b.rdb.Pipelined(b.ctx, func(pipe redis.Pipeliner) error {
			for i := range ofEach {
				tag := b.person(fmt.Sprint(s.name, i)).tag()
				fields[i] = pipe.HGetAll(b.ctx, b.key("c", tag))
				forms[i] = pipe.ZRange(b.ctx, b.key("f", tag), 0, -1)
			}
			return nil
		})
		if err != nil {
			b.t.Fatal(err)
		}
		for i := range ofEach {
			s.check(b.t, fields[i].Val(), forms[i].Val())
		}
	}
}

// check fails unless exactly what counts is left of one user.
func (s sort) check(t *testing.T, fields map[string]string, forms []string) {
	t.Helper()
	if len(fields) != len(s.left) || len(forms) != len(s.stay) {
		t.Fatalf("%s: %v and %v are left", s.name, fields, forms)
	}
	for field := range fields {
		if !slices.Contains(s.left, field) {
			t.Errorf("%s: %s is left", s.name, field)
		}
	}
	for _, member := range forms {
		if _, ok := s.stay[member]; !ok {
			t.Errorf("%s: form id %s is left", s.name, member)
		}
	}
}

// many is n, or fewer where scripts are slow.
func (b *bundle) many(n int) int {
	if b.embedded {
		return n/20 + 1
	}
	return n
}

// One run, in the smallest steps, by two workers in turn.
func TestPurgeGoesOnWhereItEnded(t *testing.T) {
	each(t, func(b *bundle) {
		ofEach := b.many(550) // 4 950 users
		want := b.stock(ofEach)
		ledgers := []*ledger.Ledger{b.l, ledger.New(b.rdb, b.ns, ledger.Options{})}
		var got ledger.Purged
		finished, calls := false, 0
		for ; !finished; calls++ {
			var part ledger.Purged
			var err error
			if part, finished, err = ledgers[calls%2].Purge(b.ctx, 1, time.Nanosecond); err != nil || calls > 1000 {
				b.t.Fatal(calls, err)
			}
			add(&got, part)
		}
		if got != want {
			b.t.Errorf("purged %+v in %d calls, want %+v", got, calls, want)
		}
		b.purged(ofEach)
		for run, name := range map[int64]string{1: "the same run", 2: "the next one"} {
			if again, finished, err := b.l.Purge(b.ctx, run, 0); err != nil || !finished || again != (ledger.Purged{}) {
				b.t.Errorf("%s: %+v, %v, %v", name, again, finished, err)
			}
			key := b.ns.Key(fmt.Sprint("purge:", run))
			if ttl := b.rdb.PTTL(b.ctx, key).Val(); ttl <= 0 || ttl > 24*time.Hour {
				b.t.Errorf("the progress is kept for %v", ttl)
			}
		}
	})
}

// Two workers at once count everything once.
func TestTwoPurgesAtOnce(t *testing.T) {
	each(t, func(b *bundle) {
		ofEach := b.many(50)
		want := b.stock(ofEach)
		var mu sync.Mutex
		var got ledger.Purged
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() {
				p, finished, err := ledger.New(b.rdb, b.ns, ledger.Options{}).Purge(b.ctx, 1, 0)
				mu.Lock()
				defer mu.Unlock()
				add(&got, p)
				if err != nil || !finished {
					b.t.Error(finished, err)
				}
			})
		}
		wg.Wait()
		if got != want {
			b.t.Errorf("purged %+v, want %+v", got, want)
		}
		b.purged(ofEach)
	})
}

// Grants and sends go on meanwhile, for users the purge is looking at.
func TestPurgeWhileGrantsGoOn(t *testing.T) {
	each(t, func(b *bundle) {
		users := b.many(60)
		want := b.stock(users)
		var wg sync.WaitGroup
		wg.Go(func() {
			for i := range users {
				p := b.person(fmt.Sprint("spent long ago", i))
				p.says("a1", "a2")
				p.submits("new", 1)
				p.send(p.message("m", ledger.NeedSubscription))
			}
		})
		got, _, err := b.l.Purge(b.ctx, 1, 0)
		wg.Wait()
		if err != nil {
			b.t.Fatal(err)
		}
		if got.FormIDs != want.FormIDs || got.Sources != want.Sources || got.Subscriptions > want.Subscriptions {
			b.t.Errorf("purged %+v, want at most %+v", got, want)
		}
		for i := range users {
			p := b.person(fmt.Sprint("spent long ago", i))
			p.left(1, "two granted, one sent")
			p.has("one submitted", "new")
		}
	})
}

// What the purge would delete is not used before it either.
func TestWhatIsOverIsNotUsed(t *testing.T) {
	each(t, func(b *bundle) {
		b.stock(1)
		p := b.person("expired form ids0")
		p.has("nothing can be used")
		if got := p.admit(p.template("m", ""), ledger.Ended); got.Status != "no_credit" {
			b.t.Fatalf("%+v", got)
		}
	})
}
