package gateway

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func rated(perSecond float64) func(*Config) {
	return func(c *Config) { c.KeyRate = perSecond }
}

func TestKeyRate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, rated(5))
		for i := range 5 { // the burst
			b.do("POST", "/v1/notifications", notification("id", fmt.Sprint("a-", i))).want(202)
		}
		r := b.do("POST", "/v1/notifications", notification("id", "b")).want(429)
		if got := r.Header().Get("Retry-After"); got != "1" || b.sender.calls != 5 {
			t.Errorf("Retry-After %q, %d calls", got, b.sender.calls)
		}
		b.do("GET", "/v1/notifications/a-0", "").want(429)
		b.do("GET", "/v1/notifications/a-0", "", "Authorization: Bearer SECRET-key-of-the-crm").want(200)
		b.do("GET", "/v1/openapi.json", "").want(200)
		time.Sleep(200 * time.Millisecond)
		b.do("GET", "/v1/notifications/a-0", "").want(200)
		b.do("GET", "/v1/notifications/a-0", "").want(429)
		time.Sleep(time.Hour) // no more than a second's worth is saved up
		for range 5 {
			b.do("GET", "/v1/notifications/a-0", "").want(200)
		}
		b.do("GET", "/v1/notifications/a-0", "").want(429)
	})
}

// A batch larger than a second's worth is let in, and is worked off before the next.
func TestBatchCountsAsItsNotifications(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, rated(5))
		var items []string
		for i := range 25 {
			items = append(items, notification("id", fmt.Sprint("i-", i)))
		}
		b.do("POST", "/v1/notifications:batch", batch(items...)).want(200)
		r := b.do("POST", "/v1/notifications:batch", batch(items...)).want(429)
		wait, err := strconv.Atoi(r.Header().Get("Retry-After"))
		if err != nil || wait != 5 { // 20 are owed, and one has to be there
			t.Errorf("Retry-After %q", r.Header().Get("Retry-After"))
		}
		time.Sleep(time.Duration(wait-1) * time.Second)
		b.do("POST", "/v1/notifications", notification()).want(429)
		time.Sleep(time.Second)
		b.do("POST", "/v1/notifications", notification()).want(202)
	})
}

func TestSlowKeysWaitForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, rated(0.1))
		b.do("POST", "/v1/notifications", notification()).want(202)
		r := b.do("POST", "/v1/notifications", notification()).want(429)
		if got := r.Header().Get("Retry-After"); got != "10" {
			t.Errorf("Retry-After %q", got)
		}
		time.Sleep(10 * time.Second)
		b.do("POST", "/v1/notifications", notification()).want(202)
	})
}

// Who knocks without a valid key, or without end, gets few lines in the log, and all
// others theirs.
func TestRefusalsDoNotFillTheLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := setup(t, rated(1000))
		for range 20 {
			r := b.do("GET", "/v1/notifications/a", "", "Authorization: Bearer wrong").want(401)
			if r.Header().Get("Connection") != "close" {
				t.Fatal("a refused connection stays open")
			}
		}
		b.do("GET", "/v1/notifications/a", "").want(200)
		time.Sleep(time.Second)
		b.do("GET", "/v1/notifications/a", "", "Authorization: ").want(401)
		lines := strings.Count(b.log.String(), `"status":401`)
		if lines != refusalsPerSecond+1 || !strings.Contains(b.log.String(), fmt.Sprintf(`"left_out":%d`, 20-refusalsPerSecond)) {
			t.Errorf("%d lines: %s", lines, b.log.String())
		}
		if !strings.Contains(b.log.String(), `"status":200`) {
			t.Error("the others are not logged")
		}
	})
}
