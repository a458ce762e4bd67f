package sandbox

import (
	"errors"
	"net/http"
)

func (s *Server) controlTemplate(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Template
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetTemplate(req.App, req.Template)
}

func (s *Server) controlFormID(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		FormID
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetFormID(req.App, req.FormID)
}

func (s *Server) controlRetired(r *http.Request) (any, error) {
	var req struct {
		App     string `json:"app"`
		Retired bool   `json:"retired"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetRetired(req.App, req.Retired)
}

// controlCode makes a login code known. POST makes one up where none is given.
func (s *Server) controlCode(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Code
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	if r.Method == http.MethodPut && req.Code.Code == "" {
		return nil, errors.New("sandbox: code: must not be empty, POST makes one")
	}
	code, err := s.SetCode(req.App, req.Code)
	return struct {
		Code string `json:"code"`
	}{code}, err
}

func (s *Server) controlCallback(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Callback
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetCallback(req.App, req.Callback)
}

func (s *Server) controlReceipts(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Receipts
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.SetReceipts(req.App, req.Receipts)
}

// controlAnswer takes one answer, or several as "answers".
func (s *Server) controlAnswer(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		UserAnswer
		Answers []UserAnswer `json:"answers"`
		Pushing
		Push *bool `json:"push"`
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	answers := req.Answers
	switch {
	case len(answers) == 0:
		answers = []UserAnswer{req.UserAnswer}
	case req.OpenID != "" || len(req.Results) > 0:
		return nil, errors.New("sandbox: answers: excludes openid and results beside it")
	}
	req.Off = req.Push != nil && !*req.Push
	return acknowledged{true}, s.Answer(req.App, answers, req.Pushing)
}

func (s *Server) controlEvent(r *http.Request) (any, error) {
	var req struct {
		App string `json:"app"`
		Event
	}
	if err := decode(r, &req); err != nil {
		return nil, err
	}
	return acknowledged{true}, s.PushEvent(req.App, req.Event)
}
