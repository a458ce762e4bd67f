package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// Known is what the ledger holds under an id.
type Known struct {
	// Hash is the content hash the id was claimed with.
	Hash string
	// Record is nil when the id was claimed and no attempt recorded.
	Record *Record
}

// Lookup reads what is recorded under an id. ErrNotFound if nothing is; a
// notification whose turn has not come is in its queue alone.
func (l *Ledger) Lookup(ctx context.Context, app, id string) (Known, error) {
	hash, tag, err := l.pointer(ctx, app, id)
	if err != nil {
		return Known{}, err
	}
	text, err := l.rdb.Get(ctx, l.recordKey(tag, recordName(app, id))).Result()
	if errors.Is(err, redis.Nil) {
		return Known{Hash: hash}, nil
	}
	if err != nil {
		return Known{}, fmt.Errorf("ledger: read record: %w", err)
	}
	record, err := parseRecord(text)
	if err != nil {
		return Known{}, err
	}
	return Known{Hash: hash, Record: &record}, nil
}

// Cancel withdraws a notification whose recipient is known from its task. It
// reports whether it is canceled now, and otherwise the status that stands in
// the way. One that may have reached the user ends as unknown, not as canceled.
func (l *Ledger) Cancel(ctx context.Context, ref Ref, hash string, kind tasks.Kind, created time.Time) (bool, tasks.Status, error) {
	if err := l.Claim(ctx, ref, hash); err != nil {
		return false, "", err
	}
	return l.cancel(ctx, ref, Tag(ref.App, ref.OpenID), kind, created)
}

// CancelKnown is Cancel for an id that was claimed before. ErrNotFound if it was not.
func (l *Ledger) CancelKnown(ctx context.Context, app, id string, kind tasks.Kind, created time.Time) (bool, tasks.Status, error) {
	_, tag, err := l.pointer(ctx, app, id)
	if err != nil {
		return false, "", err
	}
	return l.cancel(ctx, Ref{App: app, ID: id}, tag, kind, created)
}

func (l *Ledger) cancel(ctx context.Context, ref Ref, tag string, kind tasks.Kind, created time.Time) (bool, tasks.Status, error) {
	r, err := l.run(ctx, cancelScript, []string{l.recordKey(tag, recordName(ref.App, ref.ID))},
		kindLetter[kind], unixMilli(created), openTTL.Milliseconds())
	if err != nil {
		return false, "", fmt.Errorf("ledger: cancel: %w", err)
	}
	if letter := r.text(1); letter == "c" || letter == "u" {
		// Until its task is met the record stays, and with it the id must. It was
		// canceled even if this fails.
		_ = l.rdb.PExpire(ctx, l.pointerKey(ref.App, ref.ID), openTTL).Err()
	}
	status, err := r.status(1)
	return r.number(0) == 1, status, err
}
