package tasks_test

import (
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
	"github.com/wxnotify/wxnotify/tasks/taskstest"
)

func BenchmarkDecode(b *testing.B) {
	payload := []byte(`{"v":1,"app":"wxba5fad812f8e6fb9","id":"019a-order-1","to":"o9AgO5Kd5ggOC-bXrbNODIiE3bGY","tpl":"4Gk2tmplid_abcdefghijklmnopqrstuvwxyz0123456",` +
		`"data":{"character_string1":"019a-order-1","thing2":"咖啡豆 500g","time3":"2026年11月21日 15:01"},"enq":1795260000123,"hash":"0123456789abcdef"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tasks.Decode("wxnotify:subscribe", payload); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidate(b *testing.B) {
	n, now := valid(), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if err := n.Validate(now); err != nil {
			b.Fatal(err)
		}
	}
}

// What a send pays for knowing that there is room: no round trip but once a second.
func BenchmarkRoom(b *testing.B) {
	c := tasks.NewClient(taskstest.StartRedis(b, "--maxmemory", "1000gb").Client(b), "")
	e := sealed(b, c, "a")
	for name, maxQueued := range map[string]int{"memory": 0, "memory and queues": 1 << 30} {
		b.Run(name, func(b *testing.B) {
			room := tasks.NewRoom(c, maxQueued)
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := room.ForNotification(b.Context(), e, nothing); err != nil {
						b.Error(err)
						return
					}
				}
			})
		})
	}
}
