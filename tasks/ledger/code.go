package ledger

import (
	"context"
	"errors"
	"fmt"

	"github.com/redis/go-redis/v9"
)

// ClaimCode is Claim for a notification whose recipient is named by a login code.
// It returns the openid once Exchanged has recorded it, and "" before. The claim
// lasts until the outcome, since the code cannot be exchanged a second time.
func (l *Ledger) ClaimCode(ctx context.Context, app, id, code, hash string) (openID string, err error) {
	key := l.pointerKey(app, id)
	mine := hash + Tag(app, CodeRecipient(code))
	set := redis.NewStatusCmd(ctx, "set", key, mine, "px", openTTL.Milliseconds(), "nx")
	switch err := l.do(ctx, set); {
	case err == nil:
		return "", nil
	case !errors.Is(err, redis.Nil): // nil: it was there
		return "", fmt.Errorf("ledger: claim: %w", err)
	}
	have, err := l.rdb.GetEx(ctx, key, openTTL).Result()
	if errors.Is(err, redis.Nil) { // it expired in between
		return l.ClaimCode(ctx, app, id, code, hash)
	}
	if err != nil {
		return "", fmt.Errorf("ledger: claim: %w", err)
	}
	if len(have) < 2*digestLen || have[:digestLen] != hash {
		return "", ErrConflict
	}
	return have[2*digestLen:], nil
}

// Recipient is the openid that a notification's login code was exchanged for, ""
// before the exchange or when nothing is known under the id.
func (l *Ledger) Recipient(ctx context.Context, app, id string) (string, error) {
	value, err := l.rdb.Get(ctx, l.pointerKey(app, id)).Result()
	if err != nil && !errors.Is(err, redis.Nil) {
		return "", fmt.Errorf("ledger: look up recipient: %w", err)
	}
	if len(value) < 2*digestLen {
		return "", nil
	}
	return value[2*digestLen:], nil
}

// ForgetRecipient deletes what Recipient tells, and the claim of the id with it. It may be
// repeated.
func (l *Ledger) ForgetRecipient(ctx context.Context, app, id string) error {
	if err := l.rdb.Del(ctx, l.pointerKey(app, id)).Err(); err != nil {
		return fmt.Errorf("ledger: forget the openid of a login code: %w", err)
	}
	return nil
}

// Exchanged records the openid a login code stands for, and ends the attempt that
// exchanged it. It may be repeated.
func (l *Ledger) Exchanged(ctx context.Context, app, id, code, hash, openID string) error {
	key, value := l.pointerKey(app, id), hash+Tag(app, openID)+openID
	if err := l.rdb.Set(ctx, key, value, openTTL).Err(); err != nil {
		return fmt.Errorf("ledger: remember the openid of a login code: %w", err)
	}
	tag := Tag(app, CodeRecipient(code))
	// The pointer leads elsewhere now; what is left behind would only take room.
	_ = l.rdb.Del(ctx, l.recordKey(tag, recordName(app, id)), l.turnKey(tag)).Err()
	return nil
}
