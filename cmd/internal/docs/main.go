// Command docs writes the tables of both READMEs that come from the code: the
// configuration and the errcodes. Run it from the top of the repository after a
// change to either:
//
//	go run ./cmd/internal/docs
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// readmes maps each README to the language of its tables.
var readmes = map[string]string{"README.md": "en", "README.zh-CN.md": "zh"}

// tables maps the name in a table's markers to what writes it.
var tables = map[string]func(lang string) string{
	"config":   config.MarkdownTable,
	"errcodes": errcode.MarkdownTable,
}

func main() {
	for path, lang := range readmes {
		if err := rewrite(path, lang); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func rewrite(path, lang string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("docs: read: %w", err)
	}
	fresh, err := render(string(text), lang)
	if err != nil {
		return fmt.Errorf("docs: %s: %w", path, err)
	}
	if err := os.WriteFile(path, []byte(fresh), 0o644); err != nil {
		return fmt.Errorf("docs: write: %w", err)
	}
	return nil
}

// render returns the text of a README with every table replaced by what the code
// says now.
func render(text, lang string) (string, error) {
	for name, table := range tables {
		begin, end := "<!-- "+name+":begin -->\n", "<!-- "+name+":end -->"
		before, rest, opened := strings.Cut(text, begin)
		_, after, closed := strings.Cut(rest, end)
		if !opened || !closed {
			return "", fmt.Errorf("no table between %q and %q", strings.TrimSpace(begin), end)
		}
		text = before + begin + table(lang) + end + after
	}
	return text, nil
}
