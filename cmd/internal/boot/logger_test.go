package boot

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/redis/go-redis/v9"
)

// redis.SetLogger takes an interface of an internal package.
var _ = func() { redis.SetLogger(RedisLogger(slog.Default())) }

func TestLevels(t *testing.T) {
	t.Parallel()
	for level, want := range map[string]string{
		"debug": "debug info warn error ", "info": "info warn error ", "warn": "warn error ", "error": "error ", "nonsense": "info warn error ",
	} {
		var out buffer
		log := NewLogger(&out, NewLevel(level), "text", nil)
		log.Debug("debug")
		log.Info("info")
		log.Warn("warn")
		log.Error("error")
		var got string
		for line := range strings.Lines(out.String()) {
			_, msg, _ := strings.Cut(strings.TrimSpace(line), "msg=")
			got += msg + " "
		}
		if got != want {
			t.Errorf("%s: %q, want %q", level, got, want)
		}
	}
}

func TestAsynqSpeaksAtItsLevels(t *testing.T) {
	t.Parallel()
	var out buffer
	log := AsynqLogger(NewLogger(&out, NewLevel("debug"), "text", nil), "lane")
	log.Debug("a")
	log.Info("b")
	log.Warn("c")
	log.Error("d ", 1)
	log.Fatal("e") // and the process goes on
	for _, want := range []string{"DEBUG msg=a component=lane", "DEBUG msg=b", "WARN msg=c", `ERROR msg="d 1"`, "ERROR msg=e"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	var quiet buffer
	log = AsynqLogger(NewLogger(&quiet, NewLevel("info"), "text", nil), "lane")
	log.Info("Starting processing")
	log.Warn("Retry exhausted for task id=wx1:a") // for each dead letter
	if quiet.String() != "" {
		t.Errorf("chatter: %s", quiet.String())
	}
}

func TestRepeatedWarnings(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out buffer
		log := NewLogger(&out, NewLevel("info"), "text", nil)
		redis := RedisLogger(log)
		for i := range 100 {
			redis.Printf(context.Background(), "read tcp 127.0.0.1:%d->127.0.0.1:6379: connection reset", 40000+i)
			log.Error("settle", "app", "wx1", "err", "redis is away")
			log.Error("settle", "app", "wx2", "err", "redis is away")
			log.With("lane", "bulk").Error("settle", "app", "wx1", "err", "redis is away")
			log.Info("sent")
			time.Sleep(10 * time.Millisecond)
		}
		if n := strings.Count(out.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings, want 1", n)
		}
		if n := strings.Count(out.String(), "level=ERROR"); n != 3 {
			t.Errorf("%d errors, want 3", n)
		}
		if n := strings.Count(out.String(), "msg=sent"); n != 100 {
			t.Errorf("%d infos, want all 100", n)
		}
		time.Sleep(repeatEvery)
		log.Error("settle", "app", "wx1", "err", "redis is away")
		if !strings.Contains(out.String(), "left_out=99") {
			t.Errorf("no count: %s", out.String())
		}
	})
}

func TestRememberedWarningsAreBounded(t *testing.T) {
	t.Parallel()
	l := &lines{seen: map[string]line{}}
	now := time.Now()
	for i := range 10 * maxLines {
		if _, write := l.take(fmt.Sprint(i), now.Add(time.Duration(i)*time.Millisecond)); !write {
			t.Fatalf("line %d is left out", i)
		}
	}
	if len(l.seen) > maxLines {
		t.Errorf("%d remembered", len(l.seen))
	}
}
