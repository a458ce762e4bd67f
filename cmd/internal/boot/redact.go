package boot

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

const redacted = "[redacted]"

// minSecret is the shortest text that is taken out wherever it occurs; taking
// out a shorter one would take words apart and hide nothing.
const minSecret = 4

// sensitive are the names whose values are secret or a person's: in WeChat's
// URLs and JSON, and in Go.
const sensitive = `(?:access_?token|refresh_?token|secret|session_?key|js_?code|open_?id|to_?user|password)`

var (
	sensitiveName = regexp.MustCompile(`(?i)^[a-z_]*` + sensitive + `$`)
	// parameter is name=value in a query, escaped once or not.
	parameter = regexp.MustCompile(`(?i)(` + sensitive + `(?:=|%3d))[^&\s"'\\<>]+`)
	// member is "name":"value" in JSON, and in JSON quoted inside a string.
	member = regexp.MustCompile(`(?i)(` + sensitive + `\\*"\s*:\s*\\*")(?:[^"\\]|\\+[^"\\])+`)
)

// redactor takes secrets out of texts.
type redactor struct {
	known *strings.Replacer
	// names remembers which attribute keys are sensitive: they are few, and every
	// line has several.
	names    sync.Map // string → bool
	nameRoom atomic.Int64
}

// maxNames bounds what is remembered, should somebody log keys made of data.
const maxNames = 1024

// secretName reports whether what stands under this name is not to be shown.
func (r *redactor) secretName(name string) bool {
	if known, ok := r.names.Load(name); ok {
		return known.(bool)
	}
	secret := sensitiveName.MatchString(name)
	if r.nameRoom.Add(1) <= maxNames {
		r.names.Store(name, secret)
	}
	return secret
}

func newRedactor(secrets []string) *redactor {
	var forms []string
	for _, s := range secrets {
		if len(s) >= minSecret {
			forms = append(forms, s, url.QueryEscape(s), url.PathEscape(s))
		}
	}
	// The longest first: a secret that begins another must not leave its tail.
	slices.SortFunc(forms, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, s := range slices.Compact(forms) {
		pairs = append(pairs, s, redacted)
	}
	return &redactor{known: strings.NewReplacer(pairs...)}
}

func (r *redactor) text(s string) string {
	s = r.known.Replace(s)
	if !strings.ContainsAny(s, `="%`) {
		return s // no parameter and no member: nearly every text
	}
	s = parameter.ReplaceAllString(s, "${1}"+redacted)
	return member.ReplaceAllString(s, "${1}"+redacted)
}

func (r *redactor) attrs(in []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(in))
	for i, a := range in {
		out[i] = r.attr(a)
	}
	return out
}

func (r *redactor) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	if v.Kind() != slog.KindGroup && r.secretName(a.Key) {
		return slog.String(a.Key, redacted)
	}
	return slog.Attr{Key: r.text(a.Key), Value: r.value(v, maxDepth)}
}

// maxDepth bounds how deep values are taken apart; logged values are flat, and
// one that holds itself must end.
const maxDepth = 6

func (r *redactor) value(v slog.Value, depth int) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(r.text(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(r.attrs(v.Group())...)
	case slog.KindAny:
		return slog.AnyValue(r.any(v.Any(), depth))
	}
	return v // numbers, times
}

// any returns x as plain texts, numbers, lists and maps without secrets. Errors
// and Stringers are asked for their text, which is what a log would show.
func (r *redactor) any(x any, depth int) any {
	if depth == 0 {
		return fmt.Sprintf("(%T)", x)
	}
	switch x := x.(type) {
	case nil:
		return nil
	case slog.LogValuer:
		return r.value(slog.AnyValue(x).Resolve(), depth-1).Any()
	case []byte:
		return r.text(string(x))
	case error, fmt.Stringer, fmt.Formatter:
		return r.text(fmt.Sprint(x)) // survives a nil receiver and a panic
	}
	return r.reflected(reflect.ValueOf(x), depth-1)
}

func (r *redactor) reflected(v reflect.Value, depth int) any {
	switch v.Kind() {
	case reflect.Slice, reflect.Array:
		return r.list(v, depth)
	case reflect.Map:
		out := make(map[string]any, v.Len())
		for _, k := range v.MapKeys() {
			r.entry(out, fmt.Sprint(k.Interface()), v.MapIndex(k), depth)
		}
		return out
	case reflect.Struct:
		out := make(map[string]any, v.NumField())
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				r.entry(out, f.Name, v.Field(i), depth)
			}
		}
		return out
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return r.any(v.Elem().Interface(), depth)
	case reflect.String:
		return r.text(v.String())
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return fmt.Sprintf("(%s)", v.Type())
	}
	return v.Interface() // booleans and numbers
}

func (r *redactor) entry(out map[string]any, name string, v reflect.Value, depth int) {
	if r.secretName(name) {
		out[name] = redacted
		return
	}
	out[r.text(name)] = r.any(v.Interface(), depth)
}

func (r *redactor) list(v reflect.Value, depth int) any {
	if v.Type().Elem().Kind() == reflect.Uint8 {
		return r.text(fmt.Sprintf("%s", v.Interface())) // named byte slices, arrays
	}
	out := make([]any, v.Len())
	for i := range out {
		out[i] = r.any(v.Index(i).Interface(), depth)
	}
	return out
}

// redactHandler is the one place through which everything that is logged passes.
type redactHandler struct {
	next   slog.Handler
	redact *redactor
}

func (h redactHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

func (h redactHandler) Handle(ctx context.Context, rec slog.Record) error {
	clean := slog.NewRecord(rec.Time, rec.Level, h.redact.text(rec.Message), rec.PC)
	rec.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.redact.attr(a))
		return true
	})
	return h.next.Handle(ctx, clean)
}

func (h redactHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return redactHandler{next: h.next.WithAttrs(h.redact.attrs(attrs)), redact: h.redact}
}

func (h redactHandler) WithGroup(name string) slog.Handler {
	return redactHandler{next: h.next.WithGroup(name), redact: h.redact}
}
