package gateway

import (
	"fmt"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

// A Redis that refuses the gateway's user is no outage: every route names the right,
// and so does the log.
func TestForbiddenNamesTheRight(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.sender.err = fmt.Errorf("%w: %w", producer.ErrForbidden, &tasks.ForbiddenError{Command: "evalsha"})
	for path, body := range map[string]string{
		"/v1/notifications":       notification("id", "n-1"),
		"/v1/notifications:batch": batch(notification("id", "a"), notification("id", "b")),
		"/v1/form-ids":            formID(),
		"/v1/subscriptions":       subscription(),
	} {
		r := b.do("POST", path, body).want(503)
		r.wantField("type", "urn:wxnotify:problem:redis-refuses")
		r.wantField("title", "Redis Refuses")
		for _, want := range []string{"the command evalsha is forbidden", "deploy/redis/users.acl", "ACL LOG", "repeat it unchanged"} {
			if !strings.Contains(r.Body.String(), want) {
				t.Errorf("%s: no %q in %s", path, want, r.Body)
			}
		}
		if wait := r.Header().Get("Retry-After"); wait != "10" {
			t.Errorf("%s: Retry-After %q", path, wait)
		}
	}
	b.do("GET", "/v1/notifications/n-1", "").want(503).wantField("title", "Redis Refuses")
	if text := b.log.String(); !strings.Contains(text, `"level":"ERROR"`) || !strings.Contains(text, "evalsha") {
		t.Errorf("log: %s", text)
	}
}
