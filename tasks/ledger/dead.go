package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// DeadLetter is what is kept of a notification that only a person can help.
type DeadLetter struct {
	App, ID    string
	Kind       tasks.Kind
	Lane       tasks.Priority
	TemplateID string
	// Errcode, Reason, Detail and Attempts are those of the record.
	Errcode  int
	Reason   errcode.Reason
	Detail   string
	Attempts int
	// CreatedAt is when it was enqueued, NotAfter when sending becomes pointless,
	// zero for never.
	CreatedAt, NotAfter time.Time
	// DiedAt is when KeepDead kept it, on Redis's clock, to the millisecond.
	DiedAt time.Time

	// recipient is the Tag of the recipient, under which its record is.
	recipient string
	taskType  string
	payload   []byte
}

// NewDeadLetter returns the letter of a notification as it lay in its queue. ref is
// that of its last attempt.
func NewDeadLetter(ref Ref, e tasks.Envelope) (DeadLetter, error) {
	if e.To.Code != "" {
		e.To.OpenID = "" // a worker filled it in; it is in the pointer
	}
	taskType, payload, err := tasks.Encode(e)
	if err != nil {
		return DeadLetter{}, err
	}
	return DeadLetter{
		App: e.App, ID: e.ID, Kind: e.Kind, Lane: e.Priority, TemplateID: e.TemplateID,
		CreatedAt: e.EnqueuedAt, NotAfter: e.NotAfter,
		recipient: Tag(ref.App, ref.OpenID), taskType: taskType, payload: payload,
	}, nil
}

// Envelope is the notification as it lay in its queue. Errors are those of
// tasks.Decode.
func (d DeadLetter) Envelope() (tasks.Envelope, error) { return tasks.Decode(d.taskType, d.payload) }

// KeepDead keeps a letter for DeadRetention and lists it. It may be repeated.
func (l *Ledger) KeepDead(ctx context.Context, d DeadLetter) error {
	text, err := d.encode()
	if err != nil {
		return err
	}
	// The letter first: a listed one without its letter is taken for one that is over.
	died, err := l.runText(ctx, keepDeadScript, []string{l.letterKey(d.App, d.ID)}, text, l.o.DeadRetention.Milliseconds())
	if err != nil {
		return fmt.Errorf("ledger: keep a dead letter: %w", err)
	}
	at, err := strconv.ParseInt(died, 10, 64)
	if err != nil {
		return fmt.Errorf("ledger: keep a dead letter: %w", err)
	}
	list := l.deadKey(d.App)
	_, err = l.rdb.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.ZAddGT(ctx, list, redis.Z{Score: float64(at), Member: d.ID})
		p.PExpire(ctx, list, l.o.DeadRetention)
		return nil
	})
	if err != nil {
		return fmt.Errorf("ledger: list a dead letter: %w", err)
	}
	if d.Kind != tasks.KindDevice {
		return nil
	}
	task, err := d.Envelope()
	if err != nil {
		return err
	}
	// It holds the openids of those too who were erased before it died and were left out.
	return l.eraseAgain(ctx, d.App, task.To.OpenIDs, d.CreatedAt)
}

// DeadLetter reads one letter. ErrNotFound if the notification is not dead, or no
// letter is kept of it any more.
func (l *Ledger) DeadLetter(ctx context.Context, app, id string) (DeadLetter, error) {
	found, err := l.inspectDead(ctx, app, []deadEntry{{id: id}})
	if err != nil {
		return DeadLetter{}, err
	}
	if found[0].fate != stillDead {
		return DeadLetter{}, ErrNotFound
	}
	return found[0].letter, nil
}

// ForgetDead deletes a letter that is dealt with. If its notification died again
// since diedAt, the new letter stays. It may be repeated.
func (l *Ledger) ForgetDead(ctx context.Context, app, id string, diedAt time.Time) error {
	return l.forget(ctx, app, []deadEntry{{id: id, died: diedAt.UnixMilli()}})
}

// CountDead counts an app's dead letters. Those that were brought back past us, as
// by the dashboard, count until SweepDead or a listing has met them.
func (l *Ledger) CountDead(ctx context.Context, app string) (int64, error) {
	n, err := l.rdb.ZCard(ctx, l.deadKey(app)).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: count dead letters: %w", err)
	}
	return n, nil
}

// ListedDead says of each id whether the app's list has it.
func (l *Ledger) ListedDead(ctx context.Context, app string, ids []string) ([]bool, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	listed := make([]bool, len(ids))
	scores, err := l.rdb.ZMScore(ctx, l.deadKey(app), ids...).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: look up dead letters: %w", err)
	}
	for i, score := range scores {
		listed[i] = score > 0 // an absent one has none
	}
	return listed, nil
}

// BuryArchived records that somebody else archived a notification's task: as dead,
// with errcode.ReasonArchived, unless an outcome stands or an attempt is alive. It
// keeps the letter of one that is dead, and reports whether it is. What lies there
// under another's id is left alone. It may be repeated.
func (l *Ledger) BuryArchived(ctx context.Context, e tasks.Envelope) (bool, error) {
	ref, err := l.claimArchived(ctx, e)
	if errors.Is(err, ErrConflict) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	tag := Tag(ref.App, ref.OpenID)
	r, err := l.run(ctx, buryScript, []string{l.recordKey(tag, recordName(ref.App, ref.ID)), l.consentKey(tag), l.formIDsKey(tag)},
		kindLetter[e.Kind], unixMilli(e.EnqueuedAt), e.TemplateID, flag(e.OnUnknown == tasks.Drop), flag(ref.OpenID == CodeRecipient(e.To.Code)),
		l.o.DedupeWindow.Milliseconds(), l.o.DeadRetention.Milliseconds())
	if err != nil {
		return false, fmt.Errorf("ledger: bury: %w", err)
	}
	status, err := r.status(0)
	if err != nil {
		return false, err
	}
	if status.Final() {
		l.keep(ctx, ref, status)
	}
	if status != tasks.Status(tasks.Dead) {
		return false, nil
	}
	letter, err := NewDeadLetter(ref, e)
	if err != nil {
		return false, err
	}
	letter.Attempts, letter.Reason, letter.Detail = int(r.number(1)), errcode.Reason(r.text(3)), r.text(4)
	letter.Errcode, _ = strconv.Atoi(r.text(2)) // an empty field is zero
	return true, l.KeepDead(ctx, letter)
}

// claimArchived claims an archived notification's id, and says whose it is.
func (l *Ledger) claimArchived(ctx context.Context, e tasks.Envelope) (Ref, error) {
	ref := Ref{App: e.App, ID: e.ID, OpenID: e.To.Key()}
	if e.To.Code == "" {
		return ref, l.Claim(ctx, ref, e.Hash)
	}
	openID, err := l.ClaimCode(ctx, e.App, e.ID, e.To.Code, e.Hash)
	ref.OpenID, ref.Exchanged = openID, true
	if openID == "" {
		ref.OpenID = CodeRecipient(e.To.Code)
	}
	return ref, err
}

// letterKey holds a dead letter: when it died, a semicolon, a JSON object.
func (l *Ledger) letterKey(app, id string) string {
	return l.letterKeyPrefix() + recordName(app, id) + "}"
}

func (l *Ledger) letterKeyPrefix() string { return l.ns.Key("d:{") }

// deadKey lists an app's dead letters: ids by when they died.
func (l *Ledger) deadKey(app string) string { return l.ns.Key("dead:" + app) }

// storedLetter is a letter's stored form.
type storedLetter struct {
	App       string          `json:"app"`
	ID        string          `json:"id"`
	Kind      tasks.Kind      `json:"kind"`
	Lane      tasks.Priority  `json:"lane"`
	Template  string          `json:"tpl"`
	Errcode   int             `json:"code,omitempty"`
	Reason    errcode.Reason  `json:"why,omitempty"`
	Detail    string          `json:"detail,omitempty"`
	Attempts  int             `json:"n,omitempty"`
	Created   int64           `json:"at"`
	NotAfter  int64           `json:"end,omitempty"`
	Recipient string          `json:"to"`
	Type      string          `json:"type"`
	Payload   json.RawMessage `json:"task"`
}

func (d DeadLetter) encode() (string, error) {
	var text strings.Builder
	enc := json.NewEncoder(&text)
	enc.SetEscapeHTML(false)
	err := enc.Encode(storedLetter{
		App: d.App, ID: d.ID, Kind: d.Kind, Lane: d.Lane, Template: d.TemplateID,
		Errcode: d.Errcode, Reason: d.Reason, Detail: cleanDetail(d.Detail), Attempts: d.Attempts,
		Created: unixMilli(d.CreatedAt), NotAfter: unixMilli(d.NotAfter),
		Recipient: d.recipient, Type: d.taskType, Payload: d.payload,
	})
	if err != nil {
		return "", fmt.Errorf("ledger: encode a dead letter: %w", err)
	}
	return text.String(), nil
}

// errLetter tells of a letter that cannot be read, and nothing of what is in it.
var errLetter = errors.New("ledger: a dead letter cannot be read")

func parseLetter(text string) (DeadLetter, error) {
	died, body, _ := strings.Cut(text, ";")
	at, err := strconv.ParseInt(died, 10, 64)
	if err != nil {
		return DeadLetter{}, errLetter
	}
	var s storedLetter
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		return DeadLetter{}, errLetter
	}
	d := DeadLetter{
		App: s.App, ID: s.ID, Kind: s.Kind, Lane: s.Lane, TemplateID: s.Template,
		Errcode: s.Errcode, Reason: s.Reason, Detail: s.Detail, Attempts: s.Attempts,
		CreatedAt: time.UnixMilli(s.Created), DiedAt: time.UnixMilli(at),
		recipient: s.Recipient, taskType: s.Type, payload: bytes.Clone(s.Payload),
	}
	if s.NotAfter != 0 {
		d.NotAfter = time.UnixMilli(s.NotAfter)
	}
	return d, nil
}
