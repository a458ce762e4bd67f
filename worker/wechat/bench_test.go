package wechat

import (
	"io"
	"net/http"
	"testing"
)

// BenchmarkSendSubscribe sends to a server in the same process, whose
// allocations are counted, too.
func BenchmarkSendSubscribe(b *testing.B) {
	c := newClient(b, newServer(b, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`)
	}).URL, func(cfg *Config) { cfg.MaxConns = 64 })
	m := testMessage()
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := c.SendSubscribe(b.Context(), "67_token", m); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkAppendMessage(b *testing.B) {
	m := testMessage()
	buf := make([]byte, 0, 512)
	b.ReportAllocs()
	for b.Loop() {
		buf = appendMessage(buf[:0], m)
	}
}

func BenchmarkJudge(b *testing.B) {
	r := request{private: redactor{secrets: [3]string{testToken, testOpenID}, content: testMessage().Data}, missing: missingAcceptance}
	for name, body := range map[string]string{
		"accepted": `{"errcode":0,"errmsg":"ok","msgid":1988810812324364291}`,
		"refused":  `{"errcode":43101,"errmsg":"user refuse to accept the msg rid: 61725984-6126f6f9-040f19c4"}`,
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = r.judge(http.StatusOK, []byte(body))
			}
		})
	}
}
