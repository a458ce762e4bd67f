package ledger

import (
	"context"
	"fmt"
	"strconv"
	"time"
)

// Receipt is WeChat's word about the delivery of a message it had accepted.
type Receipt struct {
	App, OpenID string
	// MsgID is the message's, or CardReceipt of a card.
	MsgID     string
	Delivered bool
	// ErrorCode and ErrorStatus say why it was not delivered.
	ErrorCode   int
	ErrorStatus string
}

// Joined says what became of a receipt.
type Joined string

const (
	// ReceiptJoined: its notification is delivered or undelivered from now on.
	ReceiptJoined Joined = "joined"
	// ReceiptEarly: it waits for the settlement of its send.
	ReceiptEarly Joined = "early"
	// ReceiptRepeated: one was there already.
	ReceiptRepeated Joined = "repeated"
	// ReceiptGone: the record of its notification is forgotten.
	ReceiptGone Joined = "gone"
)

// earlyFor is how long a receipt waits for its send's settlement. A message that
// another program sent never gets one.
const earlyFor = time.Hour

// Receive joins a receipt with its notification by the msgid, whichever comes
// first, the receipt or the send's own settlement.
func (l *Ledger) Receive(ctx context.Context, r Receipt) (Joined, error) {
	tag := Tag(r.App, r.OpenID)
	state, code := "V", ""
	if !r.Delivered {
		state, code = "X", strconv.Itoa(r.ErrorCode)
	}
	keys, name := []string{l.msgIDKey(tag, r.MsgID)}, ""
	for range 3 { // at most once more: the name under a msgid does not change
		answer, err := l.run(ctx, receiptScript, keys,
			state, code, cleanDetail(r.ErrorStatus), min(l.o.DedupeWindow, earlyFor).Milliseconds(), name)
		if err != nil {
			return "", fmt.Errorf("ledger: receipt: %w", err)
		}
		if joined := Joined(answer.text(0)); joined != "named" {
			return joined, nil
		}
		name = answer.text(1)
		keys = []string{keys[0], l.recordKey(tag, name)}
	}
	return "", fmt.Errorf("ledger: receipt: the record of its msgid keeps changing")
}
