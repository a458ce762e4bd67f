package worker

import (
	"context"
	"log/slog"

	"github.com/hibiken/asynq"

	"github.com/wxnotify/wxnotify/metrics"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// events takes up what WeChat pushes about one app's users: consents and receipts.
// The ledger knows a push that comes twice.
type events struct {
	app    string
	policy tasks.ConsentPolicy
	ledger *ledger.Ledger
	types  func(ctx context.Context, app, template string) tasks.TemplateType
	// missing hears of an accepted template that the catalogue does not know: a standing
	// subscription taken for one message would be used up by the first send.
	missing func()
	metrics *metrics.Metrics
	tally   *tally
	log     *slog.Logger
}

// ProcessTask implements asynq.Handler.
func (h *events) ProcessTask(ctx context.Context, t *asynq.Task) (err error) {
	defer func() {
		if x := recover(); x != nil {
			logPanic(h.log, x)
			err = &later{after: setAsideFor, failure: true, why: "the handler panicked; the worker's log has the stack"}
		}
	}()
	e, err := tasks.DecodeEvent(t.Type(), t.Payload())
	if err == nil && e.App != h.app {
		err = tasks.ErrForeign
	}
	if err != nil {
		return setAside(h.metrics, h.log, err, "app", h.app, "lane", "events")
	}
	if e.Name == tasks.EventSent || e.Name == tasks.EventCard {
		err = h.receive(ctx, e)
	} else {
		err = h.grant(ctx, e)
	}
	if err != nil {
		return redisAway(err)
	}
	return nil
}

// grant records what the user answered. A refusal counts whatever the source of
// consents is; nothing is granted by two.
func (h *events) grant(ctx context.Context, e tasks.Event) error {
	a := ledger.Answers{App: e.App, OpenID: e.OpenID, Source: "event:" + e.Source, At: e.At}
	for template, accepted := range answersOf(e) {
		if h.policy.Mode == tasks.CreditsOff || accepted && !h.grants(e.Name) {
			h.metrics.Grant(h.app, metrics.GrantFromEvent, metrics.GrantIgnored)
			continue
		}
		answer := ledger.Answer{TemplateID: template, Accepted: accepted, Type: h.types(ctx, e.App, template)}
		if accepted && answer.Type == tasks.TypeUnknown {
			h.missing()
		}
		a.Answers = append(a.Answers, answer)
	}
	if len(a.Answers) == 0 {
		return nil
	}
	g, err := h.ledger.Grant(ctx, a)
	if err != nil {
		return err
	}
	h.count(metrics.GrantGranted, g.Accepted)
	h.count(metrics.GrantRefused, g.Refused)
	if g.Repeated {
		h.count(metrics.GrantRepeated, len(a.Answers))
	} else {
		h.count(metrics.GrantIgnored, len(a.Answers)-g.Accepted-g.Refused) // older than a refusal
	}
	return nil
}

// answersOf is what the user said about each template: one dialog asks for each once,
// so however often a push names one, it is one answer, and a refusal if any is.
func answersOf(e tasks.Event) map[string]bool {
	answers := make(map[string]bool, len(e.Items))
	for _, item := range e.Items {
		before, named := answers[item.TemplateID]
		answers[item.TemplateID] = item.Status == "accept" && (before || !named)
	}
	return answers
}

// grants says whether an acceptance in a push of this name adds a credit. In the
// menus of EventChange users can only refuse.
func (h *events) grants(name tasks.EventName) bool {
	return h.policy.Source == tasks.ConsentEvent && name == tasks.EventPopup
}

func (h *events) count(result string, n int) {
	for range n {
		h.metrics.Grant(h.app, metrics.GrantFromEvent, result)
	}
}

// receiptName is what a receipt is joined by.
func receiptName(item tasks.EventItem) string {
	if item.NotifyCode != "" {
		return ledger.CardReceipt(item.NotifyType, item.NotifyCode, item.CardState)
	}
	return item.MsgID
}

// receive joins what WeChat says about deliveries with the notifications.
func (h *events) receive(ctx context.Context, e tasks.Event) error {
	for _, item := range e.Items {
		delivered := item.ErrorCode == 0
		joined, err := h.ledger.Receive(ctx, ledger.Receipt{
			App: e.App, OpenID: e.OpenID, MsgID: receiptName(item), Delivered: delivered,
			ErrorCode: item.ErrorCode, ErrorStatus: item.ErrorStatus,
		})
		if err != nil {
			return err
		}
		switch {
		case joined == ledger.ReceiptRepeated:
			h.metrics.Receipt(h.app, metrics.ReceiptRepeated)
		case delivered:
			h.metrics.Receipt(h.app, metrics.ReceiptDelivered)
			h.tallyReceipt(item, tasks.StatusDelivered)
		default:
			h.metrics.Receipt(h.app, metrics.ReceiptUndelivered)
			h.tallyReceipt(item, tasks.StatusUndelivered)
			h.log.Info("message not delivered", "app", h.app, "msgid", item.MsgID, "errcode", item.ErrorCode)
		}
	}
	return nil
}

// tallyReceipt counts one, of a subscription message or a card.
func (h *events) tallyReceipt(item tasks.EventItem, s tasks.Status) {
	f := tasks.StatsField{Kind: tasks.KindSubscribe, TemplateID: item.TemplateID, Outcome: string(s)}
	if item.NotifyCode != "" {
		card := tasks.Notification{Kind: tasks.KindCard, NotifyType: item.NotifyType}
		f.Kind, f.TemplateID = card.Kind, card.PauseName()
	}
	h.tally.count(h.app, f)
}
