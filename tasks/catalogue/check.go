package catalogue

import (
	"fmt"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/tasks"
)

// Check judges the values of a template, and returns what is wrong, by field. A
// template without fields takes every key.
func (t *Template) Check(data map[string]string) []tasks.FieldError {
	if len(t.Fields) == 0 {
		return CheckTypes(data)
	}
	var wrong []tasks.FieldError
	found := 0
	for i := range t.Fields {
		f := &t.Fields[i]
		value, ok := data[f.Key]
		if !ok {
			wrong = append(wrong, t.missing(f.Key))
			continue
		}
		found++
		if detail := f.check(value); detail != "" {
			wrong = append(wrong, tasks.FieldError{Field: "data." + f.Key, Detail: detail})
		}
	}
	if found < len(data) {
		wrong = append(wrong, t.extra(data)...)
	}
	sortFields(wrong)
	return wrong
}

func (f *Field) check(value string) string {
	switch {
	case len(f.Enum) > 0:
		return judgeEnum(value, f.Enum)
	case f.rule != nil:
		return f.rule.judge(value)
	}
	return ""
}

func (t *Template) missing(key string) tasks.FieldError {
	return tasks.FieldError{Field: "data." + key, Detail: "missing: the template has " + strings.Join(t.keys(), ", ")}
}

// extra refuses what the template has no place for. WeChat's answer to it is not
// documented; a value that nobody sees is a mistake in any case.
func (t *Template) extra(data map[string]string) []tasks.FieldError {
	var wrong []tasks.FieldError
	for key := range data {
		if !slices.ContainsFunc(t.Fields, func(f Field) bool { return f.Key == key }) {
			wrong = append(wrong, tasks.FieldError{
				Field: "data." + key, Detail: "the template has no such field: leave it out; it has " + strings.Join(t.keys(), ", "),
			})
		}
	}
	return wrong
}

// CheckTypes judges values of which nothing is known but the types that their keys
// name. A type that is not in WeChat's table takes every value.
func CheckTypes(data map[string]string) []tasks.FieldError {
	var wrong []tasks.FieldError
	for key, value := range data {
		r := ruleOf(key)
		if r == nil {
			continue
		}
		if detail := r.judge(value); detail != "" {
			wrong = append(wrong, tasks.FieldError{Field: "data." + key, Detail: detail})
		}
	}
	sortFields(wrong)
	return wrong
}

func sortFields(wrong []tasks.FieldError) {
	slices.SortFunc(wrong, func(a, b tasks.FieldError) int { return strings.Compare(a.Field, b.Field) })
}

// unknownTemplate is what is wrong with a template that the list lacks.
func unknownTemplate(l *List) tasks.FieldError {
	return tasks.FieldError{Field: "template_id", Detail: fmt.Sprintf(
		"not among the %d templates that this app had at WeChat at %s: check the id; for one that was added since, have the list read anew with wxnotify templates refresh",
		len(l.Templates), l.ReadAt.UTC().Format("2006-01-02 15:04:05 UTC"))}
}
