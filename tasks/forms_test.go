package tasks_test

import (
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
