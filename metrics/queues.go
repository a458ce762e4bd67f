package metrics

import (
	"errors"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/hibiken/asynq"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/singleflight"
)

const (
	// queueCacheFor is how long one read of the queues serves all scrapes.
	queueCacheFor = 5 * time.Second
	// queueReadTimeout is how long a scrape waits for a read. Prometheus itself
	// gives up after 10 s by default and would then lose every other series too.
	queueReadTimeout = 3 * time.Second
)

// The names and labels are the ones asynqmon's charts query and asynq's own
// exporter uses. Two are gauges although they end in _total.
var (
	queueSizeDesc = prometheus.NewDesc("asynq_queue_size",
		"Tasks in the queue now in all states, finished ones that are kept included.", []string{"queue"}, nil)
	queueLatencyDesc = prometheus.NewDesc("asynq_queue_latency_seconds",
		"How long the oldest pending task of the queue has been waiting.", []string{"queue"}, nil)
	queueMemoryDesc = prometheus.NewDesc("asynq_queue_memory_usage_approx_bytes",
		"Redis memory the queue takes, estimated from a sample of its tasks.", []string{"queue"}, nil)
	queuePausedDesc = prometheus.NewDesc("asynq_queue_paused_total",
		"1 if the queue is paused, else 0.", []string{"queue"}, nil)
	tasksInStateDesc = prometheus.NewDesc("asynq_tasks_enqueued_total",
		"Tasks in the queue now, by state.", []string{"queue", "state"}, nil)
	tasksProcessedDesc = prometheus.NewDesc("asynq_tasks_processed_total",
		"Times a worker was done with a task of the queue, successfully or not.", []string{"queue"}, nil)
	tasksFailedDesc = prometheus.NewDesc("asynq_tasks_failed_total",
		"Times a worker failed at a task of the queue, each try counted.", []string{"queue"}, nil)
)

// QueueReader reads the state of asynq's queues; *asynq.Inspector is one.
type QueueReader interface {
	Queues() ([]string, error)
	GetQueueInfo(queue string) (*asynq.QueueInfo, error)
}

// CollectQueues adds the asynq_* series of the queues for which ours returns
// true; other programs may keep their queues in the same Redis. It may be called
// once per Metrics.
//
// One read serves all scrapes of five seconds. A scrape waits three seconds for
// it, then goes out without these series and adds to
// wxnotify_queue_collector_errors_total. A read costs three round trips per
// queue and includes asynq's estimate of memory, MEMORY USAGE on up to 20 tasks
// of every state, which takes longer the larger the payloads are.
//
// The state is Redis's, not the process's: every process that collects it
// exports the same values, so that a sum over processes counts them repeatedly.
func (m *Metrics) CollectQueues(reader QueueReader, ours func(queue string) bool) error {
	if m == nil {
		return nil
	}
	if reader == nil || ours == nil {
		return errors.New("metrics: collect queues: a reader and a filter are required")
	}
	if err := m.registry.Register(newQueueCollector(reader, ours)); err != nil {
		return fmt.Errorf("metrics: collect queues: %w", err)
	}
	return nil
}

// queueCollector exports what asynq knows of our queues.
type queueCollector struct {
	reader   QueueReader
	ours     func(string) bool
	failures prometheus.Counter

	// reads lets one read run at a time; scrapes that come meanwhile share it.
	// The Inspector takes no context, so a read of a hanging Redis outlives the
	// scrapes that gave up on it: then it stays the only one.
	reads singleflight.Group

	// Written and read inside of reads only, which orders the accesses.
	last   []*asynq.QueueInfo
	lastAt time.Time
}

func newQueueCollector(reader QueueReader, ours func(string) bool) *queueCollector {
	return &queueCollector{
		reader: reader,
		ours:   ours,
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "wxnotify_queue_collector_errors_total",
			Help: "Failures to read a queue's state, and scrapes that went out without it.",
		}),
	}
}

// Describe implements prometheus.Collector.
func (c *queueCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		queueSizeDesc, queueLatencyDesc, queueMemoryDesc, queuePausedDesc,
		tasksInStateDesc, tasksProcessedDesc, tasksFailedDesc,
	} {
		ch <- d
	}
	c.failures.Describe(ch)
}

// Collect implements prometheus.Collector.
func (c *queueCollector) Collect(ch chan<- prometheus.Metric) {
	for _, info := range c.queues() {
		collectQueue(ch, info)
	}
	c.failures.Collect(ch) // last, so that this scrape's own failure shows in it
}

// collectQueue sends the series of one queue.
func collectQueue(ch chan<- prometheus.Metric, q *asynq.QueueInfo) {
	send := func(d *prometheus.Desc, t prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, value, append([]string{q.Queue}, labels...)...)
	}
	send(queueSizeDesc, prometheus.GaugeValue, float64(q.Size))
	send(queueLatencyDesc, prometheus.GaugeValue, seconds(q.Latency))
	send(queueMemoryDesc, prometheus.GaugeValue, float64(q.MemoryUsage))
	paused := 0.0
	if q.Paused {
		paused = 1
	}
	send(queuePausedDesc, prometheus.GaugeValue, paused)
	send(tasksInStateDesc, prometheus.GaugeValue, float64(q.Active), "active")
	send(tasksInStateDesc, prometheus.GaugeValue, float64(q.Pending), "pending")
	send(tasksInStateDesc, prometheus.GaugeValue, float64(q.Scheduled), "scheduled")
	send(tasksInStateDesc, prometheus.GaugeValue, float64(q.Retry), "retry")
	send(tasksInStateDesc, prometheus.GaugeValue, float64(q.Archived), "archived")
	send(tasksInStateDesc, prometheus.GaugeValue, float64(q.Completed), "completed")
	send(tasksProcessedDesc, prometheus.CounterValue, float64(q.ProcessedTotal))
	send(tasksFailedDesc, prometheus.CounterValue, float64(q.FailedTotal))
}

// queues returns the state of our queues, none if it cannot be had in time.
func (c *queueCollector) queues() []*asynq.QueueInfo {
	giveUp := time.NewTimer(queueReadTimeout)
	defer giveUp.Stop()
	select {
	case r := <-c.reads.DoChan("", c.cachedOrRead):
		infos, _ := r.Val.([]*asynq.QueueInfo) // nil when the read failed
		return infos
	case <-giveUp.C:
		c.failures.Inc()
		return nil
	}
}

// cachedOrRead returns the last read if it is fresh, else reads again. A read
// that failed as a whole is not kept.
func (c *queueCollector) cachedOrRead() (any, error) {
	if c.last != nil && time.Since(c.lastAt) < queueCacheFor {
		return c.last, nil
	}
	infos, err := c.read()
	if err != nil {
		c.failures.Inc()
		return nil, err
	}
	c.last, c.lastAt = infos, time.Now()
	return infos, nil
}

// read asks for every queue of ours in turn. A queue that cannot be read is left
// out and counted. Once no scrape waits any more the rest is not asked for, so
// that a slow Redis is not held up by answers nobody reads.
func (c *queueCollector) read() ([]*asynq.QueueInfo, error) {
	deadline := time.Now().Add(queueReadTimeout)
	names, err := c.reader.Queues()
	if err != nil {
		return nil, fmt.Errorf("metrics: list queues: %w", err)
	}
	infos := make([]*asynq.QueueInfo, 0, len(names))
	for _, name := range names {
		// A name that is no UTF-8 would make the client library panic.
		if !utf8.ValidString(name) || !c.ours(name) {
			continue
		}
		if time.Now().After(deadline) {
			return nil, errors.New("metrics: read queues: out of time")
		}
		info, err := c.reader.GetQueueInfo(name)
		if err != nil {
			c.failures.Inc()
			continue
		}
		infos = append(infos, info)
	}
	return infos, nil
}
