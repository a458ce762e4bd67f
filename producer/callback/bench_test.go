package callback

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

type noEvents struct{}

func (noEvents) EnqueueEvent(context.Context, tasks.Event) error { return nil }

// discard is an answer that nobody reads.
type discard struct {
	header http.Header
	code   int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(code int)        { d.code = code }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

func BenchmarkSealedJSON(b *testing.B) { benchmark(b, sealedPush(b, popupJSON)) }
func BenchmarkSealedXML(b *testing.B)  { benchmark(b, sealedPush(b, popupXML)) }
func BenchmarkPlainJSON(b *testing.B)  { benchmark(b, plainPush(popupJSON)) }

// benchmark is one core's work for one push, without the network and Redis.
func benchmark(b *testing.B, p push) {
	h, err := newHandler(Config{Events: noEvents{}, Apps: []App{
		{AppID: plainApp, Token: token}, {AppID: sealedApp, Token: token, AESKey: aesKey},
	}})
	if err != nil {
		b.Fatal(err)
	}
	h.now = func() time.Time { return testNow }
	r := p.request()
	body := strings.NewReader(p.body)
	r.Body = io.NopCloser(body)
	b.ReportAllocs()
	start, n := time.Now(), 0
	for b.Loop() {
		body.Reset(p.body)
		w := &discard{header: http.Header{}}
		h.ServeHTTP(w, r)
		if w.code != http.StatusOK {
			b.Fatalf("answered %d", w.code)
		}
		n++
	}
	b.ReportMetric(float64(n)/time.Since(start).Seconds(), "req/s")
}
