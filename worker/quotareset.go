package worker

import "time"

func NextQuotaReset(now time.Time, hour int) time.Time {
	china := now.In(time.FixedZone("", 8*3600))
	next := time.Date(china.Year(), china.Month(), china.Day(), hour, 0, 0, 0, china.Location())
	if !next.After(now) {
		next = next.AddDate(0, 0, 1)
	}
	return next
}
