package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/wxnotify/wxnotify/cmd/internal/config"
)

const root = "../../.."

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eachReadme runs check on both READMEs.
func eachReadme(t *testing.T, check func(t *testing.T, text, lang string)) {
	t.Helper()
	t.Parallel()
	for path, lang := range readmes {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			check(t, read(t, path), lang)
		})
	}
}

func TestTablesAreTheCodes(t *testing.T) {
	eachReadme(t, func(t *testing.T, text, lang string) {
		want, err := render(text, lang)
		if err != nil {
			t.Fatal(err)
		}
		if text != want {
			t.Error("a table is not what the code says: run go run ./cmd/internal/docs")
		}
	})
}

func TestRenderWantsItsMarkers(t *testing.T) {
	t.Parallel()
	const config, errcodes = "<!-- config:begin -->\nstale\n<!-- config:end -->", "<!-- errcodes:begin -->\nstale\n<!-- errcodes:end -->"
	if text, err := render(config+errcodes, "en"); err != nil || strings.Contains(text, "stale") {
		t.Errorf("the tables were not replaced: %v", err)
	}
	for _, text := range []string{"", config, "<!-- config:begin -->\n" + errcodes} {
		if _, err := render(text, "en"); err == nil {
			t.Errorf("no error for %q", text)
		}
	}
}

var (
	fence   = regexp.MustCompile("(?m)^```(.*)$")
	heading = regexp.MustCompile(`(?m)^(#+) (.*)$`)
)

// prose is a text without its code blocks.
func prose(text string) string {
	parts := fence.Split(text, -1)
	var outside []string
	for i := 0; i < len(parts); i += 2 {
		outside = append(outside, parts[i])
	}
	return strings.Join(outside, "")
}

// shape lists the levels of a text's headings and the languages of its code blocks.
func shape(text string) (headings, blocks []string) {
	for _, m := range heading.FindAllStringSubmatch(prose(text), -1) {
		headings = append(headings, m[1])
	}
	for i, m := range fence.FindAllStringSubmatch(text, -1) {
		if i%2 == 0 {
			blocks = append(blocks, m[1])
		}
	}
	return headings, blocks
}

func TestBothHaveTheSameShape(t *testing.T) {
	t.Parallel()
	headings, blocks := shape(read(t, "README.md"))
	headingsZH, blocksZH := shape(read(t, "README.zh-CN.md"))
	if !slices.Equal(headings, headingsZH) {
		t.Errorf("headings differ:\n%v\n%v", headings, headingsZH)
	}
	if !slices.Equal(blocks, blocksZH) {
		t.Errorf("code blocks differ:\n%v\n%v", blocks, blocksZH)
	}
	if len(headings) < 10 || len(blocks) < 10 {
		t.Errorf("only %d headings and %d code blocks found", len(headings), len(blocks))
	}
}

// oneApp matches what is the AppID in the name of a variable; no AppID of the
// READMEs has an underscore.
var oneApp = regexp.MustCompile(`^WXNOTIFY_APP_[^_]+_`)

func TestVariablesExist(t *testing.T) {
	known := map[string]bool{}
	for _, row := range config.Table() {
		known[row.Variable] = true
		known[row.Variable+"_FILE"] = row.Secret
	}
	name := regexp.MustCompile(`WXNOTIFY_[A-Z0-9_<>]*[A-Z0-9]`)
	eachReadme(t, func(t *testing.T, text, _ string) {
		for _, variable := range name.FindAllString(text, -1) {
			if !known[oneApp.ReplaceAllString(variable, "WXNOTIFY_APP_<APPID>_")] {
				t.Errorf("there is no %s", variable)
			}
		}
	})
}

// metricNames are the series that the metrics package defines.
func metricNames(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "metrics", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	literal := regexp.MustCompile(`"((?:wxnotify|asynq)_[a-z_]+)"`)
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		code, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range literal.FindAllStringSubmatch(string(code), -1) {
			names = append(names, m[1])
		}
	}
	return names
}

func TestMetricsExistAndAreListed(t *testing.T) {
	known := metricNames(t)
	name := regexp.MustCompile(`\b(?:wxnotify|asynq)_[a-z_]+`)
	eachReadme(t, func(t *testing.T, text, _ string) {
		for _, metric := range name.FindAllString(text, -1) {
			if !slices.Contains(known, metric) {
				t.Errorf("there is no %s", metric)
			}
		}
		for _, metric := range known {
			if !strings.Contains(text, "\n| `"+metric+"` | ") {
				t.Errorf("%s is not in the table", metric)
			}
		}
	})
}

// anchor is how GitHub names a heading in a link.
func anchor(title string) string {
	odd := regexp.MustCompile(`[^\p{L}\p{N} _-]`)
	return strings.ReplaceAll(odd.ReplaceAllString(strings.ToLower(title), ""), " ", "-")
}

func TestLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	eachReadme(t, func(t *testing.T, text, _ string) {
		var anchors []string
		for _, m := range heading.FindAllStringSubmatch(prose(text), -1) {
			anchors = append(anchors, anchor(m[2]))
		}
		for _, m := range link.FindAllStringSubmatch(prose(text), -1) {
			place, inPage := strings.CutPrefix(m[1], "#")
			switch _, err := os.Stat(filepath.Join(root, place)); {
			case inPage && !slices.Contains(anchors, place):
				t.Errorf("no heading for #%s", place)
			case !inPage && !strings.Contains(place, "://") && err != nil:
				t.Errorf("link: %v", err)
			}
		}
	})
}

func TestMakeTargetsExist(t *testing.T) {
	makefile := read(t, "Makefile")
	target := regexp.MustCompile("(?:`|(?m)^)make ([a-z-]+)")
	eachReadme(t, func(t *testing.T, text, _ string) {
		found := target.FindAllStringSubmatch(text, -1)
		if len(found) < 2 {
			t.Error("make run and make test are not there")
		}
		for _, m := range found {
			if !strings.Contains(makefile, "\n"+m[1]+":") {
				t.Errorf("there is no make %s", m[1])
			}
		}
	})
}
