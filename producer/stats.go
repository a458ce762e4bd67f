package producer

import (
	"context"
	"fmt"
	"time"

	"github.com/wxnotify/wxnotify/tasks"
)

// Stats is what became of an app's notifications, day by day.
type Stats struct {
	App string `json:"app"`
	// Days are the rows of the days asked for, the newest day first. A day without an
	// outcome has none.
	Days []StatsRow `json:"days"`
}

// StatsRow is what became of the notifications of one day, kind and template.
type StatsRow = tasks.StatsRow

// The days that Stats may be asked for.
const (
	DefaultStatsDays = 7
	MaxStatsDays     = int(tasks.StatsKept / (24 * time.Hour))
)

// StatsQuery says which counts Stats returns.
type StatsQuery struct {
	// App is the AppID. Required.
	App string
	// Days is how many days are wanted, today included, at most MaxStatsDays.
	// Default DefaultStatsDays.
	Days int
}

// shanghai has had no summer time since 1991.
var shanghai = time.FixedZone("Asia/Shanghai", 8*60*60)

// Stats counts outcomes by day, kind and template, from the workers' own books: what
// each recorded, a few seconds late. A dead letter that is replayed counts once more
// with its next outcome; delivered and undelivered count beside accepted. What a worker
// counted in the five seconds before it was killed is missing. Errors:
// *ValidationError, ErrUnavailable, or ctx's.
func (c *Client) Stats(ctx context.Context, q StatsQuery) (Stats, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	if q.Days == 0 {
		q.Days = DefaultStatsDays
	}
	var wrong refusal
	wrong.check(tasks.ValidApp(q.App), "app", "required: the AppID")
	wrong.check(q.Days >= 1 && q.Days <= MaxStatsDays, "days", fmt.Sprintf("must be from 1 to %d", MaxStatsDays))
	if err := wrong.err(); err != nil {
		return Stats{}, err
	}
	today := time.Now().In(c.zone)
	days := make([]string, q.Days)
	for i := range days {
		days[i] = today.AddDate(0, 0, -i).Format(time.DateOnly)
	}
	rows, err := c.stats.Read(ctx, q.App, days)
	if err != nil {
		return Stats{}, unavailable(ctx, err)
	}
	return Stats{App: q.App, Days: rows}, nil
}
