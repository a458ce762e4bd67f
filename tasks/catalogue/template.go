package catalogue

import (
	"strings"

	"github.com/wxnotify/wxnotify/tasks"
)

// Template is one template of an app.
type Template struct {
	ID    string             `json:"id"`
	Title string             `json:"title,omitempty"`
	Type  tasks.TemplateType `json:"type,omitempty"`
	// Fields are in the order of the card. None if WeChat's answer named none that
	// could be read: then every key passes.
	Fields []Field `json:"fields,omitempty"`
	// Example is WeChat's, a line for each field.
	Example string `json:"example,omitempty"`
}

// Field is one value of a template.
type Field struct {
	// Key is its name in data, such as thing1.
	Key string `json:"key"`
	// Label is what the card shows beside the value.
	Label string `json:"label,omitempty"`
	// Example is WeChat's.
	Example string `json:"example,omitempty"`
	// Enum lists the only values there are. Empty: no such list.
	Enum []string `json:"enum,omitempty"`

	rule *rule // of its type; nil if there is none
}

// Type is the type of the value that a key names: thing for thing1.
func Type(key string) string { return strings.TrimRight(key, "0123456789") }

// Limit is how many characters a value of the type may have (digits with number and
// amount), 0 where that is not how it is limited.
func (f Field) Limit() int {
	if r := ruleOf(f.Key); r != nil {
		return r.limit
	}
	return 0
}

// Allowed says in words what the field takes, "" if nothing is known.
func (f Field) Allowed() string {
	if len(f.Enum) > 0 {
		return "one of " + strings.Join(f.Enum, ", ")
	}
	if r := ruleOf(f.Key); r != nil {
		return r.allowed
	}
	return ""
}

// Placeholder is a value that the field takes: WeChat's example if it is one.
func (f Field) Placeholder() string {
	r := ruleOf(f.Key)
	switch {
	case len(f.Enum) > 0:
		return f.Enum[0]
	case f.Example != "" && (r == nil || r.judge(f.Example) == ""):
		return f.Example
	case r != nil:
		return r.sample
	}
	return "示例"
}

// ParseFields reads the fields out of a template's content and example as
// gettemplate has them: lines such as "品名:{{thing1.DATA}}" and "品名:咖啡豆". enums
// are the listed values by keywordCode, such as phrase2.DATA or phrase2.
func ParseFields(content, example string, enums map[string][]string) []Field {
	values := make(map[string][]string, len(enums))
	for code, list := range enums {
		values[strings.TrimSuffix(code, ".DATA")] = list
	}
	var fields []Field
	for line := range strings.Lines(content) {
		fields = append(fields, parseLine(line, example, values)...)
	}
	return fields
}

// parseLine reads the placeholders of one line; the label is what stands before.
func parseLine(line, example string, enums map[string][]string) []Field {
	var fields []Field
	for {
		label, rest, opened := strings.Cut(line, "{{")
		inside, after, closed := strings.Cut(rest, "}}")
		if !opened || !closed {
			return fields
		}
		line = after
		key, ok := strings.CutSuffix(strings.TrimSpace(inside), ".DATA")
		if !ok || key == "" {
			continue
		}
		label = strings.TrimRight(strings.TrimSpace(label), ":： ")
		fields = append(fields, Field{Key: key, Label: label, Example: exampleOf(example, label), Enum: enums[key], rule: ruleOf(key)})
	}
}

// exampleOf finds what the example has beside a label.
func exampleOf(example, label string) string {
	if label == "" {
		return ""
	}
	for line := range strings.Lines(example) {
		rest, found := strings.CutPrefix(strings.TrimSpace(line), label)
		if value := strings.TrimLeft(rest, ":： "); found && value != rest {
			return value
		}
	}
	return ""
}

// keys lists the keys of a template's fields.
func (t Template) keys() []string {
	keys := make([]string, len(t.Fields))
	for i, f := range t.Fields {
		keys[i] = f.Key
	}
	return keys
}
