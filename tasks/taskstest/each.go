package taskstest

import (
	"os"
	"slices"
	"testing"
	"time"
)

// patience is after which silence a suite's own Sentinel gives a master up: a busy
// machine must not look like a dead master.
const patience = 30 * time.Second

// Each runs a test on every form of Redis that tasks.ConnectRedis takes: a server
// alone, behind Sentinel, and a cluster of three masters. Each run has its own and
// gets its URL. The runs are parallel.
func Each(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	for name, start := range map[string]func(testing.TB) string{
		"standalone": func(t testing.TB) string { return StartRedis(t).URL },
		"sentinel":   func(t testing.TB) string { return startSentinel(t, patience).URL },
		"cluster":    func(t testing.TB) string { return StartCluster(t, 0).URL },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t))
		})
	}
}

// SharedCluster is a Cluster for all tests of a package, which set themselves apart
// by a tasks.Namespace of their own. Its zero value is ready.
type SharedCluster struct {
	owner   owner
	starter chan *Cluster
}

// RunTests runs the tests of a package and returns their exit code, for a TestMain.
// The cluster is started by the first test that asks for it, and stopped here.
func (s *SharedCluster) RunTests(m *testing.M) int {
	s.starter = make(chan *Cluster, 1)
	s.starter <- nil
	defer s.owner.end()
	return m.Run()
}

// Get returns the cluster.
func (s *SharedCluster) Get(t testing.TB) *Cluster {
	t.Helper()
	c := <-s.starter
	defer func() { s.starter <- c }()
	if c == nil {
		s.owner.TB = t
		c = StartCluster(&s.owner, 0)
	}
	return c
}

// owner stands for a package where the starters want a test to hang on to: what
// they leave lasts longer than the test that was the first to ask.
type owner struct {
	testing.TB
	dirs []string
	last []func()
}

// Cleanup keeps f for the end of the package.
func (o *owner) Cleanup(f func()) { o.last = append(o.last, f) }

// TempDir returns a folder that lasts as long as the package.
func (o *owner) TempDir() string {
	dir, err := os.MkdirTemp("", "wxnotify-test-")
	if err != nil {
		o.Fatalf("taskstest: temporary folder: %v", err)
	}
	o.dirs = append(o.dirs, dir)
	return dir
}

func (o *owner) end() {
	for _, f := range slices.Backward(o.last) {
		f()
	}
	for _, dir := range o.dirs {
		_ = os.RemoveAll(dir) // the system's temporary folder: what is left does no harm
	}
}
