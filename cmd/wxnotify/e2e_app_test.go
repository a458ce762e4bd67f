package main_test

import (
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

// appStatus is what app status --json prints of one app.
type appStatus struct {
	App           string `json:"app"`
	Credits       string `json:"credits"`
	ConsentSource string `json:"consent_source"`
	Lanes         []struct {
		Lane              string    `json:"lane"`
		Pending           int       `json:"pending"`
		Retry             int       `json:"retry"`
		Paused            bool      `json:"paused"`
		PausedSince       time.Time `json:"paused_since"`
		PausedInDashboard bool      `json:"paused_in_dashboard"`
	} `json:"lanes"`
	Pauses []struct {
		Scope     string    `json:"scope"`
		Name      string    `json:"name"`
		By        string    `json:"by"`
		Since     time.Time `json:"since"`
		Until     time.Time `json:"until"`
		InForce   bool      `json:"in_force"`
		Probe     bool      `json:"probe"`
		Prolonged int       `json:"prolonged"`
		Errcode   int       `json:"errcode"`
		Reason    string    `json:"reason"`
		ReasonZH  string    `json:"reason_zh"`
		Remedy    string    `json:"remedy"`
	} `json:"pauses"`
	Quotas []struct {
		API    string `json:"api"`
		Known  bool   `json:"known"`
		Remain int64  `json:"remain"`
	} `json:"quotas"`
}

// app runs a subcommand of app.
func (w *world) app(args ...string) result {
	w.t.Helper()
	return command(w.t, w.env.redisOnly(), append([]string{"app"}, args...)...)
}

// appStatus reads where the app stands.
func (w *world) appStatus(t *testing.T) appStatus {
	t.Helper()
	var all []appStatus
	decode(t, w.app("status", testApp, "--json"), &all)
	if len(all) != 1 || all[0].App != testApp || len(all[0].Lanes) != 3 {
		t.Fatalf("app status --json: %+v, want %s with three lanes", all, testApp)
	}
	return all[0]
}

// enqueueOne enqueues a message by the command line.
func (w *world) enqueueOne(id string, more ...string) {
	w.t.Helper()
	args := append([]string{"send", "--to", openID(1), "--template", "e2e-template", "--data", idKey + "=" + id, "--id", id}, more...)
	command(w.t, w.env.redisOnly(), args...).want(w.t, 0, id+": queued")
}

func (w *world) awaitStatus(id, want string) {
	w.t.Helper()
	taskstest.Eventually(w.t, 30*time.Second, func() string {
		if r := command(w.t, w.env.redisOnly(), "status", id); !strings.Contains(r.stdout, want) {
			return "want " + want + ", status prints " + r.stdout + r.stderr
		}
		return ""
	})
}

func TestAppCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.app("status").want(t, 0, "No worker has served an app yet.")
	var none []appStatus
	if decode(t, w.app("status", "--json"), &none); none == nil || len(none) != 0 {
		t.Errorf("app status --json without an app: %v, want an empty list", none)
	}
	a := w.worker("a", nil)

	t.Run("of an app", w.pauseTheApp)
	t.Run("of a kind", func(t *testing.T) { w.pauseAKind(t, a) })
	t.Run("all", w.resumeAll)
	t.Run("of an app that nobody serves", func(t *testing.T) {
		for _, args := range [][]string{{"status", "wxnobody"}, {"pause", "wxnobody"}, {"resume", "wxnobody"}, {"resume", "wxnobody", "--kind=subscribe"}} {
			w.app(args...).want(t, 1, "no worker serves this app")
		}
	})
}

func (w *world) pauseTheApp(t *testing.T) {
	w.app("status").want(t, 0, testApp, "observe", "critical", "yes")
	w.app("pause", testApp).want(t, 0, testApp+" is paused until", "2h0m0s", "wxnotify app resume "+testApp)
	w.enqueueOne("held")
	s := w.appStatus(t)
	if len(s.Pauses) != 1 || s.Credits != "observe" || s.ConsentSource != "event" {
		t.Fatalf("%+v, want one pause", s)
	}
	if p := s.Pauses[0]; p.Scope != "app" || p.By != "hand" || !p.InForce || p.Probe || p.Until.Sub(p.Since) != 2*time.Hour ||
		p.Reason == "" || p.ReasonZH == "" || !strings.Contains(p.Remedy, "app resume") {
		t.Errorf("%+v", p)
	}
	for _, l := range s.Lanes {
		if !l.Paused || l.PausedInDashboard || time.Since(l.PausedSince) > time.Minute || l.Lane == "default" && l.Pending == 0 {
			t.Errorf("%+v, want it paused just now, with what is enqueued", l)
		}
	}
	w.app("status", testApp).want(t, 0, "PAUSED since", "by      hand", "paused by hand", "resume  wxnotify app resume "+testApp)
	w.app("status", testApp, "--lang=zh").want(t, 0, "人工暂停", "到期后会自动恢复")
	command(t, w.env.redisOnly(), "status", "held").want(t, 0, "queued", "paused by hand")

	w.app("pause", testApp, "--for=3d").want(t, 0, "72h0m0s")
	if s := w.appStatus(t); len(s.Pauses) != 1 || s.Pauses[0].Until.Sub(s.Pauses[0].Since) != 72*time.Hour {
		t.Errorf("%+v, want the later word to count", s.Pauses)
	}
	w.app("resume", testApp).want(t, 0, "resumed: "+testApp)
	w.awaitStatus("held", "accepted")
	w.app("resume", testApp).want(t, 0, testApp+" is not paused")
	w.app("status", testApp).want(t, 0, "yes")

	w.app("pause", testApp, "--for=1s").want(t, 0, "(for 1s)")
	w.enqueueOne("ends")
	w.awaitStatus("ends", "accepted")
}

func (w *world) pauseAKind(t *testing.T, a *workerProcess) {
	w.app("pause", testApp, "--kind=subscribe", "--for=10m").want(t, 0, "kind subscribe of "+testApp+" is paused", "--kind=subscribe")
	taskstest.Eventually(t, 10*time.Second, func() string {
		if series(t, a.admin, "wxnotify_paused", map[string]string{"scope": "kind"}) != 1 {
			return "the worker does not know yet"
		}
		return ""
	})
	w.enqueueOne("kind", "--priority=critical")
	w.app("resume", testApp).want(t, 0, testApp+" is not paused", "still paused: kind subscribe of "+testApp, "--kind=subscribe")
	w.app("resume", testApp, "--kind=template").want(t, 0, "kind template of "+testApp+" is not paused")
	if s := w.appStatus(t); len(s.Pauses) != 1 || s.Pauses[0].Name != "subscribe" || s.Lanes[0].Paused {
		t.Errorf("%+v, want the kind alone to be paused", s)
	}
	w.awaitStatus("kind", "paused by hand")
	w.app("resume", testApp, "--kind=subscribe").want(t, 0, "resumed: kind subscribe of "+testApp)
	w.awaitStatus("kind", "accepted")
}

func (w *world) resumeAll(t *testing.T) {
	w.app("pause", testApp).want(t, 0)
	w.app("pause", testApp, "--template=other").want(t, 0, "template other of "+testApp)
	w.app("pause", testApp, "--kind=template").want(t, 0)
	w.app("status", testApp).want(t, 0, "PAUSED  template other of "+testApp, "--template=other")
	w.app("resume", testApp, "--all").want(t, 0, "resumed: "+testApp, "resumed: template other", "resumed: kind template")
	if s := w.appStatus(t); len(s.Pauses) != 0 {
		t.Errorf("%+v, want none", s.Pauses)
	}
}

// What is no name, or no end, is refused before anything is done.
func TestAppCommandsRefuse(t *testing.T) {
	t.Parallel()
	e := env{"REDIS_URL": "redis://" + refusingAddr + "/0"}
	const forbidden = "a pause without an end would be forgotten"
	for _, c := range []struct {
		args []string
		text string
	}{
		{[]string{"pause"}, "appid"},
		{[]string{"resume"}, "appid"},
		{[]string{"pause", ""}, "appid"},
		{[]string{"resume", ""}, "appid"},
		{[]string{"pause", "wx1;app;"}, "appid"},
		{[]string{"status", "wx1\x1b[31m"}, "appid"},
		{[]string{"pause", strings.Repeat("x", 65)}, "appid"},
		{[]string{"pause", testApp, "--for=0"}, "--for"},
		{[]string{"pause", testApp, "--for=0s"}, forbidden},
		{[]string{"pause", testApp, "--for=-1h"}, forbidden},
		{[]string{"pause", testApp, "--for=forever"}, forbidden},
		{[]string{"pause", testApp, "--for="}, forbidden},
		{[]string{"pause", testApp, "--for=1ns"}, forbidden},
		{[]string{"pause", testApp, "--for=30d1s"}, forbidden},
		{[]string{"pause", testApp, "--for=99999999999h"}, forbidden},
		{[]string{"pause", testApp, "--for=NaNs"}, forbidden},
		{[]string{"pause", testApp, "--kind="}, "--kind"},
		{[]string{"pause", testApp, "--kind=hologram"}, "subscribe, template"},
		{[]string{"pause", testApp, "--template="}, "--template"},
		{[]string{"pause", testApp, "--template=a;b"}, "--template"},
		{[]string{"resume", testApp, "--template="}, "--template"},
		{[]string{"pause", testApp, "--template=a", "--kind=subscribe"}, "--kind"},
		{[]string{"resume", testApp, "--template=a", "--all"}, "--all"},
		{[]string{"status", testApp, "--lang=fr"}, "--lang"},
	} {
		t.Run(strings.Join(c.args, " "), func(t *testing.T) {
			t.Parallel()
			command(t, e, append([]string{"app"}, c.args...)...).want(t, 2, c.text)
		})
	}
	for _, args := range [][]string{{"status"}, {"pause", testApp}, {"resume", testApp}} {
		t.Run("redis away: "+args[0], func(t *testing.T) {
			t.Parallel()
			command(t, e, append([]string{"app"}, args...)...).want(t, 1, "redis does not answer")
		})
	}
}
