package producer_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

func Example() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	receipt, err := client.Send(context.Background(), producer.Notification{
		App:        "wxba5fad812f8e6fb9",
		ID:         "order-20261121-1",
		To:         producer.Recipient{OpenID: "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"},
		TemplateID: "TEMPLATE_ID",
		Page:       new("pages/order/index?id=1"),
		Data:       map[string]string{"thing1": "咖啡豆 500g", "time2": "2026年11月21日 15:01"},
		NotAfter:   time.Now().Add(24 * time.Hour),
	})
	switch {
	case errors.Is(err, producer.ErrUnavailable), errors.Is(err, producer.ErrBusy):
		log.Print("try again later with the same id")
	case err != nil:
		log.Fatal(err)
	default:
		fmt.Println(receipt.ID, receipt.Status)
	}
}

func ExampleClient_SendMany() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	var list []producer.Notification
	for _, openID := range []string{"oA", "oB"} {
		list = append(list, producer.Notification{
			App: "wxba5fad812f8e6fb9", ID: "fee-2026-11-" + openID, To: producer.Recipient{OpenID: openID},
			TemplateID: "TEMPLATE_ID", Data: map[string]string{"thing1": "物业费"}, Priority: tasks.Bulk,
		})
	}
	for i, result := range client.SendMany(context.Background(), list) {
		var refused *producer.ValidationError
		if errors.As(result.Err, &refused) {
			fmt.Println(list[i].ID, refused.Fields)
		}
	}
}

func ExampleClient_Status() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	state, err := client.Status(context.Background(), "wxba5fad812f8e6fb9", "order-20261121-1")
	if errors.Is(err, producer.ErrNotFound) {
		return
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(state.Status, state.MsgID, state.Reason, state.Remedy)
}

func ExampleClient_GrantSubscription() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	granted, err := client.GrantSubscription(context.Background(), producer.Subscription{
		App: "wxba5fad812f8e6fb9", OpenID: "o9AgO5Kd5ggOC-bXrbNODIiE3bGY",
		ReportID: "0190163d-8694-739b-aea5-966c26f8ad90", // made by the front end
		Results:  map[string]string{"TEMPLATE_ID": "accept"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(granted.Counted, granted.Accepted, granted.Note)
}

// An Example with output runs without Redis: what is wrong is said before.
func ExampleClient_Send_invalid() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	_, err = client.Send(context.Background(), producer.Notification{App: "wxba5fad812f8e6fb9", TemplateID: "T", Data: map[string]string{"thing1": "x"}})
	fmt.Println(err)
	// Output: tasks: notification refused: to.openid: required: the user's openid in this app, at most 128 letters, digits, '_' or '-'
}

// A message about a device goes to several users in one call to WeChat.
func ExampleClient_Send_device() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	receipt, err := client.Send(context.Background(), producer.Notification{
		App: "wxba5fad812f8e6fb9", Kind: tasks.KindDevice, ID: "washer-SN-0001-done-7",
		To: producer.Recipient{OpenIDs: []string{"oA", "oB"}},
		SN: "SN-0001", ModelID: "MODEL_ID",
		TemplateID: "TEMPLATE_ID", Data: map[string]string{"enum_string1": "1"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.ID, receipt.Status)
}

// A service card is activated for a payment; its updates are notifications of their own,
// without Check.
func ExampleClient_Send_card() {
	client, err := producer.New("redis://localhost:6379/0")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = client.Close() }()

	receipt, err := client.Send(context.Background(), producer.Notification{
		App: "wxba5fad812f8e6fb9", Kind: tasks.KindCard, ID: "ticket-4711-paid",
		To:         producer.Recipient{OpenID: "o9AgO5Kd5ggOC-bXrbNODIiE3bGY"},
		NotifyType: tasks.CardTrain, NotifyCode: "4200000000202611210000000001",
		Content: json.RawMessage(`{"cur_status":1,"wxa_path_query":"pages/ticket/index?id=4711"}`),
		Check:   json.RawMessage(`{"pay_amount":12800,"pay_time":1795294800,"pay_channel":0}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(receipt.ID, receipt.Status)
}
