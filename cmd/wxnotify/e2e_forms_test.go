package main_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// wantOperable fails unless the commands and the dashboard work on w's Redis.
func (w *world) wantOperable() {
	w.t.Helper()
	command(w.t, w.env, "check").want(w.t, 0, "noeviction", "token of "+testApp, "2 running")
	command(w.t, w.env, "token", "refresh").want(w.t, 0, "fresh")
	command(w.t, w.env, "status", "hello").want(w.t, 0, "delivered")
	p := start(w.t, "dashboard", w.env, "dashboard")
	url := "http://" + p.line(`msg="dashboard listens" addr=(\S+)`)
	pages := []string{"/", "/api/queues", "/api/servers", "/api/queue_stats", "/api/redis_info"}
	for _, queue := range w.queues() {
		pages = append(pages, "/api/queues/"+queue, "/api/queues/"+queue+"/pending_tasks")
	}
	for _, page := range pages {
		if code, body := get(w.t, url+page, ""); code != http.StatusOK {
			w.t.Errorf("GET %s of the dashboard: %d %s, want 200", page, code, body)
		}
	}
}

// check looks at each server that holds data, and says what a failover may lose.
func TestCheckOnSentinelAndCluster(t *testing.T) {
	t.Parallel()
	t.Run("sentinel", func(t *testing.T) {
		t.Parallel()
		w := newWorldOn(t, taskstest.StartSentinel(t).URL)
		command(t, w.env, "check").want(t, 0, "redis replicas", "1; a failover may lose", "no append-only file")
	})
	t.Run("cluster", func(t *testing.T) {
		t.Parallel()
		c := taskstest.StartCluster(t, 0, "--appendonly", "yes")
		w := newWorldOn(t, c.URL)
		r := command(t, w.env, "check")
		r.want(t, 0, "3 masters, 3 nodes")
		for _, s := range c.Servers {
			r.want(t, 0, "redis "+s.Addr+" persistence", "redis "+s.Addr+" replicas", "redis "+s.Addr+" eviction")
		}
		if n := strings.Count(r.stdout, "nobody takes over"); n != len(c.Servers) {
			t.Errorf("%d masters are said to have no replica, want %d:\n%s", n, len(c.Servers), r.stdout)
		}
	})
}

// A certificate of a CA of one's own is trusted through SSL_CERT_FILE, and not
// without it.
func TestTLSWithACAOfOnesOwn(t *testing.T) {
	_, url, ca := taskstest.StartTLSRedis(t)
	e := env{"REDIS_URL": url, "APPS": testApp}
	send := []string{"send", "--to", openID(1), "--template", "t", "--data", "thing2=x", "--id", "tls"}
	command(t, e, send...).want(t, 1, "certificate")
	command(t, e.with(env{"SSL_CERT_FILE": ca}), send...).want(t, 0, "tls: queued")
	command(t, e.with(env{"SSL_CERT_FILE": ca}), "status", "tls").want(t, 0, "queued")
}
