package ledger

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// DeadFilter chooses dead letters. Its zero value chooses all of an app.
type DeadFilter struct {
	// TemplateID chooses one template's.
	TemplateID string
	// Reason chooses those that died for this errcode.Reason, or with this errcode,
	// in decimal.
	Reason string
	// OlderThan chooses those that died at least so long ago, on Redis's clock.
	OlderThan time.Duration
	// Until chooses those that died no later. Zero: all.
	Until time.Time
}

// Covers reports whether a letter has the template and the reason. Its age is not
// looked at.
func (f DeadFilter) Covers(d DeadLetter) bool {
	return (f.TemplateID == "" || f.TemplateID == d.TemplateID) &&
		(f.Reason == "" || f.Reason == string(d.Reason) || f.Reason == strconv.Itoa(d.Errcode))
}

// ErrCursor says that a cursor is none that DeadLetters returned.
var ErrCursor = errors.New("ledger: no cursor of a list of dead letters")

// Bounds of a listing: how many letters are read at once, and how many one call
// looks at for the sake of a filter that few match.
const (
	deadChunk = 500
	deadScan  = 10_000
)

// DeadLetters lists an app's dead letters, those that died first at the front, at
// most n of them. It goes on after cursor, "" being the beginning, and returns the
// cursor of what follows, "" at the end. A page may hold fewer than n, even none,
// and others follow all the same. Nothing that stays dead is left out or listed
// twice, whatever is added or deleted between two pages. What proves not to be dead
// any more is taken out of the list.
func (l *Ledger) DeadLetters(ctx context.Context, app string, f DeadFilter, cursor string, n int) (page []DeadLetter, next string, err error) {
	from, err := parseCursor(cursor)
	if err != nil {
		return nil, "", err
	}
	until, err := l.deadUntil(ctx, f)
	if err != nil {
		return nil, "", err
	}
	for seen := 0; seen < deadScan; {
		entries, err := l.deadAfter(ctx, app, from, until)
		if err != nil || len(entries) == 0 {
			return page, "", err
		}
		found, err := l.inspectDead(ctx, app, entries)
		if err != nil {
			return nil, "", err
		}
		for _, d := range found {
			from = d.deadEntry
			if d.fate == stillDead && f.Covers(d.letter) {
				page = append(page, d.letter)
			}
			if len(page) == n {
				return page, from.cursor(), nil
			}
		}
		seen += len(entries)
	}
	return page, from.cursor(), nil
}

// SweepDead takes out of an app's list what is no dead letter any more, and counts
// those whose time was over.
func (l *Ledger) SweepDead(ctx context.Context, app string) (expired int64, err error) {
	before, err := l.deadUntil(ctx, DeadFilter{OlderThan: l.o.DeadRetention})
	if err != nil {
		return 0, err
	}
	expired, err = l.rdb.ZRemRangeByScore(ctx, l.deadKey(app), "-inf", before).Result()
	if err != nil {
		return 0, fmt.Errorf("ledger: sweep dead letters: %w", err)
	}
	for from := (deadEntry{}); ; {
		step := time.Now()
		entries, err := l.deadAfter(ctx, app, from, "+inf")
		if err != nil || len(entries) == 0 {
			return expired, err
		}
		if _, err := l.inspectDead(ctx, app, entries); err != nil {
			return expired, err
		}
		from = entries[len(entries)-1]
		if err := rest(ctx, time.Since(step)); err != nil {
			return expired, err
		}
	}
}

// NewestDead is when the last of an app's dead letters died: the Until of a run that
// must not meet again what dies anew meanwhile. Zero if there is none.
func (l *Ledger) NewestDead(ctx context.Context, app string) (time.Time, error) {
	last, err := l.rdb.ZRevRangeWithScores(ctx, l.deadKey(app), 0, 0).Result()
	if err != nil {
		return time.Time{}, fmt.Errorf("ledger: list dead letters: %w", err)
	}
	if len(last) == 0 {
		return time.Time{}, nil
	}
	return time.UnixMilli(int64(last[0].Score)), nil
}

// deadUntil is the highest score of letters of the filter's age.
func (l *Ledger) deadUntil(ctx context.Context, f DeadFilter) (string, error) {
	until := f.Until
	if f.OlderThan > 0 {
		now, err := l.clock(ctx)
		if err != nil {
			return "", err
		}
		if old := now.Add(-f.OlderThan); until.IsZero() || old.Before(until) {
			until = old
		}
	}
	if until.IsZero() {
		return "+inf", nil
	}
	return strconv.FormatInt(until.UnixMilli(), 10), nil
}

// deadEntry is a place in the list: by time, and by id within a millisecond.
type deadEntry struct {
	id   string
	died int64
}

func (e deadEntry) cursor() string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.FormatInt(e.died, 10) + ";" + e.id))
}

func parseCursor(cursor string) (deadEntry, error) {
	if cursor == "" {
		return deadEntry{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err != nil {
		return deadEntry{}, ErrCursor
	}
	died, id, ok := strings.Cut(string(text), ";")
	at, err := strconv.ParseInt(died, 10, 64)
	if !ok || err != nil || at < 0 {
		return deadEntry{}, ErrCursor
	}
	return deadEntry{id: id, died: at}, nil
}

func (e deadEntry) after(other deadEntry) bool {
	return e.died > other.died || e.died == other.died && e.id > other.id
}

// deadAfter reads the entries after a place, which may have been deleted. None
// means that the end is reached.
func (l *Ledger) deadAfter(ctx context.Context, app string, place deadEntry, until string) ([]deadEntry, error) {
	for offset := int64(0); ; offset += deadChunk {
		list, err := l.rdb.ZRangeByScoreWithScores(ctx, l.deadKey(app), &redis.ZRangeBy{
			Min: strconv.FormatInt(place.died, 10), Max: until, Offset: offset, Count: deadChunk,
		}).Result()
		if err != nil {
			return nil, fmt.Errorf("ledger: list dead letters: %w", err)
		}
		var entries []deadEntry
		for _, z := range list {
			id, _ := z.Member.(string) // go-redis always gives one
			if e := (deadEntry{id: id, died: int64(z.Score)}); e.after(place) {
				entries = append(entries, e)
			}
		}
		if len(entries) > 0 || len(list) < deadChunk {
			return entries, nil
		}
	}
}

// fate is what became of what the list calls a dead letter.
type fate int

const (
	gone      fate = iota // its letter expired or was erased, or it is dead no more
	stillDead             // and may be replayed
	unclear               // written by a newer version: left alone
)

// inspected is an entry with its letter, if there is one.
type inspected struct {
	deadEntry
	letter DeadLetter
	fate   fate
}

// inspectDead reads letters and, since those can be overtaken by anything that
// brings a task back, their records. What is gone is deleted.
func (l *Ledger) inspectDead(ctx context.Context, app string, entries []deadEntry) ([]inspected, error) {
	found := make([]inspected, len(entries))
	for i, e := range entries {
		found[i].deadEntry = e
	}
	err := l.readEach(ctx, found, func(d inspected) string { return l.letterKey(app, d.id) }, func(d *inspected, text string, there bool) {
		if !there {
			return
		}
		letter, err := parseLetter(text)
		if d.letter, d.fate = letter, stillDead; err != nil {
			d.fate = unclear
		}
	})
	if err != nil {
		return nil, err
	}
	record := func(d inspected) string { return l.recordKey(d.letter.recipient, recordName(app, d.id)) }
	err = l.readEach(ctx, found, record, func(d *inspected, text string, there bool) {
		if d.fate == stillDead {
			d.fate = fateOf(text, there)
		}
	})
	if err != nil {
		return nil, err
	}
	return found, l.forgetGone(ctx, app, found)
}

// fateOf reads what a record says. One that is missing was kept as long as the
// letter, so its notification went on since, and may have been sent.
func fateOf(record string, there bool) fate {
	state, _, _ := strings.Cut(record, ";")
	_, known := statusOf[state]
	switch {
	case state == "D":
		return stillDead
	case there && !known:
		return unclear
	}
	return gone
}

// readEach reads one key for each, in one round trip.
func (l *Ledger) readEach(ctx context.Context, list []inspected, key func(inspected) string, use func(d *inspected, text string, there bool)) error {
	cmds := make([]*redis.StringCmd, len(list))
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range list {
			cmds[i] = p.Get(ctx, key(list[i]))
		}
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return fmt.Errorf("ledger: read dead letters: %w", err)
	}
	for i, cmd := range cmds {
		text, err := cmd.Result()
		if err != nil && !errors.Is(err, redis.Nil) {
			return fmt.Errorf("ledger: read dead letters: %w", err)
		}
		use(&list[i], text, err == nil)
	}
	return nil
}

// forgetGone deletes what is no dead letter any more.
func (l *Ledger) forgetGone(ctx context.Context, app string, found []inspected) error {
	var over []deadEntry
	for _, d := range found {
		switch {
		case d.fate != gone:
		case d.letter.ID != "":
			over = append(over, deadEntry{id: d.id, died: d.letter.DiedAt.UnixMilli()})
		default:
			over = append(over, d.deadEntry)
		}
	}
	return l.forget(ctx, app, over)
}

// forget deletes letters, unless they are newer than these entries, in two round
// trips. The letters first: a list without them corrects itself.
func (l *Ledger) forget(ctx context.Context, app string, over []deadEntry) error {
	if len(over) == 0 {
		return nil
	}
	list := l.deadKey(app)
	err := l.evalEach(ctx, dropLetterScript, over, func(e deadEntry) (string, []any) {
		return l.letterKey(app, e.id), []any{e.died}
	})
	if err == nil {
		err = l.evalEach(ctx, unlistScript, over, func(e deadEntry) (string, []any) { return list, []any{e.id, e.died} })
	}
	if err != nil {
		return fmt.Errorf("ledger: forget dead letters: %w", err)
	}
	return nil
}

// evalEach runs a script of one key for each entry.
func (l *Ledger) evalEach(ctx context.Context, s *redis.Script, entries []deadEntry, call func(deadEntry) (key string, args []any)) error {
	for again := false; ; again = true {
		_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for _, e := range entries {
				key, args := call(e)
				p.EvalSha(ctx, s.Hash(), []string{key}, args...)
			}
			return nil
		})
		if again || !redis.HasErrorPrefix(err, "NOSCRIPT") {
			return err
		}
		if err := s.Load(ctx, l.rdb).Err(); err != nil {
			return err
		}
	}
}
