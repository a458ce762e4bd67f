package gateway

import (
	"context"
	"slices"
	"testing"

	"github.com/wxnotify/wxnotify/producer"
	"github.com/wxnotify/wxnotify/tasks"
)

func (f *fakeSender) Stats(ctx context.Context, q producer.StatsQuery) (producer.Stats, error) {
	if err := f.begin(ctx); err != nil {
		return producer.Stats{}, err
	}
	f.asked = append(f.asked, q)
	return producer.Stats{App: q.App, Days: []producer.StatsRow{
		{Day: "2026-11-21", Kind: tasks.KindSubscribe, TemplateID: "T", Outcomes: map[string]int64{"accepted": 2, "delivered": 1}},
	}}, nil
}

func TestStats(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.do("GET", "/v1/stats", "").want(200).wantField("app", app)
	b.do("GET", "/v1/stats?days=90&app="+app, "").want(200)
	if want := []producer.StatsQuery{{App: app}, {App: app, Days: 90}}; !slices.Equal(b.sender.asked, want) {
		t.Errorf("asked %+v, want %+v", b.sender.asked, want)
	}
	for _, days := range []string{"", "0", "-1", "91", "week", "1.5"} {
		wantFields(b.do("GET", "/v1/stats?days="+days, "").want(422), "days")
	}
	b.do("GET", "/v1/stats", "", "Authorization: ").want(401)
	b.do("POST", "/v1/stats", "{}").want(405)
	b.sender.err = producer.ErrUnavailable
	b.do("GET", "/v1/stats", "").want(503)
}
