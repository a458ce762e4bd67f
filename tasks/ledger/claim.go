package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// ErrConflict says that the id belongs to another notification: same id, other
// content or other recipient.
var ErrConflict = errors.New("ledger: this id was used for other content")

// ErrNotFound says that nothing is recorded under an id, or no longer.
var ErrNotFound = errors.New("ledger: nothing is recorded under this id")

// Claim ties an id to its content and recipient before the first admission.
// Repeating it is fine; another content gets ErrConflict.
func (l *Ledger) Claim(ctx context.Context, ref Ref, hash string) error {
	key, mine := l.pointerKey(ref.App, ref.ID), hash+Tag(ref.App, ref.OpenID)
	set, err := l.rdb.SetNX(ctx, key, mine, openTTL).Result()
	if err != nil {
		return fmt.Errorf("ledger: claim: %w", err)
	}
	if set {
		return nil
	}
	have, err := l.rdb.Get(ctx, key).Result()
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
