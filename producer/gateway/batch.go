package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// batchResult is what became of one notification of a batch: a receipt, a dry run's
// answer or an error.
type batchResult struct {
	*receipt
	dry   *producer.DryRun
	Error *problem `json:"error,omitempty"`
}

// MarshalJSON writes the one there is: a receipt and a dry run have names in common.
func (r batchResult) MarshalJSON() ([]byte, error) {
	switch {
	case r.dry != nil:
		return json.Marshal(r.dry)
	case r.receipt != nil:
		return json.Marshal(r.receipt)
	}
	return json.Marshal(map[string]*problem{"error": r.Error})
}

type batchBody struct {
	Results []batchResult `json:"results"`
}

// createBatch is POST /v1/notifications:batch.
func (g *gateway) createBatch(x *exchange) reply {
	body, p := x.readPost(maxBatch)
	if p != nil {
		return p.reply()
	}
	items, p := batchItems(body)
	if p != nil {
		return p.reply()
	}
	x.items = len(items)
	if x.allowance != nil {
		x.allowance.charge(len(items) - 1)
	}
	results, p := g.sendAll(x, items)
	if p != nil {
		return p.reply()
	}
	if p := allUnavailable(results); p != nil {
		return p.reply()
	}
	return answer(http.StatusOK, batchBody{results})
}

// batchFields are the fields of a batch.
var batchFields = map[string]bool{"notifications": true}

// batchItems returns the notifications of a batch, unread.
func batchItems(body []byte) ([]json.RawMessage, *problem) {
	var d draft[struct{}]
	var list json.RawMessage
	for name, value := range members(body) {
		switch {
		case !batchFields[name]:
			d.add(shown("", name), "unknown field"+suggestion(name, batchFields))
		case list != nil:
			d.add(name, "appears twice: say it once")
		default:
			list = value
		}
	}
	if p := d.problem(); p != nil {
		return nil, p
	}
	return itemsOf(list)
}

func itemsOf(list json.RawMessage) ([]json.RawMessage, *problem) {
	var items []json.RawMessage
	if list != nil && list[0] == '[' {
		for item := range elements(list) {
			if len(items) == maxItems {
				return nil, tooLarge()
			}
			items = append(items, item)
		}
	}
	if len(items) == 0 {
		return nil, invalid(tasks.FieldError{
			Field: "notifications", Detail: fmt.Sprintf("required: an array of 1 to %d notifications", maxItems),
		})
	}
	return items, nil
}

// selection is some notifications of a batch, and their places in it.
type selection struct {
	list  []producer.Notification
	place []int
}

func (s *selection) add(n producer.Notification, place int) {
	s.list, s.place = append(s.list, n), append(s.place, place)
}

// sendAll reads all items, sends those that are valid, looks at those that ask for a
// dry run, and returns one result per item, in order.
func (g *gateway) sendAll(x *exchange, items []json.RawMessage) ([]batchResult, *problem) {
	results := make([]batchResult, len(items))
	var valid, trials selection
	for i, item := range items {
		n, dry, p := g.notification(item)
		switch {
		case p != nil:
			results[i].Error = p
			if !dry {
				g.count(n, receipt{}, p)
			}
		case dry:
			trials.add(n, i)
		default:
			n.RequestID = x.requestID
			valid.add(n, i)
		}
	}
	ctx, cancel := x.within(batchTimeout)
	defer cancel()
	sent, tried := g.sender.SendMany(ctx, valid.list), g.dryRunMany(ctx, trials.list)
	if len(sent) != len(valid.list) || len(tried) != len(trials.list) {
		return nil, internalError()
	}
	for i, r := range sent {
		results[valid.place[i]] = g.batchResult(x, valid.list[i], r)
	}
	for i, r := range tried {
		results[trials.place[i]] = g.dryResult(x, trials.list[i], r)
	}
	return results, nil
}

func (g *gateway) batchResult(x *exchange, n producer.Notification, r producer.Result) batchResult {
	if r.Err != nil {
		p := g.failed(x, n.App, n.ID, r.Err)
		g.count(n, receipt{}, p)
		return batchResult{Error: p}
	}
	stored := newReceipt(r.Receipt)
	g.count(n, stored, nil)
	return batchResult{receipt: &stored}
}

// allUnavailable returns why Redis took none of a batch, nil if it took any. Then
// nothing else is to be told, and a generic client understands a 503 better. Of
// several reasons it is the one that leaves most open.
func allUnavailable(results []batchResult) *problem {
	reason := results[0].Error
	for _, r := range results {
		if r.Error == nil || r.Error.Status != http.StatusServiceUnavailable {
			return nil
		}
		if !r.Error.busy() {
			reason = r.Error
		}
	}
	return reason
}
