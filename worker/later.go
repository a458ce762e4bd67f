package worker

import (
	"errors"
	"fmt"
	"time"

	"github.com/hibiken/asynq"
)

// later asks asynq to bring a task back. Its text is what the dashboard shows as
// the task's error, so it names a cause and no content.
type later struct {
	after   time.Duration
	failure bool
	why     string
}

func (l *later) Error() string { return l.why }

// bury asks asynq to archive a task.
func bury(why string) error { return fmt.Errorf("%s: %w", why, asynq.SkipRetry) }

// retryDelay is asynq's question how long a task waits. What is no *later did not
// come from our handler: the worker died, or the run outlived its time; then the
// record's lease decides, and the task only has to come back.
func retryDelay(err error) time.Duration {
	if l := (*later)(nil); errors.As(err, &l) {
		return l.after
	}
	return 5 * time.Second
}

// onRedisClock makes delays those of Redis's clock. asynq adds them to this process's:
// if that is a day ahead, what waits would wait a day.
func onRedisClock(ahead func() time.Duration) asynq.RetryDelayFunc {
	return func(_ int, err error, _ *asynq.Task) time.Duration { return retryDelay(err) - ahead() }
}

// isFailure is asynq's question whether a task failed, for its statistics.
func isFailure(err error) bool {
	l := (*later)(nil)
	return errors.Is(err, asynq.SkipRetry) || errors.As(err, &l) && l.failure
}
