package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

const controlPrefix = "/_sandbox/"

// controlFunc answers a control request. What it returns is written as JSON; an error that is no *controlError means 400.
type controlFunc func(*http.Request) (any, error)

// controlError is an error with an HTTP status of its own.
type controlError struct {
	status int
	text   string
}

func (e *controlError) Error() string { return e.text }

// acknowledged is the answer of a control request that has nothing to tell.
type acknowledged struct {
	OK bool `json:"ok"`
}

// controlRoutes maps path, without the prefix, and method to what answers.
func (s *Server) controlRoutes() map[string]map[string]controlFunc {
	return map[string]map[string]controlFunc{
		"report":      {http.MethodGet: s.controlReport},
		"reset":       {http.MethodPost: s.controlReset},
		"faults":      {http.MethodGet: s.controlFaults, http.MethodPut: s.controlSetFaults},
		"tokens:kill": {http.MethodPost: s.controlKill},
		"users":       {http.MethodPut: s.controlUser},
		"quotas":      {http.MethodPut: s.controlQuotas},
		"apps":        {http.MethodPost: s.controlAddApp},
		"templates":   {http.MethodPut: s.controlTemplate},
		"form-ids":    {http.MethodPut: s.controlFormID},
		"retired":     {http.MethodPut: s.controlRetired},
		"codes":       {http.MethodPut: s.controlCode, http.MethodPost: s.controlCode},
		"callback":    {http.MethodPut: s.controlCallback},
		"receipts":    {http.MethodPut: s.controlReceipts},
		"events":      {http.MethodPost: s.controlEvent},

		"devices":      {http.MethodPut: s.controlDevice},
		"cards":        {http.MethodPut: s.controlCard},
		"users:answer": {http.MethodPost: s.controlAnswer},
	}
}

func (s *Server) serveControl(w http.ResponseWriter, r *http.Request) {
	path := strings.TrimPrefix(r.URL.Path, controlPrefix)
	if path == "" && r.Method == http.MethodGet {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, help) // a client that left has no use for the error
		return
	}
	result, err := s.route(path, r)
	if err != nil {
		writeControl(w, statusOf(err), map[string]string{"error": err.Error()})
		return
	}
	writeControl(w, http.StatusOK, result)
}

// route finds what answers a control request and calls it.
func (s *Server) route(path string, r *http.Request) (any, error) {
	methods, ok := s.control[path]
	if !ok {
		return nil, &controlError{http.StatusNotFound, "sandbox: no such control path, see GET " + controlPrefix}
	}
	f, ok := methods[r.Method]
	if !ok {
		return nil, &controlError{http.StatusMethodNotAllowed,
			fmt.Sprintf("sandbox: method: use %v", slices.Sorted(maps.Keys(methods)))}
	}
	return f(r)
}

func statusOf(err error) int {
	var c *controlError
	switch {
	case errors.As(err, &c):
		return c.status
	case errors.Is(err, ErrUnknownApp):
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

func writeControl(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a client that left has no use for the error
}

// decode reads one JSON object into v and refuses fields that v does not have.
func decode(r *http.Request, v any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return fmt.Errorf("sandbox: body: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("sandbox: body: must be one JSON object and nothing else")
	}
	return nil
}

func (s *Server) controlReport(r *http.Request) (any, error) {
	switch ids := r.URL.Query().Get("ids"); ids {
	case "", "0", "1":
		return s.Report(ids == "1"), nil
	}
	return nil, errors.New("sandbox: ids: must be 0 or 1")
}

func (s *Server) controlReset(*http.Request) (any, error) {
	s.Reset()
	return acknowledged{true}, nil
}

func (s *Server) controlFaults(r *http.Request) (any, error) {
	return s.Faults(r.URL.Query().Get("app"))
}

func (s *Server) controlSetFaults(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Faults
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetFaults(req.App, req.Faults)
}

func (s *Server) controlKill(r *http.Request) (any, error) {
	var req struct {
		App  string `json:"app"`
		Mode Mode   `json:"mode"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.KillTokens(req.App, req.Mode)
}

func (s *Server) controlUser(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		User
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetUser(req.App, req.User)
}

func (s *Server) controlQuotas(r *http.Request) (any, error) {
	var req struct {
		App   string `json:"app"`
		Calls Quotas `json:"calls"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetQuotas(req.App, req.Calls)
}

func (s *Server) controlAddApp(r *http.Request) (any, error) {
	var req App
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.AddApp(req)
}
