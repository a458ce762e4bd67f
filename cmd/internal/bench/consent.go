package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// asking is how many users are dealt with at once, whose commands travel together.
const asking = 256

// eachUser calls do for the first n users, with a ledger as workers have it.
func (l *testbed) eachUser(ctx context.Context, n int, do func(ctx context.Context, books *ledger.Ledger, i int) error) error {
	rdb, err := tasks.ConnectRedis("redis://"+l.redis.addr+"/0", tasks.RedisOptions{})
	if err != nil {
		return err
	}
	defer func() { _ = rdb.Close() }() // every command has been answered
	books := ledger.New(rdb, "", ledger.Options{Batch: true})
	var next atomic.Int64
	group, ctx := errgroup.WithContext(ctx)
	for range min(asking, n) {
		group.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := do(ctx, books, i); err != nil {
					return err
				}
			}
		})
	}
	return group.Wait()
}

// weigh returns the bytes of Redis that put takes for each of n users, in a Redis
// that holds nothing else.
func (l *testbed) weigh(ctx context.Context, n int, put func(ctx context.Context, books *ledger.Ledger, i int) error) (float64, error) {
	if err := l.redis.flush(ctx); err != nil {
		return 0, err
	}
	empty, err := l.redis.memory(ctx)
	if err != nil {
		return 0, err
	}
	if err := l.eachUser(ctx, n, put); err != nil {
		return 0, err
	}
	full, err := l.redis.memory(ctx)
	return float64(full-empty) / float64(n), err
}

// measureCredits weighs one one-time credit for each user, and the memory of the
// push that it came with.
func measureCredits(ctx context.Context, l *testbed, r *results) (err error) {
	r.creditBytes, err = l.weigh(ctx, r.users, grantCredit)
	return err
}

// grantCredit gives the i-th user the right to one message of the template.
func grantCredit(ctx context.Context, books *ledger.Ledger, i int) error {
	granted, err := books.Grant(ctx, ledger.Answers{
		App: benchApp, OpenID: openID(i), Source: fmt.Sprintf("event:%016d", i), At: time.Now(),
		Answers: []ledger.Answer{{TemplateID: templateID, Accepted: true, Type: tasks.OneTime}},
	})
	if err == nil && granted.Accepted != 1 {
		err = fmt.Errorf("credit %d was not granted", i)
	}
	return err
}

// grantFormID gives the i-th user a form id, which is as long as a real one.
func grantFormID(ctx context.Context, books *ledger.Ledger, i int, sort string, life time.Duration) error {
	result, err := books.GrantFormID(ctx, ledger.FormID{
		App: benchApp, OpenID: openID(i), FormID: formID(i, sort), Uses: 1, ExpiresAt: time.Now().Add(life),
	})
	if err == nil && result != ledger.FormIDGranted {
		err = fmt.Errorf("form id %d: %s", i, result)
	}
	return err
}

func formID(i int, sort string) string { return fmt.Sprintf("%s%028x", sort, i) }
