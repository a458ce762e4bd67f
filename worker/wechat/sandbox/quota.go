package sandbox

import (
	"fmt"
	"slices"
	"time"
)

// Quota limits the calls of one API. 0 is no limit.
type Quota struct {
	PerSecond int64 `json:"per_second,omitempty"` // over it: 45011
	PerMinute int64 `json:"per_minute,omitempty"` // over it: 45011
	PerDay    int64 `json:"per_day,omitempty"`    // over it: 45009
}

// Quotas are limits by API name. An API that is not named has WeChat's own.
type Quotas map[string]Quota

// defaultQuotas are WeChat's: 2 000 classic tokens a day (official for official accounts, reported for Mini Programs), the
// documented limits of stable_token, the sends of an app without payment ability, and 300 reads of the templates a day
// (reported for a sister call). The minute quota of jscode2session is not published.
func defaultQuotas() Quotas {
	return Quotas{
		APIToken:         {PerDay: 2000},
		APIStableToken:   {PerMinute: 10_000, PerDay: 500_000},
		APISubscribeSend: {PerDay: 10_000_000},
		APITemplateSend:  {PerDay: 1_000_000},
		APIGetTemplates:  {PerDay: 300},
		APIDeviceSend:    {PerDay: 10_000_000},
	}
}

// complete checks q and fills in the defaults of what it does not name.
func (q Quotas) complete() (Quotas, error) {
	full := defaultQuotas()
	for api, limit := range q {
		if !slices.Contains(apis(), api) {
			return nil, fmt.Errorf("sandbox: calls.%s: unknown call, known are %v", api, apis())
		}
		if limit.PerSecond < 0 || limit.PerMinute < 0 || limit.PerDay < 0 {
			return nil, fmt.Errorf("sandbox: calls.%s: must not be negative", api)
		}
		full[api] = limit
	}
	return full, nil
}

// SetQuotas replaces the limits of an app; an empty appID means every app, those added later too. What was used already counts on.
func (s *Server) SetQuotas(appID string, q Quotas) error {
	full, err := q.complete()
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	chosen, err := s.chosen(appID)
	if err != nil {
		return err
	}
	for _, a := range chosen {
		a.setQuotas(full)
	}
	if appID == "" {
		s.quotas = full
	}
	return nil
}

func (a *app) setQuotas(q Quotas) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for api, c := range a.calls {
		c.quota = q[api]
	}
}

// window counts the calls of one calendar second, minute, day or month.
type window struct{ number, used int64 }

// at moves the window on to the given one and returns what is used of it.
func (w *window) at(number int64) int64 {
	if w.number != number {
		*w = window{number: number}
	}
	return w.used
}

// meter counts one API's calls against its quota.
type meter struct{ second, minute, day window }

// take counts one call and returns 0, or counts nothing and returns the errcode of the limit it is over.
func (m *meter) take(now time.Time, q Quota) int {
	over := func(used, limit int64) bool { return limit > 0 && used >= limit }
	second, minute, day := m.second.at(now.Unix()), m.minute.at(now.Unix()/60), m.day.at(dayOf(now))
	switch {
	case over(day, q.PerDay):
		return 45009
	case over(minute, q.PerMinute), over(second, q.PerSecond):
		return 45011
	}
	m.second.used++
	m.minute.used++
	m.day.used++
	return 0
}

// dayOf numbers the days of China (UTC+8, no summer time), where quotas are taken to begin anew at midnight: unconfirmed.
func dayOf(t time.Time) int64 { return (t.Unix() + 8*3600) / 86400 }
