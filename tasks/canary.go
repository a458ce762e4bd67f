package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/hibiken/asynq"
)

const (
	canaryTypePrefix = "wxnotify-canary:"
	canaryType       = canaryTypePrefix + "1"
	// canaryID lets no more than one canary wait in a queue. No notification's task has
	// it: theirs begin with the app.
	canaryID = "canary"
)

// canaryApart is how long after a canary of a lane there is no other, whoever sends
// them: a little less than every worker's own interval.
const canaryApart = 50 * time.Second

// canaryWire is the stored form.
type canaryWire struct {
	At int64 `json:"at"`
}

// EnqueueCanary sends a canary through an app's lane: a task that does nothing, and by
// that shows that the lane's tasks are taken up. It does nothing while the lane is
// paused, while the last canary still waits, or if another worker has just sent one.
func (c *Client) EnqueueCanary(ctx context.Context, app string, lane Priority, now time.Time) error {
	queue := c.ns.Queue(app, lane)
	if paused, err := c.rdb.Exists(ctx, pausedKey(queue)).Result(); err != nil || paused > 0 {
		return wrap("tasks: look for a pause", err)
	}
	mine, err := c.rdb.SetNX(ctx, c.ns.Key("canary:"+app+":"+string(lane)), 1, canaryApart).Result()
	if err != nil || !mine {
		return wrap("tasks: take a canary's turn", err)
	}
	payload, err := json.Marshal(canaryWire{At: millis(now)})
	if err != nil {
		return wrap("tasks: encode canary", err)
	}
	_, err = c.queue.EnqueueContext(ctx, asynq.NewTask(canaryType, payload),
		asynq.Queue(queue), asynq.TaskID(canaryID), asynq.MaxRetry(noRetryLimit), asynq.Timeout(TaskTimeout))
	if errors.Is(err, asynq.ErrTaskIDConflict) {
		return nil
	}
	return wrap("tasks: enqueue canary", err)
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

// DecodeCanary reports whether a task is a canary, and when it was sent, by its
// sender's clock: the zero time if another version has sent it.
func DecodeCanary(taskType string, payload []byte) (sent time.Time, canary bool) {
	if !strings.HasPrefix(taskType, canaryTypePrefix) {
		return time.Time{}, false
	}
	var w canaryWire
	if err := json.Unmarshal(payload, &w); err != nil {
		return time.Time{}, true
	}
	return fromMillis(w.At), true
}
