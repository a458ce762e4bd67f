package tasks

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Version is the newest payload version this code writes. A worker that meets a
// higher one than its own leaves the task alone until it is upgraded.
const Version = 2

// versionOf is the lowest version that can read an envelope: 2 knows login codes. A kind
// needs no version of its own: who does not know its name leaves the task alone as well.
func versionOf(e Envelope) int {
	if e.To.Code != "" {
		return 2
	}
	return 1
}

// Reasons why a task in one of our queues cannot be read. None of the errors
// holds anything of the payload.
var (
	// ErrForeign: the type is not one of ours; somebody else uses our queue.
	ErrForeign = errors.New("tasks: not a task of wxnotify")
	// ErrNewer: written by a later version of wxnotify.
	ErrNewer = errors.New("tasks: written by a newer version of wxnotify")
	// ErrGarbage: our type, but the payload cannot be read.
	ErrGarbage = errors.New("tasks: payload cannot be read")
)

// Envelope is a notification as it lies in the queue.
type Envelope struct {
	Notification
	// EnqueuedAt is when the producer stored it, by the producer's clock.
	EnqueuedAt time.Time
	// Hash is its ContentHash.
	Hash string
}

// wire is the stored form: short keys, defaults left out, because a queue may
// hold millions.
type wire struct {
	V         int               `json:"v"`
	App       string            `json:"app"`
	ID        string            `json:"id"`
	To        string            `json:"to,omitempty"`
	Code      string            `json:"code,omitempty"`
	Template  string            `json:"tpl"`
	Page      *string           `json:"page,omitempty"`
	Data      map[string]string `json:"data,omitempty"`
	FormID    string            `json:"form,omitempty"`
	Emphasis  string            `json:"emph,omitempty"`
	OpenIDs   []string          `json:"tos,omitempty"`
	SN        string            `json:"sn,omitempty"`
	ModelID   string            `json:"model,omitempty"`
	Type      NotifyType        `json:"type,omitempty"`
	NoteCode  string            `json:"ncode,omitempty"`
	Content   json.RawMessage   `json:"cont,omitempty"`
	Check     json.RawMessage   `json:"chk,omitempty"`
	Ext       json.RawMessage   `json:"ext,omitempty"`
	State     string            `json:"state,omitempty"`
	Lang      string            `json:"lang,omitempty"`
	SendAt    int64             `json:"at,omitempty"`
	NotAfter  int64             `json:"end,omitempty"`
	Priority  Priority          `json:"pri,omitempty"`
	OnUnknown OnUnknown         `json:"unk,omitempty"`
	Enqueued  int64             `json:"enq"`
	Hash      string            `json:"hash"`
	RequestID string            `json:"rid,omitempty"`
}

// encode returns the payload of an envelope whose notification has its defaults.
func encode(e Envelope) ([]byte, error) {
	w := wire{
		V: versionOf(e), App: e.App, ID: e.ID, To: e.To.OpenID, Code: e.To.Code, Template: e.TemplateID, Data: e.Data,
		FormID: e.FormID, Emphasis: e.EmphasisKeyword, OpenIDs: e.To.OpenIDs, SN: e.SN, ModelID: e.ModelID,
		Type: e.NotifyType, NoteCode: e.NotifyCode, Content: e.Content, Check: e.Check, Ext: e.Ext,
		State: unless(e.MiniprogramState, "formal"), Lang: unless(e.Lang, "zh_CN"),
		SendAt: millis(e.SendAt), NotAfter: millis(e.NotAfter),
		Priority: unless(e.Priority, Default), OnUnknown: unless(e.OnUnknown, Resend),
		Enqueued: millis(e.EnqueuedAt), Hash: e.Hash, RequestID: e.RequestID,
	}
	if e.Page != nil && *e.Page != e.Kind.defaultPage() {
		w.Page = e.Page
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(w); err != nil {
		return nil, fmt.Errorf("tasks: encode payload: %w", err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// Encode returns an envelope's task type and payload, which Decode reads. The
// notification must have its defaults.
func Encode(e Envelope) (taskType string, payload []byte, err error) {
	payload, err = encode(e)
	return e.Kind.TaskType(), payload, err
}

// Decode reads a task of ours. The error wraps ErrForeign, ErrNewer or
// ErrGarbage; with ErrNewer and ErrGarbage nothing of the envelope is to be used.
func Decode(taskType string, payload []byte) (Envelope, error) {
	name, ours := strings.CutPrefix(taskType, taskTypePrefix)
	if !ours {
		return Envelope{}, ErrForeign
	}
	var w wire
	if err := json.Unmarshal(payload, &w); err != nil {
		return Envelope{}, unreadable(payload)
	}
	if w.V > Version || !known(Kind(name)) {
		return Envelope{}, ErrNewer
	}
	return w.envelope(Kind(name))
}

// Foreign reports whether a task of this type is none of ours, whatever version wrote it.
func Foreign(taskType string) bool {
	for _, prefix := range []string{taskTypePrefix, eventTypePrefix, jobTypePrefix, canaryTypePrefix} {
		if strings.HasPrefix(taskType, prefix) {
			return false
		}
	}
	return true
}

// unreadable tells garbage from what a newer version wrote: it may have changed
// the type of any field but the version's.
func unreadable(payload []byte) error {
	var version struct {
		V int `json:"v"`
	}
	if err := json.Unmarshal(payload, &version); err != nil {
		return fmt.Errorf("%w: no JSON object with a version", ErrGarbage)
	}
	if version.V > Version {
		return ErrNewer
	}
	return fmt.Errorf("%w: a field has the wrong type", ErrGarbage)
}

func (w wire) envelope(kind Kind) (Envelope, error) {
	e := Envelope{
		Notification: Notification{
			App: w.App, Kind: kind, ID: w.ID, To: Recipient{OpenID: w.To, Code: w.Code, OpenIDs: w.OpenIDs}, TemplateID: w.Template, Page: w.Page, Data: w.Data,
			FormID: w.FormID, EmphasisKeyword: w.Emphasis, SN: w.SN, ModelID: w.ModelID,
			NotifyType: w.Type, NotifyCode: w.NoteCode, Content: w.Content, Check: w.Check, Ext: w.Ext,
			MiniprogramState: w.State, Lang: w.Lang, SendAt: fromMillis(w.SendAt), NotAfter: fromMillis(w.NotAfter),
			Priority: w.Priority, OnUnknown: w.OnUnknown, RequestID: w.RequestID,
		}.WithDefaults(),
		EnqueuedAt: fromMillis(w.Enqueued),
		Hash:       w.Hash,
	}
	if w.V < 1 || w.ID == "" || w.Hash == "" || w.Enqueued <= 0 {
		return Envelope{}, fmt.Errorf("%w: id, hash or time is missing", ErrGarbage)
	}
	err := e.shape().Validate(time.Now())
	if refused := (*ValidationError)(nil); errors.As(err, &refused) {
		return Envelope{}, fmt.Errorf("%w: %s: %s", ErrGarbage, refused.Fields[0].Field, refused.Fields[0].Detail)
	}
	return e, nil
}

// shape is the notification without its times: they were judged when it was
// enqueued, and what came late from the queue is no garbage.
func (e Envelope) shape() Notification {
	n := e.Notification
	n.SendAt, n.NotAfter = time.Time{}, time.Time{}
	return n
}

func known(k Kind) bool {
	for _, have := range Kinds() {
		if k == have {
			return true
		}
	}
	return false
}

func unless[T comparable](v, usual T) T {
	if v == usual {
		var zero T
		return zero
	}
	return v
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}
