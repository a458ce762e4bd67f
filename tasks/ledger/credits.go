package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// Credits is what one user allows an app to send.
type Credits struct {
	Subscriptions []Subscription
	// FormIDs are those that can be used, the one that expires first at the front.
	FormIDs []StoredFormID
}

// Subscription is what a user allows for one template.
type Subscription struct {
	TemplateID string
	// Credits is how many messages are left. For a long-term template more than
	// none means any number.
	Credits int
	// RefusedAt is when the user last refused, zero if never.
	RefusedAt time.Time
	ChangedAt time.Time
}

// StoredFormID is a form id that can be used.
type StoredFormID struct {
	FormID    string
	Uses      int
	ExpiresAt time.Time
}

// Credits reads what a user allows. What a message in flight holds is not in it.
func (l *Ledger) Credits(ctx context.Context, app, openID string) (Credits, error) {
	tag := Tag(app, openID)
	var consent *redis.MapStringStringCmd
	var forms *redis.ZSliceCmd
	_, err := l.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		consent = p.HGetAll(ctx, l.consentKey(tag))
		forms = p.ZRangeWithScores(ctx, l.formIDsKey(tag), 0, -1)
		return nil
	})
	if err != nil && !errors.Is(err, redis.Nil) {
		return Credits{}, fmt.Errorf("ledger: read credits: %w", err)
	}
	now := time.Now()
	var c Credits
	for field, value := range consent.Val() {
		if template, ok := strings.CutPrefix(field, "s"); ok {
			c.Subscriptions = append(c.Subscriptions, parseSubscription(template, value))
		}
	}
	slices.SortFunc(c.Subscriptions, func(a, b Subscription) int { return cmp.Compare(a.TemplateID, b.TemplateID) })
	for _, z := range forms.Val() {
		if f, ok := parseFormID(z); ok && f.ExpiresAt.After(now) {
			c.FormIDs = append(c.FormIDs, f)
		}
	}
	return c, nil
}

// parseSubscription reads "granted;changed;refused;at*count,at,…".
func parseSubscription(template, text string) Subscription {
	f := append(strings.Split(text, ";"), "", "", "")
	s := Subscription{TemplateID: template, ChangedAt: unixSeconds(f[1]), RefusedAt: unixSeconds(f[2])}
	for run := range strings.SplitSeq(f[3], ",") {
		_, count, many := strings.Cut(run, "*")
		n, _ := strconv.Atoi(count) // written by us; unreadable counts as none
		switch {
		case many:
			s.Credits += n
		case run != "":
			s.Credits++
		}
	}
	return s
}

func parseFormID(z redis.Z) (StoredFormID, bool) {
	member, _ := z.Member.(string)
	uses, id, ok := strings.Cut(member, ";")
	n, err := strconv.Atoi(uses)
	return StoredFormID{FormID: id, Uses: n, ExpiresAt: time.UnixMilli(int64(z.Score))}, ok && err == nil
}

func unixSeconds(text string) time.Time {
	s, err := strconv.ParseInt(text, 10, 64)
	if err != nil || s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0)
}
