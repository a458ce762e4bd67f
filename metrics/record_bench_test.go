package metrics

import (
	"testing"
	"time"
)

// What one accepted notification records.
func BenchmarkOneSend(b *testing.B) {
	m := New(Info{})
	m.InitializeFor(someLabels())
	b.ReportAllocs()
	for b.Loop() {
		m.QueueWait("wx1", "default", time.Millisecond)
		m.Admission("go")
		m.WeChatAnswered("wx1", "subscribe/send", 0, true, time.Millisecond)
		m.Attempt("wx1", "subscribe", "accepted")
		m.Notification("wx1", "subscribe", "accepted")
		m.EndToEnd("subscribe", time.Millisecond)
	}
}

func BenchmarkNotificationParallel(b *testing.B) {
	m := New(Info{})
	m.InitializeFor(someLabels())
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Notification("wx1", "subscribe", "accepted")
		}
	})
}

func BenchmarkGatewayRequest(b *testing.B) {
	m := New(Info{})
	m.InitializeFor(someLabels())
	b.ReportAllocs()
	for b.Loop() {
		m.GatewayRequest("POST /v1/notifications", 202, time.Millisecond)
		m.Enqueued("wx1", "subscribe", EnqueueAccepted)
	}
}
