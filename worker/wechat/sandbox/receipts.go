package sandbox

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"
)

// maxRepeat bounds how often one event is pushed.
const maxRepeat = 100

// The modes of Receipts.
const (
	ReceiptsDeliver = "deliver" // every message is reported as delivered
	ReceiptsFail    = "fail"    // every message is reported as failed
	ReceiptsOff     = "off"     // nothing is reported
)

// Receipts says what is pushed about the subscribe messages that an app with a Callback has sent. The zero value is
// WeChat's way: delivered, after the answer, once.
type Receipts struct {
	// Mode is ReceiptsDeliver, ReceiptsFail or ReceiptsOff. Default ReceiptsDeliver.
	Mode string `json:"mode,omitempty"`
	// ErrorCode and ErrorStatus are what the event says. Default 0 and success or, with ReceiptsFail, 1 and failed.
	ErrorCode   json.Number `json:"error_code,omitempty"`
	ErrorStatus string      `json:"error_status,omitempty"`
	// BeforeAnswer holds the answer of the send back until the event was answered, or was given the time of one push.
	BeforeAnswer bool `json:"before_answer,omitempty"`
	// Repeat is how often the event is pushed in all. Default 1.
	Repeat int `json:"repeat,omitempty"`
	// Delay is how long after the acceptance the event is pushed.
	Delay Duration `json:"delay,omitempty"`
}

func (r Receipts) validate() error {
	switch {
	case !oneOf(r.Mode, "", ReceiptsDeliver, ReceiptsFail, ReceiptsOff):
		return fmt.Errorf("mode: must be %s, %s or %s", ReceiptsDeliver, ReceiptsFail, ReceiptsOff)
	case r.ErrorCode != "" && !integer(r.ErrorCode):
		return errors.New("error_code: must be a whole number")
	case r.Repeat < 0 || r.Repeat > maxRepeat:
		return fmt.Errorf("repeat: must lie between 0 and %d", maxRepeat)
	case r.Delay < 0 || time.Duration(r.Delay) > maxDelay:
		return fmt.Errorf("delay: must lie between 0 and %s", maxDelay)
	}
	return nil
}

func integer(n json.Number) bool {
	_, err := n.Int64()
	return err == nil
}

// SetReceipts replaces what is pushed about an app's messages.
func (s *Server) SetReceipts(appID string, r Receipts) error {
	if err := r.validate(); err != nil {
		return fmt.Errorf("sandbox: %w", err)
	}
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.receipts = r
	return nil
}

// receipt is what WeChat pushes about a message it has just accepted, nil for nothing. a.mu is held.
func (a *app) receipt(m message, msgID int64, now time.Time) *delivery {
	r := a.receipts
	if a.target == nil || r.Mode == ReceiptsOff {
		return nil
	}
	code, status := cmp.Or(r.ErrorCode, "0"), cmp.Or(r.ErrorStatus, "success")
	if r.Mode == ReceiptsFail {
		code, status = cmp.Or(r.ErrorCode, "1"), cmp.Or(r.ErrorStatus, "failed")
	}
	d := &delivery{
		target: a.target, events: slices.Repeat([]event{a.sentEvent(m, msgID, code, status, now)}, max(1, r.Repeat)),
		due: time.Now().Add(time.Duration(r.Delay)), early: r.BeforeAnswer,
	}
	if d.early {
		d.done = make(chan struct{})
	}
	return d
}
