package main

import (
	"context"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// formIDs are the figures of stored form ids.
type formIDs struct {
	// bytes of Redis each takes.
	bytes float64
	// live is how many were to outlive the purge of the expired ones.
	live int
	// took is how long the purge went on, with its rests.
	took time.Duration
	// slowest is the command that held Redis longest meanwhile.
	slowest slowCommand
}

// formIDLife is how long after it is stored a form id expires: as soon as can be
// without one that has expired when Redis gets it.
const formIDLife = 3 * time.Second

// What the texts of form ids begin with.
const (
	expiring = "old0"
	lasting  = "new0"
)

// measureFormIDs weighs a form id for each user, lets all of them expire, gives
// one user in a hundred another, and purges.
func measureFormIDs(ctx context.Context, l *testbed, r *results) (err error) {
	f := &r.formIDs
	f.bytes, err = l.weigh(ctx, r.users, func(ctx context.Context, books *ledger.Ledger, i int) error {
		return grantFormID(ctx, books, i, expiring, formIDLife)
	})
	if err != nil {
		return err
	}
	f.live = max(r.users/100, 1)
	err = l.eachUser(ctx, f.live, func(ctx context.Context, books *ledger.Ledger, i int) error {
		return grantFormID(ctx, books, i, lasting, ledger.FormIDLife)
	})
	if err != nil {
		return err
	}
	if err := lab.Sleep(ctx, formIDLife); err != nil {
		return err
	}
	if err := l.purge(ctx, r.users, f); err != nil {
		return err
	}
	return l.checkLive(ctx, f.live)
}

// purge deletes the expired ones, as a worker does but in one go.
func (l *testbed) purge(ctx context.Context, expired int, f *formIDs) error {
	rdb, err := tasks.ConnectRedis("redis://"+l.redis.addr+"/0", tasks.RedisOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }() // every command has been answered
	if err := l.redis.watchSlow(ctx); err != nil {
		return err
	}
	start := time.Now()
	purged, finished, err := ledger.New(rdb, "", ledger.Options{}).Purge(ctx, start.Unix(), 0)
	if err != nil {
		return err
	}
	f.took = time.Since(start)
	if !finished || purged.FormIDs != int64(expired) {
		return fmt.Errorf("the purge deleted %d of %d expired form ids: a measurement of that says nothing", purged.FormIDs, expired)
	}
	f.slowest, err = l.redis.slowest(ctx)
	return err
}

// checkLive says whether the purge left what has not expired.
func (l *testbed) checkLive(ctx context.Context, n int) error {
	return l.eachUser(ctx, n, func(ctx context.Context, books *ledger.Ledger, i int) error {
		c, err := books.Credits(ctx, benchApp, openID(i))
		if err != nil {
			return err
		}
		if len(c.FormIDs) != 1 || c.FormIDs[0].FormID != formID(i, lasting) {
			return fmt.Errorf("the purge deleted form id %d, which is valid: a measurement of that says nothing", i)
		}
		return nil
	})
}
