package ledger

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/wxnotify/wxnotify/tasks"
)

// Erase deletes at once what a user allowed, stops what is enqueued for them, and
// notes that their records are to be erased, which EraseRecords does.
func (l *Ledger) Erase(ctx context.Context, app, openID string) error {
	tag := Tag(app, openID)
	at, err := l.runText(ctx, eraseScript, []string{l.consentKey(tag), l.formIDsKey(tag)})
	if err != nil {
		return fmt.Errorf("ledger: erase: %w", err)
	}
	if err := l.rdb.HSet(ctx, l.erasuresKey(), tag, at).Err(); err != nil {
		return fmt.Errorf("ledger: note the erasure: %w", err)
	}
	return nil
}

// eraseAgain notes the erasures of those of the openids once more that cover a notification
// made at that time: something of theirs was written after their records were erased.
func (l *Ledger) eraseAgain(ctx context.Context, app string, openIDs []string, made time.Time) error {
	gone, err := l.Forgotten(ctx, app, openIDs, made)
	if err != nil {
		return err
	}
	for _, openID := range gone {
		tag := Tag(app, openID)
		at, err := l.rdb.HGet(ctx, l.consentKey(tag), "x").Result()
		if err == nil { // the first note stands, if it is there still
			err = l.rdb.HSetNX(ctx, l.erasuresKey(), tag, at).Err()
		}
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("ledger: note the erasure: %w", err)
		}
	}
	return nil
}

func (l *Ledger) erasuresKey() string { return l.ns.Key("erase") }

// settledWithin is how old an erasure must be before records are erased: until
// then an attempt that was in flight may write its own.
const settledWithin = tasks.TaskTimeout + tasks.LeaseMargin

// Erasures says of recipients, by their tag, when they were erased: in milliseconds,
// on Redis's clock.
type Erasures map[string]string

// Cover reports whether a notification made at that time is to be erased.
func (e Erasures) Cover(app, openID string, made time.Time) bool {
	note, erased := e[Tag(app, openID)]
	return erased && !made.After(noted(note))
}

// CoverAny reports whether a notification made at that time names somebody who is to be
// erased, CoverAll whether it names nobody else.
func (e Erasures) CoverAny(app string, openIDs []string, made time.Time) bool {
	return slices.ContainsFunc(openIDs, func(openID string) bool { return e.Cover(app, openID, made) })
}

// CoverAll is explained with CoverAny.
func (e Erasures) CoverAll(app string, openIDs []string, made time.Time) bool {
	rest := func(openID string) bool { return !e.Cover(app, openID, made) }
	return len(openIDs) > 0 && !slices.ContainsFunc(openIDs, rest)
}

// AddAll has the record of a notification erased that goes with all its recipients: that of
// several is under none of them.
func (e Erasures) AddAll(app string, to tasks.Recipient) {
	if all := to.All(); len(all) > 1 {
		e[Tag(app, to.Key())] = e[Tag(app, all[0])]
	}
}

// Forgotten lists those of the openids that were erased after a notification was made.
func (l *Ledger) Forgotten(ctx context.Context, app string, openIDs []string, made time.Time) ([]string, error) {
	marks := make([]*redis.StringCmd, len(openIDs))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, openID := range openIDs {
			marks[i] = p.HGet(ctx, l.consentKey(Tag(app, openID)), "x")
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return nil, fmt.Errorf("ledger: look up erasures: %w", err)
	}
	var gone []string
	for i, mark := range marks {
		switch err := mark.Err(); {
		case errors.Is(err, redis.Nil): // was not erased
		case err != nil: // which a redis.Nil before it hides
			return nil, fmt.Errorf("ledger: look up erasures: %w", err)
		case !made.After(noted(mark.Val())):
			gone = append(gone, openIDs[i])
		}
	}
	return gone, nil
}

// Oldest is the time of the first of them.
func (e Erasures) Oldest() time.Time {
	var first time.Time
	for _, note := range e {
		if t := noted(note); first.IsZero() || t.Before(first) {
			first = t
		}
	}
	return first
}

// Erasures lists the recipients whose records are to be erased now.
func (l *Ledger) Erasures(ctx context.Context) (Erasures, error) {
	due, err := l.rdb.HGetAll(ctx, l.erasuresKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: list erasures: %w", err)
	}
	if len(due) == 0 {
		return nil, nil
	}
	now, err := l.clock(ctx)
	if err != nil {
		return nil, err
	}
	for tag, note := range due {
		if now.Sub(noted(note)) < settledWithin {
			delete(due, tag)
		}
	}
	return due, nil
}

// noted is when an erasure was made, on Redis's clock.
func noted(note string) time.Time {
	ms, _ := strconv.ParseInt(note, 10, 64) // written by us
	return time.UnixMilli(ms)
}

// EraseRecords deletes the records of these recipients, with their ids, receipts
// and dead letters, but for those of notifications made after the erasure. It walks all
// keys once, whatever the number of recipients.
func (l *Ledger) EraseRecords(ctx context.Context, recipients Erasures) (records int64, err error) {
	w := &walk{l: l, pattern: l.ns.Key("[rmd]:{*"), cursors: map[string]string{}}
	w.visit = func(ctx context.Context, keys []string) error {
		if err := l.eraseLetters(ctx, keys, recipients); err != nil {
			return fmt.Errorf("ledger: erase: %w", err)
		}
		for _, key := range keys {
			_, rest, _ := strings.Cut(key, "{")
			tag, _, _ := strings.Cut(rest, "}")
			note, wanted := recipients[tag]
			if !wanted {
				continue
			}
			n, err := l.eraseKey(ctx, key, tag, noted(note))
			if err != nil {
				return fmt.Errorf("ledger: erase: %w", err)
			}
			records += n
		}
		return nil
	}
	_, err = w.run(ctx, 0)
	return records, err
}

// eraseKey deletes a record and its pointer, or the key of a msgid, and counts the
// records.
func (l *Ledger) eraseKey(ctx context.Context, key, tag string, erased time.Time) (records int64, err error) {
	name, isRecord := strings.CutPrefix(key, l.recordKey(tag, ""))
	if !isRecord {
		name, err = l.rdb.Get(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return 0, err
		}
	}
	spare, err := l.createdAfter(ctx, l.recordKey(tag, name), erased)
	if spare || err != nil {
		return 0, err
	}
	if !isRecord {
		return 0, l.rdb.Del(ctx, key).Err()
	}
	if err := l.rdb.Del(ctx, l.ns.Key("p:{"+name+"}")).Err(); err != nil {
		return 0, err
	}
	return l.rdb.Del(ctx, key).Result()
}

func (l *Ledger) createdAfter(ctx context.Context, recordKey string, t time.Time) (bool, error) {
	text, err := l.rdb.Get(ctx, recordKey).Result()
	if errors.Is(err, redis.Nil) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	record, err := parseRecord(text)
	// What a newer version wrote is erased like any other.
	return err == nil && record.CreatedAt.After(t), nil
}

// Erased notes that nothing is left of these recipients. One who was erased once
// more meanwhile stays listed.
func (l *Ledger) Erased(ctx context.Context, recipients Erasures) error {
	args := make([]any, 0, 2*len(recipients))
	for tag, note := range recipients {
		args = append(args, tag, note)
	}
	if _, err := l.runText(ctx, erasedScript, []string{l.erasuresKey()}, args...); err != nil {
		return fmt.Errorf("ledger: note what was erased: %w", err)
	}
	return nil
}

// eraseLetters deletes the dead letters among keys that are these recipients'. They
// are named by the notification, so all have to be read.
func (l *Ledger) eraseLetters(ctx context.Context, keys []string, recipients Erasures) error {
	var letters []*redis.StringCmd
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for _, key := range keys {
			if strings.HasPrefix(key, l.letterKeyPrefix()) {
				letters = append(letters, p.Get(ctx, key))
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return err
	}
	for _, cmd := range letters {
		if err := cmd.Err(); err != nil && !errors.Is(err, redis.Nil) { // which a redis.Nil before it hides
			return err
		}
		d, err := parseLetter(cmd.Val())
		if err != nil || !recipients.meet(d) {
			continue // also one that was deleted meanwhile
		}
		if err := l.ForgetDead(ctx, d.App, d.ID, d.DiedAt); err != nil {
			return err
		}
	}
	return nil
}

// meet reports whether a letter is of one of these recipients, made before the erasure. Of
// several, one is enough: it keeps the openids of all.
func (e Erasures) meet(d DeadLetter) bool {
	if note, wanted := e[d.recipient]; wanted {
		return !d.CreatedAt.After(noted(note))
	}
	if d.Kind != tasks.KindDevice {
		return false
	}
	task, err := d.Envelope()
	return err == nil && e.CoverAny(d.App, task.To.OpenIDs, d.CreatedAt)
}
