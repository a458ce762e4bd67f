package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// ErrConflict says that the id belongs to another notification: same id, other
// content or other recipient.
var ErrConflict = errors.New("ledger: this id was used for other content")

// ErrNotFound says that nothing is recorded under an id, or no longer.
var ErrNotFound = errors.New("ledger: nothing is recorded under this id")

// attemptRoom is what a pointer outlives the dedupe window by: an attempt claims
// its id again, and none comes later than this after the one before it but after
// a pause, when the claim is simply made anew.
const attemptRoom = time.Hour

// Claim ties an id to its content and recipient before an admission. Repeating it
// is fine and keeps it; another content gets ErrConflict. It lasts from the last
// attempt on for the dedupe window and an hour, so that an outcome needs no
// second write for it.
func (l *Ledger) Claim(ctx context.Context, ref Ref, hash string) error {
	ttl := l.o.DedupeWindow + attemptRoom
	key, mine := l.pointerKey(ref.App, ref.ID), hash+Tag(ref.App, ref.OpenID)
	set := redis.NewStatusCmd(ctx, "set", key, mine, "px", ttl.Milliseconds(), "nx")
	switch err := l.do(ctx, set); {
	case err == nil:
		return nil
	case !errors.Is(err, redis.Nil): // nil: it was there
		return fmt.Errorf("ledger: claim: %w", err)
	}
	have, err := l.rdb.GetEx(ctx, key, ttl).Result()
	if errors.Is(err, redis.Nil) { // it expired in between
		return l.Claim(ctx, ref, hash)
	}
	if err != nil {
		return fmt.Errorf("ledger: claim: %w", err)
	}
	if have != mine {
		return ErrConflict
	}
	return nil
}

// pointer reads what Claim wrote. ErrNotFound if there is none.
func (l *Ledger) pointer(ctx context.Context, app, id string) (hash, tag string, err error) {
	value, err := l.rdb.Get(ctx, l.pointerKey(app, id)).Result()
	if errors.Is(err, redis.Nil) {
		return "", "", ErrNotFound
	}
	if err != nil {
		return "", "", fmt.Errorf("ledger: look up id: %w", err)
	}
	if len(value) < 2*digestLen {
		return "", "", fmt.Errorf("ledger: the pointer of an id cannot be read")
	}
	return value[:digestLen], value[digestLen : 2*digestLen], nil
}
