package main

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// recorded is a record as the ledger reads it.
func recorded(s tasks.Status, unknowns int) *ledger.Record {
	return &ledger.Record{Status: s, Unknowns: unknowns}
}

const (
	accepted = tasks.Status(tasks.Accepted)
	unknown  = tasks.Status(tasks.Unknown)
)

// The judge must find each way to break a promise, and nothing else.
func TestJudgeFates(t *testing.T) {
	t.Parallel()
	const fine, lost, doubled, repeat = "fine", "lost", "doubled", "repeat"
	for name, c := range map[string]struct {
		fate fate
		want string
	}{
		"accepted once":                             {fate{record: recorded(accepted, 0), accepted: 1}, fine},
		"delivered":                                 {fate{record: recorded(tasks.StatusDelivered, 0), accepted: 1}, fine},
		"unknown, dropped":                          {fate{onUnknown: tasks.Drop, record: recorded(unknown, 1), accepted: 1}, fine},
		"unknown, dropped, never arrived":           {fate{onUnknown: tasks.Drop, record: recorded(unknown, 1)}, fine},
		"unknown twice":                             {fate{onUnknown: tasks.Resend, record: recorded(unknown, 2)}, fine},
		"sent again after an unknown attempt":       {fate{onUnknown: tasks.Resend, record: recorded(accepted, 1), accepted: 2}, repeat},
		"unknown twice, accepted both times":        {fate{onUnknown: tasks.Resend, record: recorded(unknown, 2), accepted: 2}, repeat},
		"nothing recorded":                          {fate{}, lost},
		"no outcome":                                {fate{record: recorded(tasks.StatusRetrying, 0)}, lost},
		"in flight for ever":                        {fate{record: recorded(tasks.StatusSending, 0), accepted: 1}, lost},
		"accepted by nobody":                        {fate{record: recorded(accepted, 0)}, lost},
		"dead for nothing":                          {fate{record: recorded(tasks.Status(tasks.Dead), 0)}, lost},
		"rejected for nothing":                      {fate{record: recorded(tasks.Status(tasks.Rejected), 0)}, lost},
		"unknown without an unknown attempt":        {fate{onUnknown: tasks.Drop, record: recorded(unknown, 0)}, lost},
		"unknown without having been sent again":    {fate{onUnknown: tasks.Resend, record: recorded(unknown, 1)}, lost},
		"twice though it was to be dropped":         {fate{onUnknown: tasks.Drop, record: recorded(unknown, 1), accepted: 2}, doubled},
		"twice without an unknown attempt":          {fate{onUnknown: tasks.Resend, record: recorded(accepted, 0), accepted: 2}, doubled},
		"three times":                               {fate{onUnknown: tasks.Resend, record: recorded(accepted, 2), accepted: 3}, doubled},
		"the task was forgotten":                    {fate{forgot: gap{task: true}}, fine},
		"the attempt was forgotten":                 {fate{onUnknown: tasks.Drop, record: recorded(accepted, 0), accepted: 2, forgot: gap{send: true}}, repeat},
		"the attempt was forgotten, three times":    {fate{onUnknown: tasks.Drop, record: recorded(accepted, 0), accepted: 3, forgot: gap{send: true}}, doubled},
		"only the attempt was forgotten, then lost": {fate{forgot: gap{send: true}}, lost},
	} {
		v := judgeFates([]fate{c.fate})
		got := fine
		switch {
		case len(v.lost) > 0:
			got = lost
		case len(v.doubled) > 0:
			got = doubled
		case v.repeats > 0:
			got = repeat
		}
		if got != c.want {
			t.Errorf("%s: judged %s, want %s", name, got, c.want)
		}
	}
}

// sound is a result with nothing wrong.
func sound() result {
	return result{
		row:     row{number: "x", what: "a test", rate: 100, kills: 24, redisFaults: 2, otherFaults: 2, unknownPerKill: true},
		verdict: verdict{enqueued: longPlan.n, outcomes: map[tasks.Status]int{accepted: longPlan.n}, unknown: 24},
		tally:   tally{killed: 24, redisFaulted: 2, otherFaulted: 2},
		busiest: 100,
	}
}

// Every figure of a row can fail it.
func TestEveryFigureCanFailARow(t *testing.T) {
	t.Parallel()
	if list := sound().faults(longPlan); len(list) > 0 {
		t.Fatalf("a sound result fails: %q", list)
	}
	for want, forge := range map[string]func(*result){
		"1 lost":         func(r *result) { r.lost = []string{"drop-1: nothing is recorded"} },
		"1 doubled":      func(r *result) { r.doubled = []string{"drop-1: accepted 2 times"} },
		"their time":     func(r *result) { r.early = []string{"drop-1"} },
		"were enqueued":  func(r *result) { r.enqueued-- },
		"Redis forgot":   func(r *result) { r.forgotten = 1 },
		"within a secon": func(r *result) { r.busiest = 106 },
		"were killed":    func(r *result) { r.killed-- },
		"faults of Redi": func(r *result) { r.redisFaulted-- },
		"other faults":   func(r *result) { r.otherFaulted-- },
		"ended unknown":  func(r *result) { r.unknown-- },
	} {
		r := sound()
		forge(&r)
		if list := r.faults(longPlan); len(list) != 1 || !strings.Contains(list[0], want) {
			t.Errorf("complaints %q, want one with %q", list, want)
		}
	}
	r := sound()
	r.forgotten, r.mayForget = 1, true
	if list := r.faults(longPlan); len(list) > 0 {
		t.Errorf("what Redis may forget fails the row: %q", list)
	}
}

func TestJudgeRun(t *testing.T) {
	t.Parallel()
	good, bad := sound(), sound()
	bad.complaints = []string{"1 lost"}
	if err := judgeRun([]result{good, good}, false); err != nil {
		t.Errorf("passed rows: %v, want no error", err)
	}
	if err := judgeRun([]result{good, bad}, false); err == nil || !strings.Contains(err.Error(), "1 lost") {
		t.Errorf("a failed row: %v, want its complaint", err)
	}
	if err := judgeRun([]result{good}, true); err == nil || !strings.Contains(err.Error(), "too little") {
		t.Errorf("a whole run of one row: %v, want it to be too little", err)
	}
	big := good
	big.enqueued, big.killed, big.redisFaulted = wantEnqueued, wantKilled, wantRedisFaults
	if err := judgeRun([]result{big}, true); err != nil {
		t.Errorf("a run that is large enough: %v", err)
	}
}

// What the rows are planned to do must reach the totals.
func TestPlannedTotals(t *testing.T) {
	t.Parallel()
	all := rows()
	kills, faults := 0, 0
	for _, r := range all {
		kills += longPlan.of(r.kills)
		faults += longPlan.of(r.redisFaults)
	}
	if n := len(all) * longPlan.n; n < wantEnqueued-1000 || kills < wantKilled*9/10 || faults < wantRedisFaults {
		t.Errorf("planned are %d notifications, %d kills, %d faults of Redis; want about %d, %d, %d",
			n, kills, faults, wantEnqueued, wantKilled, wantRedisFaults)
	}
	var numbers []string
	for _, r := range all {
		if slices.Contains(numbers, r.number) || r.what == "" || r.trouble == nil || r.redis == nil || (r.failpoint != "") != (r.binary == deadly) {
			t.Errorf("row %s is incomplete, or there are two of it", r.number)
		}
		numbers = append(numbers, r.number)
	}
}

func TestEarly(t *testing.T) {
	t.Parallel()
	if v := judgeFates([]fate{{id: "a", early: true}, {id: "b"}}); len(v.early) != 1 || v.early[0] != "a" {
		t.Errorf("early are %q, want a", v.early)
	}
}

func TestNotifications(t *testing.T) {
	t.Parallel()
	list := notifications(1200)
	ids, counts := map[string]bool{}, map[string]int{}
	for _, n := range list {
		ids[n.id] = true
		counts[string(n.lane)+" "+string(n.onUnknown)]++
	}
	if len(ids) != len(list) {
		t.Errorf("%d different ids, want %d", len(ids), len(list))
	}
	for _, kind := range slices.Sorted(maps.Keys(counts)) {
		if counts[kind] != 200 {
			t.Errorf("%d are %s, want 200 of each of six: %v", counts[kind], kind, counts)
		}
	}
}

func TestNothingUnknown(t *testing.T) {
	t.Parallel()
	w := &world{}
	if list, err := nothingUnknown(context.Background(), w); len(list) > 0 || err != nil {
		t.Error(list, err)
	}
	w.verdict.unknown = 1
	if list, err := nothingUnknown(context.Background(), w); len(list) != 1 || err != nil {
		t.Error(list, err)
	}
}

func TestTable(t *testing.T) {
	t.Parallel()
	good, bad := sound(), sound()
	good.took = 61 * time.Second
	bad.complaints, bad.lost = []string{"1 lost"}, []string{"drop-1"}
	bad.outcomes = map[tasks.Status]int{accepted: 998, unknown: 1, tasks.Status(tasks.Dead): 1}
	var b strings.Builder
	if err := printTable(&b, []result{good, bad}, time.Minute); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want heading, two rows and the sum:\n%s", len(lines), &b)
	}
	for i, want := range []string{"row", "PASS", "FAIL", "FAIL"} {
		if !strings.Contains(lines[i], want) {
			t.Errorf("line %q, want %q in it", lines[i], want)
		}
	}
	if fields := strings.Fields(lines[3]); fields[0] != "all" || fields[1] != "2000" || fields[2] != "1998" {
		t.Errorf("sum %q", lines[3])
	}
}
