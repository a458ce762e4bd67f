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

// deployGuides are the READMEs of deploy/.
var deployGuides = []string{"deploy/README.md", "deploy/README.zh-CN.md"}

// eachGuide runs check on both.
func eachGuide(t *testing.T, check func(t *testing.T, text string)) {
	t.Helper()
	t.Parallel()
	for _, path := range deployGuides {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			check(t, read(t, path))
		})
	}
}

func TestDeployGuidesHaveTheSameShape(t *testing.T) {
	t.Parallel()
	headings, blocks := shape(read(t, deployGuides[0]))
	headingsZH, blocksZH := shape(read(t, deployGuides[1]))
	if !slices.Equal(headings, headingsZH) || !slices.Equal(blocks, blocksZH) {
		t.Errorf("headings or code blocks differ:\n%v\n%v\n%v\n%v", headings, headingsZH, blocks, blocksZH)
	}
	if code, codeZH := codeOf(read(t, deployGuides[0])), codeOf(read(t, deployGuides[1])); code != codeZH {
		t.Errorf("the commands differ:\n%s\n----\n%s", code, codeZH)
	}
}

// codeOf joins a text's code blocks.
func codeOf(text string) string {
	var code []string
	for i, part := range fence.Split(text, -1) {
		if i%2 == 1 {
			code = append(code, part)
		}
	}
	return strings.Join(code, "")
}

// Whoever is woken by an alert finds what to do.
func TestEveryAlertHasItsRunbook(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(root, "deploy/prometheus/rules/*.yml"))
	if err != nil {
		t.Fatal(err)
	}
	alert := regexp.MustCompile(`(?s)- alert: (\w+)\n.*?runbook_url: \S+/deploy/README\.md#(\w+)\n`)
	var names []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		found := alert.FindAllSubmatch(text, -1)
		if len(found) != strings.Count(string(text), "- alert: ") {
			t.Errorf("%s: an alert has no runbook_url", file)
		}
		for _, m := range found {
			if string(m[2]) != strings.ToLower(string(m[1])) {
				t.Errorf("%s leads to #%s", m[1], m[2])
			}
			names = append(names, string(m[1]))
		}
	}
	if len(names) < 30 {
		t.Fatalf("only %d alerts found", len(names))
	}
	eachGuide(t, func(t *testing.T, text string) {
		var sections []string
		for _, m := range regexp.MustCompile(`(?m)^### (Wxnotify\w+)$`).FindAllStringSubmatch(text, -1) {
			sections = append(sections, m[1])
			if !slices.Contains(names, m[1]) {
				t.Errorf("there is no alert %s", m[1])
			}
		}
		for _, name := range names {
			if !slices.Contains(sections, name) {
				t.Errorf("the alert %s has no section", name)
			}
		}
	})
}

func TestDeployGuidesNameWhatExists(t *testing.T) {
	known := map[string]bool{}
	for _, row := range config.Table() {
		known[row.Variable] = true
		known[row.Variable+"_FILE"] = row.Secret
	}
	metrics := metricNames(t)
	variable := regexp.MustCompile(`WXNOTIFY_[A-Z0-9_<>]*[A-Z0-9]`)
	metric := regexp.MustCompile(`\b(?:wxnotify|asynq)_[a-z_]+`)
	target := regexp.MustCompile("(?:`|(?m)^)make ([a-z-]+)")
	eachGuide(t, func(t *testing.T, text string) {
		for _, name := range variable.FindAllString(text, -1) {
			if !known[oneApp.ReplaceAllString(name, "WXNOTIFY_APP_<APPID>_")] {
				t.Errorf("there is no %s", name)
			}
		}
		for _, name := range metric.FindAllString(text, -1) {
			if !slices.Contains(metrics, name) {
				t.Errorf("there is no %s", name)
			}
		}
		for _, m := range target.FindAllStringSubmatch(text, -1) {
			if !strings.Contains(read(t, "Makefile"), "\n"+m[1]+":") {
				t.Errorf("there is no make %s", m[1])
			}
		}
	})
}

func TestDeployGuidesLinksResolve(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)]+)\)`)
	eachGuide(t, func(t *testing.T, text string) {
		for _, m := range link.FindAllStringSubmatch(prose(text), -1) {
			path, place, _ := strings.Cut(m[1], "#")
			target := text
			if path != "" {
				content, err := os.ReadFile(filepath.Join(root, "deploy", path))
				if info, statErr := os.Stat(filepath.Join(root, "deploy", path)); statErr != nil || err != nil && !info.IsDir() {
					t.Errorf("link: %v", m[1])
					continue
				}
				target = string(content)
			}
			if place != "" && !slices.Contains(anchorsOf(target), place) {
				t.Errorf("no heading for %s", m[1])
			}
		}
	})
}

// anchorsOf lists the headings of a text as links name them.
func anchorsOf(text string) []string {
	var anchors []string
	for _, m := range heading.FindAllStringSubmatch(prose(text), -1) {
		anchors = append(anchors, anchor(m[2]))
	}
	return anchors
}
