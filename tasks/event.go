package tasks

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hibiken/asynq"
	"github.com/redis/go-redis/v9"
)

// EventName is WeChat's name of a push.
type EventName string

// The pushes that workers act on; see "订阅消息" in the WeChat documentation.
const (
	// EventPopup: the user answered wx.requestSubscribeMessage.
	EventPopup EventName = "subscribe_msg_popup_event"
	// EventChange: the user refused a template in the card's or the settings' menu.
	EventChange EventName = "subscribe_msg_change_event"
	// EventSent: what became of a message that WeChat had accepted.
	EventSent EventName = "subscribe_msg_sent_event"
	// EventCard: a service card that WeChat had accepted could not be sent; see
	// "新版一次性订阅消息" there.
	EventCard EventName = "notify_service_msg_send_result"
)

// EventNames lists the pushes that workers act on.
func EventNames() []EventName { return []EventName{EventPopup, EventChange, EventSent, EventCard} }

// Event is one push of WeChat's about one user.
type Event struct {
	// App is the AppID whose callback got it.
	App string
	// OpenID is the user it is about.
	OpenID string
	Name   EventName
	// At is its CreateTime, by WeChat's clock, in whole seconds.
	At time.Time
	// Source names this very push: a repeated one has the same, another one has
	// another. A digest in base64url.
	Source string
	Items  []EventItem
}

// EventItem is what a push says about one template or message.
type EventItem struct {
	TemplateID string `json:"t,omitempty"`
	// Status is accept or reject; with popup and change.
	Status string `json:"s,omitempty"`
	// MsgID is the message's id in decimal, ErrorCode and ErrorStatus what became
	// of it: 0 and success, or why it was not delivered; with sent. With card they are
	// fail_ret and fail_msg.
	MsgID       string `json:"m,omitempty"`
	ErrorCode   int    `json:"c,omitempty"`
	ErrorStatus string `json:"e,omitempty"`
	// NotifyType, NotifyCode and CardState name the card and the state it was set to; with
	// card.
	NotifyType NotifyType `json:"k,omitempty"`
	NotifyCode string     `json:"n,omitempty"`
	CardState  int64      `json:"st,omitempty"`
}

const eventTypePrefix = "wxnotify-event:"

// eventWire is the stored form.
type eventWire struct {
	V      int         `json:"v"`
	App    string      `json:"app"`
	OpenID string      `json:"to"`
	At     int64       `json:"at"`
	Source string      `json:"src"`
	Items  []EventItem `json:"items"`
}

// EnqueueEvent stores a push for the workers. One that is queued already is not
// stored again, and that is no error: WeChat pushes until it is answered. It
// returns when ctx ends, also on a client of Batching; the push may be stored then.
func (c *Client) EnqueueEvent(ctx context.Context, e Event) error {
	payload, err := json.Marshal(eventWire{
		V: 1, App: e.App, OpenID: e.OpenID, At: e.At.Unix(), Source: e.Source, Items: e.Items,
	})
	if err != nil {
		return fmt.Errorf("tasks: encode event: %w", err)
	}
	_, err = within(ctx, func() (*asynq.TaskInfo, error) {
		return c.queue.EnqueueContext(ctx, asynq.NewTask(eventTypePrefix+string(e.Name), payload),
			asynq.Queue(c.ns.EventsQueue(e.App)), asynq.TaskID(e.App+":event:"+e.Source),
			asynq.MaxRetry(noRetryLimit), asynq.Timeout(TaskTimeout))
	})
	if err != nil && !errors.Is(err, asynq.ErrTaskIDConflict) {
		return fmt.Errorf("tasks: enqueue event: %w", err)
	}
	return nil
}

// EventsLag is how long the oldest push about an app's users has waited for a
// worker, by this process's clock; 0 if none waits. asynq's Inspector would count
// memory as well, and fail before the first push. While workers take one after the
// other so fast that none can be looked at, it fails, too.
func (c *Client) EventsLag(ctx context.Context, app string) (time.Duration, error) {
	for range lagTries {
		lag, taken, err := c.eventsLag(ctx, c.ns.EventsQueue(app))
		if err != nil {
			return 0, fmt.Errorf("tasks: look up events: %w", err)
		}
		if !taken {
			return lag, nil
		}
	}
	return 0, errors.New("tasks: look up events: they are taken too fast")
}

// lagTries is how often an event is looked for that no worker takes meanwhile.
const lagTries = 10

// eventsLag looks once. taken: the oldest event was taken between the two questions,
// which says nothing about the next.
func (c *Client) eventsLag(ctx context.Context, queue string) (lag time.Duration, taken bool, err error) {
	id, err := c.rdb.LIndex(ctx, pendingKey(queue), -1).Result()
	if errors.Is(err, redis.Nil) {
		return 0, false, nil
	}
	if err != nil {
		return 0, false, err
	}
	since, err := c.rdb.HGet(ctx, taskKey(queue, id), "pending_since").Int64()
	if errors.Is(err, redis.Nil) {
		return 0, true, nil
	}
	return time.Since(time.Unix(0, since)), false, err
}

// EventsActive lists the pushes about an app's users that workers have in hand or take up
// again soon, by the ids of their tasks: those that a worker died with, or could not record,
// wait apart for some seconds.
func (c *Client) EventsActive(ctx context.Context, app string) ([]string, error) {
	queue := c.ns.EventsQueue(app)
	soon := redis.ZRangeBy{Min: "-inf", Max: strconv.FormatInt(c.now().Add(againSoon).Unix(), 10), Count: againMost}
	var active, again *redis.StringSliceCmd
	_, err := c.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		active = p.LRange(ctx, activeKey(queue), 0, -1)
		again = p.ZRangeByScore(ctx, retryKey(queue), &soon)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tasks: look up events: %w", err)
	}
	return append(active.Val(), again.Val()...), nil
}

const (
	// againSoon is more than any push waits after a Redis that was away or a worker that died,
	// and less than one waits that nobody can read.
	againSoon = 10 * time.Second
	// againMost bounds how many of them are read: one is enough to know.
	againMost = 1000
)

// DecodeEvent reads a task of an events queue. The error wraps ErrForeign,
// ErrNewer or ErrGarbage.
func DecodeEvent(taskType string, payload []byte) (Event, error) {
	name, ours := strings.CutPrefix(taskType, eventTypePrefix)
	if !ours {
		return Event{}, ErrForeign
	}
	var w eventWire
	if err := json.Unmarshal(payload, &w); err != nil {
		return Event{}, unreadable(payload)
	}
	if w.V > Version || !slices.Contains(EventNames(), EventName(name)) {
		return Event{}, ErrNewer
	}
	if w.V < 1 || !ValidApp(w.App) || !ValidOpenID(w.OpenID) || w.Source == "" || w.At <= 0 {
		return Event{}, fmt.Errorf("%w: app, openid, source or time is missing", ErrGarbage)
	}
	return Event{
		App: w.App, OpenID: w.OpenID, Name: EventName(name), At: time.Unix(w.At, 0), Source: w.Source, Items: w.Items,
	}, nil
}
