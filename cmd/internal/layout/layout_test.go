// Package layout holds the test of the import rules: which of our packages may
// import which. A new arrow is a decision, so it fails here until it is one.
package layout

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/wxnotify/wxnotify/"

const root = "../../.."

// allowed lists, for each package, the packages of ours it may import. An entry
// that ends in /* stands for everything below it.
var allowed = map[string][]string{
	"tasks":                     {},
	"tasks/errcode":             {},
	"tasks/ledger":              {"tasks", "tasks/errcode"},
	"tasks/taskstest":           {"tasks", "tasks/*"},
	"metrics":                   {},
	"producer":                  {"tasks", "tasks/*"},
	"producer/gateway":          {"producer", "tasks", "tasks/*", "metrics"},
	"worker":                    {"tasks", "tasks/*", "metrics", "worker/*"},
	"worker/wechat":             {"tasks/errcode"},
	"worker/wechat/sandbox":     {"tasks/errcode", "worker/wechat", "producer/callback/wxcrypt"},
	"worker/token":              {"tasks", "tasks/errcode", "worker/wechat"},
	"worker/limit":              {},
	"producer/callback/wxcrypt": {},
	"producer/callback":         {"tasks", "metrics", "producer/callback/wxcrypt"},
	"tasks/catalogue":           {"tasks", "tasks/errcode"},
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	for pkg, imports := range packages(t) {
		if strings.HasPrefix(pkg, "cmd/") {
			continue // cmd may import anything
		}
		rule, known := allowed[pkg]
		if !known {
			t.Errorf("package %s has no import rule: decide which of our packages it may import, here and in the design", pkg)
		}
		for _, imported := range imports {
			if !slices.ContainsFunc(rule, func(r string) bool { return covers(r, imported) }) {
				t.Errorf("%s must not import %s", pkg, imported)
			}
		}
	}
}

func TestTopLevel(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	folders := []string{"cmd", "worker", "producer", "tasks", "metrics", "deploy"}
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && !slices.Contains(folders, e.Name()) {
			t.Errorf("top-level folder %s: the top level is fixed", e.Name())
		}
	}
}

func covers(rule, imported string) bool {
	if prefix, ok := strings.CutSuffix(rule, "/*"); ok {
		return strings.HasPrefix(imported, prefix+"/")
	}
	return rule == imported
}

// packages maps each package of ours to those of ours that its code imports.
// Tests may import more.
func packages(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && d.Name() != ".." {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		pkg := filepath.ToSlash(dir)
		found[pkg] = append(found[pkg], ours(t, path)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) < 8 {
		t.Fatalf("only %d packages found: the test does not see the module", len(found))
	}
	return found
}

func ours(t *testing.T, file string) []string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, spec := range f.Imports {
		path, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if rest, ok := strings.CutPrefix(path, module); ok {
			list = append(list, rest)
		}
	}
	return list
}
