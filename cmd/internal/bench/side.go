package main

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/hibiken/asynq"
	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// side is one of the two that are compared.
type side struct {
	queue string
	// open connects to Redis to enqueue.
	open func() (sender, error)
	// start starts the process that sends.
	start func(ctx context.Context, redisAddr string) (*lab.Process, error)
}

// sender enqueues.
type sender interface {
	send(ctx context.Context, m message) error
	sendAll(ctx context.Context, list []message) error
	close()
}

// message is what differs from one notification to the next.
type message struct{ id, openID string }

// messages makes n messages to different recipients. Another prefix makes other
// names; the recipients stay, so that the sandbox knows them all from the second
// run on.
func messages(prefix string, n int) []message {
	list := make([]message, n)
	for i := range list {
		list[i] = message{id: fmt.Sprintf("%s%07d", prefix, i), openID: openID(i)}
	}
	return list
}

// openID is the i-th user's, as long as a real one.
func openID(i int) string { return fmt.Sprintf("oBench0%021d", i) }

// What all messages have in common.
const (
	templateID = "BENCH_TEMPLATE_0000000000000000000000000000"
	page       = "pages/order/index?id=1"
)

func (m message) data() map[string]string {
	return map[string]string{idKey: m.id, "thing2": "咖啡豆 500g", "time3": "2026年11月21日 15:01"}
}

// pipeline is wxnotify: the producer on one end, a worker on the other.
func (l *testbed) pipeline(lane tasks.Priority) side { return l.pipelineOf(benchApp, lane) }

func (l *testbed) pipelineOf(app string, lane tasks.Priority) side {
	return side{
		queue: tasks.Namespace("").Queue(app, lane),
		open: func() (sender, error) {
			client, err := producer.New("redis://"+l.redis.addr+"/0", producer.WithPoolSize(concurrency))
			return pipelineSender{client, app, lane}, err
		},
		start: l.startWorker,
	}
}

type pipelineSender struct {
	client *producer.Client
	app    string
	lane   tasks.Priority
}

func (p pipelineSender) notification(m message) producer.Notification {
	return producer.Notification{
		App: p.app, To: producer.Recipient{OpenID: m.openID}, TemplateID: templateID,
		Page: new(page), Data: m.data(), Priority: p.lane,
	}
}

func (p pipelineSender) send(ctx context.Context, m message) error {
	_, err := p.client.Send(ctx, p.notification(m))
	return err
}

func (p pipelineSender) sendAll(ctx context.Context, list []message) error {
	all := make([]producer.Notification, len(list))
	for i, m := range list {
		all[i] = p.notification(m)
	}
	for _, result := range p.client.SendMany(ctx, all) {
		if result.Err != nil {
			return result.Err
		}
	}
	return nil
}

func (p pipelineSender) close() { _ = p.client.Close() } // every send has been answered

// bare is asynq alone.
func (l *testbed) bare() side {
	return side{
		queue: bareQueue,
		open:  func() (sender, error) { return bareEnqueuer{asynq.NewClient(bareRedis(l.redis.addr))}, nil },
		start: l.startBare,
	}
}

type bareEnqueuer struct{ client *asynq.Client }

func (b bareEnqueuer) send(ctx context.Context, m message) error {
	body, err := m.body()
	if err != nil {
		return err
	}
	_, err = b.client.EnqueueContext(ctx, asynq.NewTask(bareTask, body), asynq.Queue(bareQueue))
	return err
}

func (b bareEnqueuer) sendAll(ctx context.Context, list []message) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(concurrency)
	for _, m := range list {
		group.Go(func() error { return b.send(ctx, m) })
	}
	return group.Wait()
}

func (b bareEnqueuer) close() { _ = b.client.Close() } // every task has been stored

// body is the JSON that the worker sends for the same message; a test compares.
func (m message) body() ([]byte, error) {
	type value struct {
		Value string `json:"value"`
	}
	data := make(map[string]value)
	for k, v := range m.data() {
		data[k] = value{v}
	}
	return json.Marshal(struct {
		ToUser           string           `json:"touser"`
		TemplateID       string           `json:"template_id"`
		Page             string           `json:"page"`
		MiniprogramState string           `json:"miniprogram_state"`
		Lang             string           `json:"lang"`
		Data             map[string]value `json:"data"`
	}{m.openID, templateID, page, "formal", "zh_CN", data})
}
