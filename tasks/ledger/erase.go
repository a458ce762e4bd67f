package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Erase deletes at once what a user allowed, stops what is enqueued for them, and
// notes that their records are to be erased, which EraseRecords does.
func (l *Ledger) Erase(ctx context.Context, app, openID string) error {
	tag := Tag(app, openID)
	if _, err := l.runText(ctx, eraseScript, []string{l.consentKey(tag), l.formIDsKey(tag)}); err != nil {
		return fmt.Errorf("ledger: erase: %w", err)
	}
	if err := l.rdb.HSet(ctx, l.erasuresKey(), tag, app+" "+strconv.FormatInt(time.Now().UnixMilli(), 10)).Err(); err != nil {
		return fmt.Errorf("ledger: note the erasure: %w", err)
	}
	return nil
}

func (l *Ledger) erasuresKey() string { return l.ns.Key("erase") }

// settledWithin is how old an erasure must be before records are erased: until
// then an attempt that was in flight may write its own.
const settledWithin = time.Minute

// Erasures lists whose records are to be erased now: the app by the recipient's tag.
func (l *Ledger) Erasures(ctx context.Context) (map[string]string, error) {
	all, err := l.rdb.HGetAll(ctx, l.erasuresKey()).Result()
	if err != nil {
		return nil, fmt.Errorf("ledger: list erasures: %w", err)
	}
	due := make(map[string]string, len(all))
	for tag, value := range all {
		app, at, _ := strings.Cut(value, " ")
		ms, _ := strconv.ParseInt(at, 10, 64)
		if time.Since(time.UnixMilli(ms)) >= settledWithin {
			due[tag] = app
		}
	}
	return due, nil
}

// EraseRecords deletes the records of these recipients, with their ids and
// receipts. It walks all keys once, whatever the number of recipients.
func (l *Ledger) EraseRecords(ctx context.Context, recipients map[string]string) (records int64, err error) {
	w := &walk{l: l, pattern: l.ns.Key("[rm]:{*"), cursors: map[string]string{}}
	w.visit = func(ctx context.Context, keys []string) error {
		n, err := l.eraseKeys(ctx, keys, recipients)
		records += n
		return err
	}
	_, err = w.run(ctx, 0)
	return records, err
}

func (l *Ledger) eraseKeys(ctx context.Context, keys []string, recipients map[string]string) (records int64, err error) {
	recordPrefix := l.ns.Key("r:{")
	for _, key := range keys {
		_, rest, _ := strings.Cut(key, "{")
		tag, name, _ := strings.Cut(rest, "}:")
		if recipients[tag] == "" {
			continue
		}
		if strings.HasPrefix(key, recordPrefix) {
			if err := l.rdb.Del(ctx, l.ns.Key("p:{"+name+"}")).Err(); err != nil {
				return records, fmt.Errorf("ledger: erase: %w", err)
			}
			records++
		}
		if err := l.rdb.Del(ctx, key).Err(); err != nil {
			return records, fmt.Errorf("ledger: erase: %w", err)
		}
	}
	return records, nil
}

// Erased notes that nothing is left of these recipients.
func (l *Ledger) Erased(ctx context.Context, recipients map[string]string) error {
	tags := make([]string, 0, len(recipients))
	for tag := range recipients {
		tags = append(tags, tag)
	}
	if len(tags) == 0 {
		return nil
	}
	if err := l.rdb.HDel(ctx, l.erasuresKey(), tags...).Err(); err != nil {
		return fmt.Errorf("ledger: note what was erased: %w", err)
	}
	return nil
}
