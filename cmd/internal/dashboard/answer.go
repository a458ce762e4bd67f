package dashboard

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
)

// answer keeps what a handler writes.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *answer) WriteHeader(code int) {
	if a.code == 0 {
		a.code = code
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(p)
}

// send passes the answer on, with another body.
func (a *answer) send(w http.ResponseWriter, body []byte) {
	for name, values := range a.header {
		w.Header()[name] = values
	}
	a.WriteHeader(http.StatusOK)
	w.WriteHeader(a.code)
	_, _ = w.Write(body) // the reader has gone
}

// maskErrors rewrites the texts of errors in the answers that hold tasks. An
// answer that is no JSON, such as a failure of Redis, passes as it is.
func maskErrors(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a answer
		next.ServeHTTP(&a, r)
		body := a.body.Bytes()
		if bytes.Contains(body, []byte(`"error_message"`)) {
			body = maskTasks(body)
		}
		a.send(w, body)
	})
}

func maskTasks(body []byte) []byte {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var tree any
	if err := decoder.Decode(&tree); err != nil {
		return []byte(`{}`)
	}
	maskTree(tree)
	masked, err := json.Marshal(tree)
	if err != nil {
		return []byte(`{}`)
	}
	return masked
}

func maskTree(node any) {
	switch node := node.(type) {
	case []any:
		for _, child := range node {
			maskTree(child)
		}
	case map[string]any:
		if text, ok := node["error_message"].(string); ok {
			taskType, _ := node["type"].(string)
			node["error_message"] = maskErrorText(taskType, text)
		}
		for _, child := range node {
			maskTree(child)
		}
	}
}

const noCharts = "prometheus gives no answer that can be used"

// hideFailure keeps the errors of asynqmon's HTTP client to itself: they hold
// whole URLs.
func hideFailure(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var a answer
		next.ServeHTTP(&a, r)
		if a.code >= http.StatusInternalServerError {
			http.Error(w, noCharts, http.StatusBadGateway)
			return
		}
		a.send(w, a.body.Bytes())
	})
}

func rootURL() *url.URL { return &url.URL{Path: "/"} }
