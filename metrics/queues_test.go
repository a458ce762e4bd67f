package metrics

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hibiken/asynq"
)

func everyQueue(string) bool { return true }

// fakeQueues stands for an Inspector.
type fakeQueues struct {
	infos   map[string]*asynq.QueueInfo // nil value: reading this queue fails
	down    atomic.Bool                 // listing fails
	hang    chan struct{}               // if not nil, listing waits until it is closed
	perRead time.Duration               // time one queue takes

	lists atomic.Int32
	reads atomic.Int32
}

func (f *fakeQueues) Queues() ([]string, error) {
	f.lists.Add(1)
	if f.hang != nil {
		<-f.hang
	}
	if f.down.Load() {
		return nil, errors.New("down")
	}
	var names []string
	for name := range f.infos {
		names = append(names, name)
	}
	return names, nil
}

func (f *fakeQueues) GetQueueInfo(name string) (*asynq.QueueInfo, error) {
	f.reads.Add(1)
	time.Sleep(f.perRead)
	if info := f.infos[name]; info != nil {
		return info, nil
	}
	return nil, errors.New("no such queue")
}

// collecting returns a Metrics that exports the fake's queues.
func collecting(t *testing.T, f *fakeQueues) *Metrics {
	t.Helper()
	m := New(Info{})
	if err := m.CollectQueues(f, everyQueue); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	sizeOfDefault   = `asynq_queue_size{queue="wx1.default"}`
	collectorErrors = `wxnotify_queue_collector_errors_total{}`
)

func oneQueue() map[string]*asynq.QueueInfo {
	return map[string]*asynq.QueueInfo{"wx1.default": {Queue: "wx1.default", Size: 7}}
}

func TestQueueSeries(t *testing.T) {
	t.Parallel()
	m := collecting(t, &fakeQueues{infos: map[string]*asynq.QueueInfo{"wx1.default": {
		Queue: "wx1.default", Size: 21, MemoryUsage: 4096, Latency: 1500 * time.Millisecond, Paused: true,
		Active: 1, Pending: 2, Scheduled: 3, Retry: 4, Archived: 5, Completed: 6,
		Processed: 10, Failed: 11, ProcessedTotal: 100, FailedTotal: 110,
	}, "wx1.bulk": {Queue: "wx1.bulk", Latency: -time.Second}}})
	p := scrape(t, m)
	p.want(t, sizeOfDefault, 21)
	p.want(t, `asynq_queue_memory_usage_approx_bytes{queue="wx1.default"}`, 4096)
	p.want(t, `asynq_queue_latency_seconds{queue="wx1.default"}`, 1.5)
	p.want(t, `asynq_queue_latency_seconds{queue="wx1.bulk"}`, 0)
	p.want(t, `asynq_queue_paused_total{queue="wx1.default"}`, 1)
	p.want(t, `asynq_queue_paused_total{queue="wx1.bulk"}`, 0)
	for i, state := range []string{"active", "pending", "scheduled", "retry", "archived", "completed"} {
		p.want(t, `asynq_tasks_enqueued_total{queue="wx1.default",state="`+state+`"}`, float64(i+1))
	}
	// The cumulative numbers: today's fall back to zero at midnight.
	p.want(t, `asynq_tasks_processed_total{queue="wx1.default"}`, 100)
	p.want(t, `asynq_tasks_failed_total{queue="wx1.default"}`, 110)
	p.want(t, collectorErrors, 0)
}

func TestForeignQueuesAreNotRead(t *testing.T) {
	t.Parallel()
	f := &fakeQueues{infos: oneQueue()}
	f.infos["someone-elses"] = &asynq.QueueInfo{Queue: "someone-elses"}
	f.infos["\xff"] = &asynq.QueueInfo{Queue: "\xff"}
	m := New(Info{})
	if err := m.CollectQueues(f, func(q string) bool { return q != "someone-elses" }); err != nil {
		t.Fatal(err)
	}
	p := scrape(t, m)
	p.want(t, sizeOfDefault, 7)
	p.lacks(t, "someone-elses")
	if n := f.reads.Load(); n != 1 {
		t.Errorf("read %d queues, want 1", n)
	}
}

func TestCollectQueuesRefusals(t *testing.T) {
	t.Parallel()
	m := New(Info{})
	if err := m.CollectQueues(nil, everyQueue); err == nil {
		t.Error("took no reader")
	}
	if err := m.CollectQueues(&fakeQueues{}, nil); err == nil {
		t.Error("took no filter")
	}
	if err := m.CollectQueues(&fakeQueues{}, everyQueue); err != nil {
		t.Error(err)
	}
	if err := m.CollectQueues(&fakeQueues{}, everyQueue); err == nil {
		t.Error("took a second reader")
	}
}

func TestOneReadServesFiveSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeQueues{infos: oneQueue()}
		m := collecting(t, f)
		for range 3 {
			scrape(t, m).want(t, sizeOfDefault, 7)
		}
		time.Sleep(queueCacheFor - time.Millisecond)
		scrape(t, m)
		if n := f.lists.Load(); n != 1 {
			t.Errorf("%d reads within five seconds, want 1", n)
		}
		time.Sleep(2 * time.Millisecond)
		f.infos["wx1.default"] = &asynq.QueueInfo{Queue: "wx1.default", Size: 8}
		scrape(t, m).want(t, sizeOfDefault, 8)
		if n := f.lists.Load(); n != 2 {
			t.Errorf("%d reads after five seconds, want 2", n)
		}
	})
}

func TestConcurrentScrapesShareOneRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeQueues{infos: oneQueue(), hang: make(chan struct{})}
		m := collecting(t, f)
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { scrape(t, m).want(t, sizeOfDefault, 7) })
		}
		synctest.Wait()
		close(f.hang)
		wg.Wait()
		if n := f.lists.Load(); n != 1 {
			t.Errorf("%d reads, want 1", n)
		}
	})
}

func TestHangingRedisCostsOnlyItsSeries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeQueues{infos: oneQueue(), hang: make(chan struct{})}
		m := collecting(t, f)
		for i := range 3 {
			start := time.Now()
			p := scrape(t, m)
			if took := time.Since(start); took != queueReadTimeout {
				t.Errorf("the scrape took %v, want %v", took, queueReadTimeout)
			}
			p.lacks(t, "asynq_")
			p.want(t, collectorErrors, float64(i+1))
			p.want(t, `wxnotify_redis_up{}`, 0)
		}
		if n := f.lists.Load(); n != 1 {
			t.Errorf("%d reads at a time, want 1", n)
		}
		close(f.hang)
		// The read that hung is past its time: it is not continued.
		synctest.Wait()
		scrape(t, m).want(t, sizeOfDefault, 7)
		if n := f.reads.Load(); n != 1 {
			t.Errorf("read %d queues, want 1", n)
		}
	})
}

func TestSlowReadStopsWhenNobodyWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		f := &fakeQueues{infos: map[string]*asynq.QueueInfo{}, perRead: time.Second}
		for _, name := range []string{"a", "b", "c", "d", "e", "f", "g", "h"} {
			f.infos[name] = &asynq.QueueInfo{Queue: name}
		}
		m := collecting(t, f)
		scrape(t, m).lacks(t, "asynq_")
		time.Sleep(time.Minute)
		if n := f.reads.Load(); n > 4 {
			t.Errorf("read %d queues after the scrape gave up at 3 s, want at most 4", n)
		}
	})
}

func TestRedisAwayAndBack(t *testing.T) {
	t.Parallel()
	f := &fakeQueues{infos: oneQueue()}
	m := collecting(t, f)
	f.down.Store(true)
	p := scrape(t, m)
	p.lacks(t, "asynq_")
	p.want(t, collectorErrors, 1)
	f.down.Store(false)
	p = scrape(t, m) // a failure is not cached
	p.want(t, sizeOfDefault, 7)
	p.want(t, collectorErrors, 1)
}

func TestOneUnreadableQueueCostsNoOther(t *testing.T) {
	t.Parallel()
	f := &fakeQueues{infos: oneQueue()}
	f.infos["wx1.bulk"] = nil
	p := scrape(t, collecting(t, f))
	p.want(t, sizeOfDefault, 7)
	p.lacks(t, "wx1.bulk")
	p.want(t, collectorErrors, 1)
}
