package worker

import "sync"

// crew runs handlers on goroutines that stay. asynq starts a new one for every
// task, whose small stack would grow, and be copied, several times on its way
// through a delivery.
type crew struct {
	jobs chan job
	end  chan struct{}
	done sync.WaitGroup
}

type job struct {
	run    func() error
	result chan<- error
}

func newCrew() *crew {
	return &crew{jobs: make(chan job), end: make(chan struct{})}
}

// do runs f on an idle member of the crew, or on a new one, and returns its error.
func (c *crew) do(f func() error) error {
	result := make(chan error, 1)
	j := job{f, result}
	select {
	case c.jobs <- j:
	default:
		c.done.Go(func() { c.member(j) })
	}
	return <-result
}

// member does its first job and then those that come, until dismiss.
func (c *crew) member(j job) {
	for {
		j.result <- j.run()
		select {
		case j = <-c.jobs:
		case <-c.end:
			return
		}
	}
}

// dismiss ends the crew once its members are idle. No job may follow.
func (c *crew) dismiss() {
	close(c.end)
	c.done.Wait()
}
