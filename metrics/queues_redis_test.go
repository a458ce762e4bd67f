package metrics

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// startRedis runs a redis-server of the test's own on a Unix socket and returns
// a client and the process. redis-server is a requirement of these tests.
func startRedis(t *testing.T) (redis.UniversalClient, *os.Process) {
	t.Helper()
	dir, err := os.MkdirTemp("", "wxn") // t.TempDir can exceed a socket path's 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	socket := filepath.Join(dir, "redis.sock")
	cmd := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--dir", dir, "--save", "")
	if err := cmd.Start(); err != nil {
		t.Fatalf("redis-server is needed: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // reports the kill
	})
	rdb := redis.NewClient(&redis.Options{Network: "unix", Addr: socket, ContextTimeoutEnabled: true})
	t.Cleanup(func() { _ = rdb.Close() })
	eventually(t, "redis answers", func() bool { return rdb.Ping(t.Context()).Err() == nil })
	return rdb, cmd.Process
}

// eventually polls until done returns true.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			t.Fatalf("timed out: %s", what)
		case <-tick.C:
		}
	}
}

func enqueue(t *testing.T, rdb redis.UniversalClient, opts ...asynq.Option) {
	t.Helper()
	client := asynq.NewClientFromRedisClient(rdb)
	if _, err := client.Enqueue(asynq.NewTask("test", []byte("{}")), opts...); err != nil {
		t.Fatal(err)
	}
}

// redisMetrics exports the queues of wx1 in rdb.
func redisMetrics(t *testing.T, rdb redis.UniversalClient) *Metrics {
	t.Helper()
	m := New(Info{})
	ours := func(queue string) bool { return strings.HasPrefix(queue, "wx1.") }
	if err := m.CollectQueues(asynq.NewInspectorFromRedisClient(rdb), ours); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestQueuesOfRealRedis(t *testing.T) {
	t.Parallel()
	rdb, _ := startRedis(t)
	enqueue(t, rdb, asynq.Queue("wx1.default"))
	enqueue(t, rdb, asynq.Queue("wx1.default"))
	enqueue(t, rdb, asynq.Queue("wx1.default"), asynq.ProcessIn(time.Hour))
	enqueue(t, rdb, asynq.Queue("wx1.bulk"))
	enqueue(t, rdb, asynq.Queue("elsewhere"))
	if err := asynq.NewInspectorFromRedisClient(rdb).PauseQueue("wx1.bulk"); err != nil {
		t.Fatal(err)
	}

	p := scrape(t, redisMetrics(t, rdb))
	p.want(t, sizeOfDefault, 3)
	p.want(t, `asynq_tasks_enqueued_total{queue="wx1.default",state="pending"}`, 2)
	p.want(t, `asynq_tasks_enqueued_total{queue="wx1.default",state="scheduled"}`, 1)
	p.want(t, `asynq_tasks_enqueued_total{queue="wx1.default",state="archived"}`, 0)
	p.want(t, `asynq_queue_paused_total{queue="wx1.default"}`, 0)
	p.want(t, `asynq_queue_paused_total{queue="wx1.bulk"}`, 1)
	p.want(t, `asynq_tasks_processed_total{queue="wx1.default"}`, 0)
	p.want(t, collectorErrors, 0)
	if p.samples[`asynq_queue_memory_usage_approx_bytes{queue="wx1.default"}`] <= 0 {
		t.Error("no memory usage")
	}
	if p.samples[`asynq_queue_latency_seconds{queue="wx1.default"}`] <= 0 {
		t.Error("no latency")
	}
	p.lacks(t, "elsewhere")
}

func TestProcessedByRealServer(t *testing.T) {
	t.Parallel()
	rdb, _ := startRedis(t)
	enqueue(t, rdb, asynq.Queue("wx1.default"), asynq.Retention(time.Hour))
	enqueue(t, rdb, asynq.Queue("wx1.default"), asynq.MaxRetry(0), asynq.TaskID("fails"))
	server := asynq.NewServerFromRedisClient(rdb, asynq.Config{
		Queues: map[string]int{"wx1.default": 1}, Concurrency: 1,
		TaskCheckInterval: 20 * time.Millisecond, LogLevel: asynq.FatalLevel,
	})
	handler := asynq.HandlerFunc(func(_ context.Context, task *asynq.Task) error {
		if id := task.ResultWriter().TaskID(); id == "fails" {
			return os.ErrInvalid
		}
		return nil
	})
	if err := server.Start(handler); err != nil {
		t.Fatal(err)
	}
	defer server.Shutdown()
	inspector := asynq.NewInspectorFromRedisClient(rdb)
	eventually(t, "both tasks are processed", func() bool {
		info, err := inspector.GetQueueInfo("wx1.default")
		return err == nil && info.ProcessedTotal == 2
	})

	p := scrape(t, redisMetrics(t, rdb))
	p.want(t, `asynq_tasks_processed_total{queue="wx1.default"}`, 2)
	p.want(t, `asynq_tasks_failed_total{queue="wx1.default"}`, 1)
	p.want(t, `asynq_tasks_enqueued_total{queue="wx1.default",state="completed"}`, 1)
	p.want(t, `asynq_tasks_enqueued_total{queue="wx1.default",state="archived"}`, 1)
	p.want(t, sizeOfDefault, 2)
}

// A stopped process keeps its connections open and answers nothing.
func TestFrozenRealRedis(t *testing.T) {
	t.Parallel()
	rdb, process := startRedis(t)
	enqueue(t, rdb, asynq.Queue("wx1.default"))
	m := redisMetrics(t, rdb)
	if err := process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	p := scrape(t, m)
	if took := time.Since(start); took > queueReadTimeout+5*time.Second { // on a busy machine; the client itself would try for 12 s
		t.Errorf("the scrape took %v", took)
	}
	p.lacks(t, "asynq_")
	if p.samples[collectorErrors] < 1 {
		t.Error("the failure was not counted")
	}
	if err := process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the series are back", func() bool {
		_, ok := scrape(t, m).samples[sizeOfDefault]
		return ok
	})
}
