package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/wxnotify/wxnotify/cmd/internal/lab"
)

const (
	batchSize = 10
	// batchEvery makes 50 messages a second, which leaves a small machine time for the
	// rest.
	batchEvery = 200 * time.Millisecond
	// users is how many there are to send to.
	users = 500
)

// load enqueues messages of every lane and kind, and lets users accept and submit
// forms, until ctx ends. What is refused while something is broken is not repeated.
func (s *stack) load(ctx context.Context) {
	key, err := os.ReadFile(filepath.Join(s.secrets, "gateway/keys"))
	if err != nil {
		s.ended(err)
		return
	}
	_, bearer, _ := strings.Cut(strings.TrimSpace(string(key)), ":")
	for n := 0; lab.Sleep(ctx, batchEvery) == nil; n++ {
		s.post(ctx, "/v1/notifications:batch", bearer, map[string]any{"notifications": batch(n)})
		user := openID(n)
		s.post(ctx, "/v1/form-ids", bearer, map[string]any{"openid": user, "form_id": fmt.Sprintf("form-%d", n)})
		s.post(ctx, "/v1/subscriptions", bearer, map[string]any{
			"openid": user, "report_id": fmt.Sprintf("r-%d", n), "results": map[string]string{"template-1": "accept"},
		})
	}
}

func openID(n int) string { return fmt.Sprintf("oWatch%022d", n%users) }

// batch is the n-th batch: every lane, and one template message.
func batch(n int) []map[string]any {
	lanes := []string{"critical", "default", "bulk"}
	list := make([]map[string]any, batchSize)
	for i := range list {
		list[i] = map[string]any{
			"id": fmt.Sprintf("w-%d-%d", n, i), "to": map[string]string{"openid": openID(n*batchSize + i)}, "template_id": "template-1",
			"data": map[string]string{"thing1": "hello"}, "priority": lanes[i%len(lanes)],
		}
	}
	list[0]["kind"], list[0]["form_id"] = "template", fmt.Sprintf("own-%d", n)
	return list
}

// post sends one request to the gateway; what became of it the metrics tell.
func (s *stack) post(ctx context.Context, path, bearer string, body any) {
	content, err := json.Marshal(body)
	if err != nil {
		s.ended(err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.gatewayAddr+path, bytes.NewReader(content))
	if err != nil {
		s.ended(err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	req.Header.Set("Content-Type", "application/json")
	_, _ = answered(req)
}
