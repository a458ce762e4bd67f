package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/hibiken/asynq"
)

// The scheduled jobs.
const (
	// JobRefreshToken renews the access_token of one app.
	JobRefreshToken = "token-refresh"
	// JobReadTemplates reads an app's list of templates from WeChat.
	JobReadTemplates = "catalogue-read"
	// JobPurge deletes what is over, of all apps.
	JobPurge = "purge"
	// JobErase deletes the records of users who were erased, of all apps.
	JobErase = "erase"
	// JobReadQuota asks WeChat how much of one app's quotas is left.
	JobReadQuota = "quota-read"
	// JobDead finds what was archived without us, and forgets dead letters that are
	// none any more, of one app.
	JobDead = "dead-letters"
)

// Jobs lists the scheduled jobs.
func Jobs() []string {
	return []string{JobRefreshToken, JobReadTemplates, JobPurge, JobErase, JobReadQuota, JobDead}
}

const jobTypePrefix = "wxnotify-job:"

// JobTask is one run of a scheduled job.
type JobTask struct {
	Job string `json:"job"`
	// App is empty for a job of all apps.
	App string `json:"app,omitempty"`
	// Slot is when the run was due, in Unix milliseconds: every schedule in every
	// process computes the same one, so that they enqueue one task between them.
	Slot int64 `json:"slot"`
}

// jobRetention keeps a finished run's task, so that a schedule whose clock is
// late finds its id taken.
const jobRetention = time.Hour

// eraseTimeout bounds one run of JobErase, which walks all keys in one go.
const eraseTimeout = time.Hour

// deadTimeout bounds one run of JobDead, which looks at every dead letter of an app.
const deadTimeout = 5 * time.Minute

// timeout bounds one run, for most like TaskTimeout.
func (j JobTask) timeout() time.Duration {
	switch j.Job {
	case JobErase:
		return eraseTimeout
	case JobDead:
		return deadTimeout
	}
	return TaskTimeout
}

// maxRetry is how often a run that failed is repeated. What the next token renewal
// or reading of a quota does soon is not worth it; an erasure has no other run, and a
// purge none for a day.
func (j JobTask) maxRetry() int {
	if j.Job == JobRefreshToken || j.Job == JobReadQuota {
		return 3
	}
	return noRetryLimit
}

// EnqueueJob stores one run of a scheduled job. It reports false if another
// schedule stored it before.
func (c *Client) EnqueueJob(ctx context.Context, j JobTask) (bool, error) {
	payload, err := json.Marshal(j)
	if err != nil {
		return false, fmt.Errorf("tasks: encode job: %w", err)
	}
	_, err = c.queue.EnqueueContext(ctx, asynq.NewTask(jobTypePrefix+j.Job, payload),
		asynq.Queue(c.ns.SystemQueue()), asynq.TaskID(j.taskID()), asynq.MaxRetry(j.maxRetry()),
		asynq.Timeout(j.timeout()), asynq.Retention(jobRetention))
	switch {
	case errors.Is(err, asynq.ErrTaskIDConflict):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("tasks: enqueue job %s: %w", j.Job, err)
	}
	return true, nil
}

func (j JobTask) taskID() string {
	return j.Job + ":" + j.App + ":" + strconv.FormatInt(j.Slot, 10)
}

// DecodeJob reads a task of the system queue. The error wraps ErrForeign,
// ErrNewer (a job this version does not know) or ErrGarbage.
func DecodeJob(taskType string, payload []byte) (JobTask, error) {
	if len(taskType) <= len(jobTypePrefix) || taskType[:len(jobTypePrefix)] != jobTypePrefix {
		return JobTask{}, ErrForeign
	}
	var j JobTask
	if err := json.Unmarshal(payload, &j); err != nil {
		return JobTask{}, fmt.Errorf("%w: no job", ErrGarbage)
	}
	for _, known := range Jobs() {
		if taskType == jobTypePrefix+known && j.Job == known {
			return j, nil
		}
	}
	return JobTask{}, ErrNewer
}
