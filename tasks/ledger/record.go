package ledger

import (
	"strconv"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// Record is what is known of a notification that a worker has met.
type Record struct {
	Kind   tasks.Kind
	Status tasks.Status
	// Attempts counts the attempts, since the last replay if there was one.
	Attempts int
	// Unknowns counts the attempts nobody knows the end of.
	Unknowns int
	// MsgID is WeChat's id of the accepted message, in decimal.
	MsgID string
	// Errcode is WeChat's answer to the last attempt that failed, 0 if there was none.
	Errcode int
	// Reason is why the last attempt failed or the notification ended, where no
	// errcode says so.
	Reason errcode.Reason
	// Detail is what WeChat's error message named, such as data.thing1.value.
	Detail    string
	CreatedAt time.Time
	UpdatedAt time.Time
	// LeaseEnd is when the attempt in flight counts as died, on Redis's clock; zero
	// if none is.
	LeaseEnd time.Time
}

var statusOf = map[string]tasks.Status{
	"S": tasks.StatusSending,
	"R": tasks.StatusRetrying,
	"A": tasks.Status(tasks.Accepted),
	"J": tasks.Status(tasks.Rejected),
	"E": tasks.Status(tasks.Expired),
	"N": tasks.Status(tasks.NoCredit),
	"C": tasks.Status(tasks.Canceled),
	"c": tasks.Status(tasks.Canceled),
	"U": tasks.Status(tasks.Unknown),
	"u": tasks.Status(tasks.Unknown),
	"D": tasks.Status(tasks.Dead),
	"V": tasks.StatusDelivered,
	"X": tasks.StatusUndelivered,
}

var letterOf = map[tasks.Outcome]string{
	tasks.Accepted: "A",
	tasks.Rejected: "J",
	tasks.Expired:  "E",
	tasks.NoCredit: "N",
	tasks.Canceled: "C",
	tasks.Unknown:  "U",
	tasks.Dead:     "D",
}

var kindLetter = map[tasks.Kind]string{
	tasks.KindSubscribe: "s", tasks.KindTemplate: "t", tasks.KindDevice: "d", tasks.KindCard: "c",
}

func kindOf(letter string) tasks.Kind {
	for k, l := range kindLetter {
		if l == letter {
			return k
		}
	}
	return ""
}

// parseRecord reads the stored form; doc.go has the order of the fields.
func parseRecord(text string) (Record, error) {
	f := strings.Split(text, ";")
	field := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	number := func(i int) int64 {
		n, _ := strconv.ParseInt(field(i), 10, 64) // an empty field is zero
		return n
	}
	status, ok := statusOf[field(0)]
	if !ok {
		return Record{}, ErrNewer
	}
	created := number(3)
	if status == tasks.StatusRetrying && number(2) == 0 && number(6) == 0 && field(12) == "" {
		status = tasks.StatusQueued // let in once and released: no attempt was made
	}
	var leaseEnd time.Time
	if lease := number(9); lease > 0 {
		leaseEnd = time.UnixMilli(lease)
	}
	return Record{
		LeaseEnd:  leaseEnd,
		Kind:      kindOf(field(1)),
		Status:    status,
		Attempts:  int(number(2)),
		Unknowns:  int(number(6)),
		MsgID:     field(5),
		Errcode:   int(number(11)),
		Reason:    errcode.Reason(field(12)),
		Detail:    field(13),
		CreatedAt: time.UnixMilli(created),
		UpdatedAt: time.UnixMilli(created + number(4)),
	}, nil
}

// Abandoned is the record of an attempt that died and whose task is gone: nobody knows
// whether the user got the message, and nobody comes back to it.
func (r Record) Abandoned() Record {
	r.Status, r.Reason, r.Errcode, r.Detail = tasks.Status(tasks.Unknown), errcode.ReasonWorkerDied, 0, ""
	return r
}

const maxDetail = 80

// cleanDetail keeps what can stand in a record and in front of people: WeChat
// names a field or an address there, in ASCII.
func cleanDetail(s string) string {
	s = strings.Map(func(r rune) rune {
		if r == ';' || r < ' ' || r > '~' {
			return -1
		}
		return r
	}, s)
	return s[:min(len(s), maxDetail)]
}
