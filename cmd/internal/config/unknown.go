package config

import (
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/wxnotify/wxnotify/tasks"
)

// injected matches what Kubernetes adds to a container for every service whose
// name begins with ours.
var injected = regexp.MustCompile(`^` + prefix + `(_.*)?_(SERVICE_HOST|SERVICE_PORT(_.+)?|PORT(_[0-9]+_.+)?)$`)

// unknown refuses variables with our prefix that nobody reads: they are typos, or
// meant for another version, and would silently do nothing.
func (l *loader) unknown(c *Config) {
	known := knownNames(c)
	var names []string
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		ours := strings.HasPrefix(name, prefix+"_")
		if ours && !slices.Contains(known, name) && !injected.MatchString(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		l.add(strings.TrimPrefix(name, prefix+"_"), unknownDetail(name, known))
	}
}

func knownNames(c *Config) []string {
	list := variables(prefix, &spec{})
	for _, app := range c.Apps {
		list = append(list, variables(appPrefix(app.ID), &appSpec{})...)
	}
	names := make([]string, len(list))
	for i, v := range list {
		names[i] = v.name
	}
	return names
}

func unknownDetail(name string, known []string) string {
	detail := "unknown variable: remove it, the README lists all"
	if app, ok := appOf(name); ok {
		detail = app + " is not in " + prefix + "_APPS: add the AppID there, or remove this variable"
	}
	if near := nearest(name, known); near != "" {
		detail += "; did you mean " + near + "?"
	}
	return detail
}

// appOf returns the AppID, in upper case, of a variable that would be known if
// the app were.
func appOf(name string) (string, bool) {
	rest, ok := strings.CutPrefix(name, prefix+"_APP_")
	if !ok {
		return "", false
	}
	for _, v := range variables("", &appSpec{}) {
		if app, ok := strings.CutSuffix(rest, "_"+v.name); ok && tasks.ValidApp(app) {
			return app, true
		}
	}
	return "", false
}

// maxTypos is how far a name may be from a known one to be taken for it.
const maxTypos = 3

func nearest(name string, known []string) string {
	best, distance := "", maxTypos+1
	for _, k := range known {
		if d := editDistance(strings.ToUpper(name), k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// editDistance counts the letters to add, remove or change.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
