package tasks_test

import (
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// What the client does is the same on a server alone, behind Sentinel and on a
// cluster.
func TestOnEveryRedis(t *testing.T) {
	t.Parallel()
	taskstest.Each(t, func(t *testing.T, url string) {
		rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		for name, test := range map[string]func(*testing.T, redis.UniversalClient){
			"delete archived":                 deleteArchived,
			"delete waiting":                  deleteWaiting,
			"enqueue and find":                enqueueAndFind,
			"events are queued once":          eventsAreQueuedOnce,
			"events lag":                      eventsLag,
			"jobs are enqueued once per slot": jobsAreEnqueuedOncePerSlot,
			"queued sees every lane":          queuedSeesEveryLane,
			"served apps":                     servedApps,
			"taken meanwhile stays":           takenMeanwhileStays,
			"what was archived by hand stays": whatWasArchivedByHandStays,
		} {
			t.Run(name, func(t *testing.T) {
				taskstest.Flush(t, rdb)
				test(t, rdb)
			})
		}
	})
}

// In front of the host are Sentinel's user and password, Redis's own are parameters.
func TestSentinelsPasswordIsNotRedissOwn(t *testing.T) {
	t.Parallel()
	s := taskstest.StartSentinel(t)
	for _, server := range s.Servers {
		addUser(t, server.URL, "app", "of-redis")
	}
	for _, watcher := range s.Watchers {
		addUser(t, watcher.URL, "ops", "of-sentinel")
	}
	for credentials, want := range map[[2]string]bool{
		{"ops:of-sentinel@", "&username=app&password=of-redis"}: true,
		{"", "&username=app&password=of-redis"}:                 true, // this Sentinel asks for none
		{"ops:of-redis@", "&username=app&password=of-redis"}:    false,
		{"ops:of-sentinel@", "&username=app&password=wrong"}:    false,
	} {
		url := strings.Replace(s.URL, "://", "://"+credentials[0], 1) + credentials[1]
		rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{MaxRetries: -1})
		if err != nil {
			t.Fatal(err)
		}
		err = rdb.Ping(t.Context()).Err()
		if (err == nil) != want {
			t.Errorf("%v: %v, want it to work: %v", credentials, err, want)
		}
		if err != nil && (strings.Contains(err.Error(), "of-redis") || strings.Contains(err.Error(), "of-sentinel")) {
			t.Errorf("the error holds a password: %v", err)
		}
		if err := rdb.Close(); err != nil {
			t.Error(err)
		}
	}
}

func addUser(t *testing.T, url, name, password string) {
	t.Helper()
	rdb, err := tasks.ConnectRedis(url, tasks.RedisOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rdb.Close() }()
	if err := rdb.Do(t.Context(), "acl", "setuser", name, "on", ">"+password, "+@all", "~*", "&*").Err(); err != nil {
		t.Fatal(err)
	}
}
