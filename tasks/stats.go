package tasks

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

var statsScript = Script(scripts, "lua/stats.lua")

// Stats counts what became of notifications, by app, day, kind and template, in Redis.
// Workers write it, all read it.
type Stats struct {
	rdb redis.UniversalClient
	ns  Namespace
}

// StatsDay names the counts of one app and day.
type StatsDay struct {
	App string
	// Day is a calendar day, such as 2026-11-21.
	Day string
}

// StatsField names one count of a day.
type StatsField struct {
	Kind Kind
	// TemplateID is Notification.PauseName: the template, or of a card its type. It is
	// FurtherTemplates once a day has more than a few thousand counts.
	TemplateID string
	// Outcome is an Outcome, delivered or undelivered.
	Outcome string
}

// FurtherTemplates stands for the templates of a day that are not told apart any more.
const FurtherTemplates = "*"

// StatsKept is how long the counts of a day are kept.
const StatsKept = 90 * 24 * time.Hour

const (
	// statsMost bounds the fields of a day: template ids come from outside.
	statsMost = 5000
	// batchKept is how long a batch is remembered, and so how long Redis may be away
	// before one whose answer was lost is counted twice.
	batchKept = 2 * 24 * time.Hour
)

// NewStats returns the counts of a namespace.
func NewStats(rdb redis.UniversalClient, ns Namespace) *Stats { return &Stats{rdb: rdb, ns: ns} }

// key has the app as hash tag, so that a script may write the counts and the batch.
func (s *Stats) key(d StatsDay) string { return s.ns.Key("stats:{" + d.App + "}:" + d.Day) }

// Add adds counts to a day. writer names the process, and batch numbers what it adds,
// from 1: the same batch is added once.
func (s *Stats) Add(ctx context.Context, d StatsDay, writer string, batch int64, counts map[StatsField]int64) error {
	args := []any{batch, StatsKept.Milliseconds(), batchKept.Milliseconds(), statsMost, FurtherTemplates}
	for f, n := range counts {
		args = append(args, string(f.Kind), f.TemplateID, f.Outcome, n)
	}
	key := s.key(d)
	if err := statsScript.Run(ctx, s.rdb, []string{key, key + ":" + writer}, args...).Err(); err != nil {
		return fmt.Errorf("tasks: add to the stats: %w", err)
	}
	return nil
}

// StatsRow is what became of the notifications of one day, kind and template.
type StatsRow struct {
	Day        string `json:"day"`
	Kind       Kind   `json:"kind"`
	TemplateID string `json:"template_id"`
	// Outcomes are numbers by outcome, and by delivered and undelivered.
	Outcomes map[string]int64 `json:"outcomes"`
}

// Read returns the rows of an app's days, in their order, then by kind and template.
func (s *Stats) Read(ctx context.Context, app string, days []string) ([]StatsRow, error) {
	cmds := make([]*redis.MapStringStringCmd, len(days))
	_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i, day := range days {
			cmds[i] = p.HGetAll(ctx, s.key(StatsDay{app, day}))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("tasks: read the stats: %w", err)
	}
	rows := []StatsRow{}
	for i, day := range days {
		rows = append(rows, statsRows(day, cmds[i].Val())...)
	}
	return rows, nil
}

func statsRows(day string, counts map[string]string) []StatsRow {
	byTemplate := make(map[[2]string]StatsRow)
	for field, text := range counts {
		parts := strings.Split(field, ";")
		n, err := strconv.ParseInt(text, 10, 64)
		if len(parts) != 3 || err != nil {
			continue // a later version's
		}
		name := [2]string{parts[0], parts[1]}
		row, ok := byTemplate[name]
		if !ok {
			row = StatsRow{Day: day, Kind: Kind(parts[0]), TemplateID: parts[1], Outcomes: make(map[string]int64)}
			byTemplate[name] = row
		}
		row.Outcomes[parts[2]] = n
	}
	rows := make([]StatsRow, 0, len(byTemplate))
	for _, row := range byTemplate {
		rows = append(rows, row)
	}
	slices.SortFunc(rows, func(a, b StatsRow) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.TemplateID, b.TemplateID))
	})
	return rows
}
