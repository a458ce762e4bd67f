package producer

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/catalogue"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// Receipt says that a notification is stored.
type Receipt struct {
	// ID is its id, made here if the caller gave none.
	ID string
	// App is its AppID.
	App string
	// Status is queued or scheduled, or where the earlier one with this id stands.
	Status tasks.Status
	// Duplicate says that this id was enqueued before and nothing was stored now.
	Duplicate bool
	// Truncated lists the keys of data whose values were shortened, see
	// Notification.Truncate.
	Truncated []string
}

// Send stores a notification for the workers to send. It answers within 2 s.
// Errors: *ValidationError, ErrUnknownApp, ErrConflict, ErrBusy, ErrUnavailable, or
// ctx's. An id that is known is answered also while there is no room for more.
func (c *Client) Send(ctx context.Context, n Notification) (Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	given := n.ID != ""
	n, truncated := shortened(n)
	e, err := c.tasks.Seal(n)
	if err != nil {
		return Receipt{}, err
	}
	r, err := c.store(ctx, e, given)
	r.Truncated = truncated
	return r, err
}

// store enqueues what is new and may be sent. An id that is known is answered before
// its template is looked at: what was taken once is not refused later.
func (c *Client) store(ctx context.Context, e tasks.Envelope, given bool) (Receipt, error) {
	if err := c.serves(ctx, e.App); err != nil {
		return Receipt{}, err
	}
	if given {
		earlier, found, err := c.earlier(ctx, e)
		if err != nil || found {
			return earlier, err
		}
	}
	if wrong, _ := c.catalogue.Judge(ctx, &e.Notification, true); len(wrong) > 0 {
		return Receipt{}, refusal(wrong).err()
	}
	return c.enqueue(ctx, e, given)
}

// shortened is a notification with its values cut as it wants them, and which were.
func shortened(n Notification) (Notification, []string) {
	if !catalogue.Shortens(n) {
		return n, nil
	}
	var cut []string
	n.Data, cut = catalogue.Truncate(n.Data)
	return n, cut
}

// serves refuses an app that no worker serves, unless there is no worker yet.
func (c *Client) serves(ctx context.Context, app string) error {
	known, err := c.served.Knows(ctx, app)
	if err != nil {
		return unavailable(ctx, err)
	}
	if !known {
		return ErrUnknownApp
	}
	return nil
}

// earlier looks for an earlier notification with the same id: its outcome, or
// its task in any lane, since asynq refuses a duplicate only within one queue.
func (c *Client) earlier(ctx context.Context, e tasks.Envelope) (Receipt, bool, error) {
	known, err := c.ledger.Lookup(ctx, e.App, e.ID)
	switch {
	case err == nil && known.Hash != e.Hash:
		return Receipt{}, false, ErrConflict
	case err == nil && known.Record != nil && known.Record.Status.Final():
		return duplicate(e, known.Record.Status), true, nil
	case err != nil && !errors.Is(err, ledger.ErrNotFound):
		return Receipt{}, false, unavailable(ctx, err)
	}
	queued, err := c.tasks.Queued(ctx, e.App, e.ID)
	if err != nil {
		return Receipt{}, false, unavailable(ctx, err)
	}
	if !queued {
		return Receipt{}, false, nil
	}
	return c.queuedEarlier(ctx, e)
}

// queuedEarlier compares with the task that holds the id. Found is false if that
// task has ended in the meantime.
func (c *Client) queuedEarlier(ctx context.Context, e tasks.Envelope) (Receipt, bool, error) {
	task, err := c.tasks.Find(ctx, e.App, e.ID)
	switch {
	case errors.Is(err, tasks.ErrNoTask):
		return Receipt{}, false, nil
	case errors.Is(err, tasks.ErrNewer), errors.Is(err, tasks.ErrGarbage), errors.Is(err, tasks.ErrForeign):
		return Receipt{}, false, ErrConflict
	case err != nil:
		return Receipt{}, false, unavailable(ctx, err)
	case task.Envelope.Hash != e.Hash:
		return Receipt{}, false, ErrConflict
	}
	state, err := c.Status(ctx, e.App, e.ID)
	if errors.Is(err, ErrNotFound) {
		return Receipt{}, false, nil
	}
	if err != nil {
		return Receipt{}, false, err
	}
	return duplicate(e, state.Status), true, nil
}

func (c *Client) enqueue(ctx context.Context, e tasks.Envelope, given bool) (Receipt, error) {
	err := c.room.ForNotification(ctx, e, func() error { return c.tasks.Enqueue(ctx, e) })
	switch {
	case err == nil && given:
		return c.overtaken(ctx, e)
	case err == nil:
		return stored(e), nil
	case errors.Is(err, tasks.ErrDuplicate) && !given:
		// The id is ours alone: the command was repeated because its reply was lost.
		return stored(e), nil
	case errors.Is(err, tasks.ErrDuplicate):
		earlier, found, err := c.queuedEarlier(ctx, e)
		if err == nil && !found { // it ended between the two looks
			return c.ended(ctx, e)
		}
		return earlier, err
	default:
		return Receipt{}, unavailable(ctx, err)
	}
}

// overtaken looks once more after storing: an earlier one with this id may have
// been queued at the first look and have ended before the task was stored. Then
// the worker will drop this task, and the caller hears of the earlier one.
func (c *Client) overtaken(ctx context.Context, e tasks.Envelope) (Receipt, error) {
	known, err := c.ledger.Lookup(ctx, e.App, e.ID)
	if err == nil && known.Hash != e.Hash {
		return Receipt{}, ErrConflict
	}
	if r := known.Record; err == nil && r != nil && r.Status.Final() && r.CreatedAt.Before(e.EnqueuedAt.Truncate(time.Millisecond)) {
		return duplicate(e, r.Status), nil
	}
	return stored(e), nil // nothing is there, or nobody can tell: the task is stored in any case
}

func (c *Client) ended(ctx context.Context, e tasks.Envelope) (Receipt, error) {
	state, err := c.Status(ctx, e.App, e.ID)
	if err != nil {
		return Receipt{}, err
	}
	return duplicate(e, state.Status), nil
}

func stored(e tasks.Envelope) Receipt {
	status := tasks.StatusQueued
	if !e.SendAt.IsZero() {
		status = tasks.StatusScheduled
	}
	return Receipt{ID: e.ID, App: e.App, Status: status}
}

func duplicate(e tasks.Envelope, status tasks.Status) Receipt {
	return Receipt{ID: e.ID, App: e.App, Status: status, Duplicate: true}
}

// Result is one item's part of SendMany: a receipt, or why there is none.
type Result struct {
	Receipt
	Err error
}

// parallelSends is how many items of a SendMany are under way at once.
const parallelSends = 32

// SendMany sends each notification on its own and returns as many results, in
// order. Once Redis proves to be away, or to refuse this service's user, the items not
// yet tried fail with ErrUnavailable or ErrForbidden at once.
func (c *Client) SendMany(ctx context.Context, list []Notification) []Result {
	results := make([]Result, len(list))
	inParallel(len(list), func(i int) error {
		results[i].Receipt, results[i].Err = c.Send(ctx, list[i])
		return results[i].Err
	}, func(i int, err error) { results[i].Err = err })
	return results
}

// inParallel calls do for 0 to n-1, and skip for the rest once Redis proves to be away,
// with the error that proved it.
func inParallel(n int, do func(i int) error, skip func(i int, err error)) {
	var next atomic.Int64
	var away atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(parallelSends, n) {
		wg.Go(func() {
			for i := int(next.Add(1) - 1); i < n; i = int(next.Add(1) - 1) {
				if err := away.Load(); err != nil {
					skip(i, *err)
				} else if err := do(i); errors.Is(err, ErrUnavailable) {
					away.Store(&err)
				}
			}
		})
	}
	wg.Wait()
}

// State is where a notification stands.
type State struct {
	ID     string       `json:"id"`
	App    string       `json:"app"`
	Kind   tasks.Kind   `json:"kind"`
	Status tasks.Status `json:"status"`
	// MsgID is WeChat's id of the accepted message, in decimal; empty before. It
	// exceeds 2^53, so it is a string in JSON too.
	MsgID string `json:"msgid"`
	// Errcode is WeChat's last errcode, 0 if there was none. With undelivered it is
	// the ErrorCode of WeChat's push.
	Errcode int `json:"errcode"`
	// Reason says in a few words why it failed or waits, Remedy what to do. Both
	// are empty when all is well; ReasonZH and RemedyZH are the same in Chinese.
	Reason   string `json:"reason"`
	Remedy   string `json:"remedy"`
	ReasonZH string `json:"-"`
	RemedyZH string `json:"-"`
	// Attempts counts the attempts so far.
	Attempts int `json:"attempts"`
	// CreatedAt and UpdatedAt are in UTC.
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}
