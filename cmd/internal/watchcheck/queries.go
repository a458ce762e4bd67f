package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// query is a PromQL expression that a team relies on.
type query struct {
	// file and name say where it stands: a panel's title, a rule's name.
	file, name string
	expr       string
	// alert says that it is empty as long as all is well.
	alert bool
	// record is the series that a recording rule writes.
	record string
}

// queriesUnder reads all expressions of the dashboards and rules of deploy/.
func queriesUnder(deploy string) ([]query, error) {
	var all []query
	for pattern, read := range map[string]func(string) ([]query, error){
		"grafana/dashboards/*.json": dashboardQueries,
		"prometheus/rules/*.yml":    ruleQueries,
	} {
		files, err := filepath.Glob(filepath.Join(deploy, pattern))
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("watchcheck: no files %s under %s", pattern, deploy)
		}
		for _, file := range files {
			found, err := read(file)
			if err != nil {
				return nil, fmt.Errorf("watchcheck: %s: %w", file, err)
			}
			all = append(all, found...)
		}
	}
	return all, nil
}

// dashboard is what is read of a Grafana dashboard.
type dashboard struct {
	Panels []struct {
		Type    string `json:"type"`
		Title   string `json:"title"`
		Targets []struct {
			Expr string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
	Annotations struct {
		List []struct {
			Name string `json:"name"`
			Expr string `json:"expr"`
		} `json:"list"`
	} `json:"annotations"`
	Templating struct {
		List []struct {
			Name       string `json:"name"`
			Definition string `json:"definition"`
		} `json:"list"`
	} `json:"templating"`
}

// labelValues is how a dashboard's variable asks for its values.
var labelValues = regexp.MustCompile(`^label_values\((.+), *\w+\)$`)

func dashboardQueries(file string) ([]query, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		return nil, err
	}
	var found []query
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			return nil, fmt.Errorf("the panel %q asks nothing", p.Title)
		}
		for _, t := range p.Targets {
			found = append(found, query{file: filepath.Base(file), name: p.Title, expr: t.Expr})
		}
	}
	for _, a := range d.Annotations.List {
		if a.Expr != "" {
			found = append(found, query{file: filepath.Base(file), name: a.Name, expr: a.Expr, alert: true})
		}
	}
	for _, v := range d.Templating.List {
		if m := labelValues.FindStringSubmatch(v.Definition); m != nil {
			found = append(found, query{file: filepath.Base(file), name: "$" + v.Name, expr: m[1]})
		}
	}
	return found, nil
}

var (
	ruleName = regexp.MustCompile(`^ +- (alert|record): (\S+)$`)
	ruleExpr = regexp.MustCompile(`^( +)expr: (.+)$`)
)

// ruleQueries reads a file of rules as ours are written: name first, then the
// expression, on the same line or folded below.
func ruleQueries(file string) ([]query, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found []query
	var q query
	lines := strings.Split(string(text), "\n")
	for i, line := range lines {
		if m := ruleName.FindStringSubmatch(line); m != nil {
			q = query{file: filepath.Base(file), name: m[2], alert: m[1] == "alert"}
			if !q.alert {
				q.record = m[2]
			}
		}
		if m := ruleExpr.FindStringSubmatch(line); m != nil {
			if q.expr = m[2]; q.expr == ">-" {
				q.expr = folded(lines[i+1:], len(m[1]))
			}
			found = append(found, q)
		}
	}
	if len(found) == 0 {
		return nil, errors.New("no rule is in it")
	}
	return found, nil
}

// folded joins the lines that are indented deeper.
func folded(lines []string, indent int) string {
	var parts []string
	for _, line := range lines {
		text := strings.TrimLeft(line, " ")
		if len(line)-len(text) <= indent {
			break
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, " ")
}

var (
	quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	metric = regexp.MustCompile(`\b(?:wxnotify|asynq|redis|process|go)[_:][a-z0-9_:]*`)
	// selector is a metric with its matchers.
	selector = regexp.MustCompile(`\b(?:wxnotify|asynq|redis|process|go)[_:][a-z0-9_:]*(?:\{[^}]*\})?`)
	// negative matchers leave out what should not be.
	negative = regexp.MustCompile(`\b\w+(?:!=|!~)"(?:[^"\\]|\\.)*",?`)
)

// metrics are the names of the series that an expression reads.
func (q query) metrics() []string {
	return metric.FindAllString(quoted.ReplaceAllString(q.expr, `""`), -1)
}

// asks lists what has to be answered with data: the expression, or of an alert, which
// is empty while all is well, each series it looks at.
func (q query) asks() []string {
	if !q.alert {
		return []string{q.expr}
	}
	found := selector.FindAllString(q.expr, -1)
	for i, s := range found {
		found[i] = strings.Replace(negative.ReplaceAllString(s, ""), "{}", "", 1)
	}
	return found
}
