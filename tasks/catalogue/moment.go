package catalogue

import "unicode/utf8"

// judgeTime takes a time of day with or without a date, or two with ~ between.
func judgeTime(value string) string {
	return judgeMoments(value, true,
		"write a time of the 24-hour clock such as "+secondsExample+", 2026年10月1日 15:01 if with its date; two with ~ between")
}

// judgeDate takes a date with or without a time, or two with ~ between.
func judgeDate(value string) string {
	return judgeMoments(value, false,
		"write a date such as 2026年10月1日, 2026-10-01, 2026年10月 or 10月1日, with its time such as 15:01 behind it if wanted; two with ~ between")
}

// judgeMoments takes one or two moments; timed: each needs its time, not its date.
func judgeMoments(value string, timed bool, sort string) string {
	m := moments{text: value}
	if m.moment(timed) && (m.ended() || m.tilde() && m.moment(timed) && m.ended()) {
		return ""
	}
	return wrongAt(utf8.RuneCountInString(value[:m.furthest])+1, sort)
}

// moments reads dates and times out of a text.
type moments struct {
	text string
	at   int
	// furthest is where reading got stuck: at, before it was set back.
	furthest int
}

func (m *moments) moment(timed bool) bool {
	if timed {
		return m.time()
	}
	return m.date()
}

func (m *moments) time() bool {
	start := m.at
	if m.clock() {
		return true
	}
	m.back(start)
	return m.day() && m.spaces() && m.clock()
}

func (m *moments) date() bool {
	if !m.day() {
		return false
	}
	end := m.at
	if !m.spaces() || !m.clock() {
		m.back(end)
	}
	return true
}

// clock reads 15:01 or 15:01:30. Whether 24:00 is one, WeChat does not say.
func (m *moments) clock() bool {
	if !m.number(1, 2, 0, 24) || !m.take(":") || !m.number(2, 2, 0, 59) {
		return false
	}
	end := m.at
	if !m.take(":") || !m.number(2, 2, 0, 59) {
		m.back(end)
	}
	return true
}

// day reads 2026年10月1日, 2026年10月, 10月1日, or the same with one of - / . between.
// Whether a month has that many days is not for us to say.
func (m *moments) day() bool {
	start := m.at
	if m.number(4, 4, 0, 9999) {
		if m.take("年") {
			return m.month() && m.take("月") && m.dayOfMonth()
		}
		separator := m.separator()
		return separator != "" && m.month() && m.rest(separator)
	}
	m.back(start)
	if !m.month() {
		return false
	}
	if m.take("月") {
		return m.number(1, 2, 1, 31) && m.take("日")
	}
	return m.separator() != "" && m.number(1, 2, 1, 31)
}

func (m *moments) month() bool { return m.number(1, 2, 1, 12) }

// dayOfMonth reads the 1日 that may follow a month.
func (m *moments) dayOfMonth() bool {
	end := m.at
	if !m.number(1, 2, 1, 31) || !m.take("日") {
		m.back(end)
	}
	return true
}

// rest reads the day that may follow a year and a month.
func (m *moments) rest(separator string) bool {
	end := m.at
	if !m.take(separator) || !m.number(1, 2, 1, 31) {
		m.back(end)
	}
	return true
}

func (m *moments) separator() string {
	for _, s := range [...]string{"-", "/", "."} {
		if m.take(s) {
			return s
		}
	}
	return ""
}

// number reads a whole number of so many digits within bounds.
func (m *moments) number(least, most, from, to int) bool {
	value, digits := 0, 0
	for m.at+digits < len(m.text) && digits < most && isDigit(m.text[m.at+digits]) {
		value = value*10 + int(m.text[m.at+digits]-'0')
		digits++
	}
	if digits < least || value < from || value > to {
		m.reach(m.at)
		return false
	}
	m.at += digits
	m.reach(m.at)
	return true
}

func (m *moments) take(s string) bool {
	if len(m.text)-m.at < len(s) || m.text[m.at:m.at+len(s)] != s {
		return false
	}
	m.at += len(s)
	m.reach(m.at)
	return true
}

// spaces reads those between a date and a time; behind 日 and 月 there may be none.
func (m *moments) spaces() bool {
	start := m.at
	for m.take(" ") { // it moves by itself
	}
	return m.at > start || start > 0 && m.text[start-1] >= utf8.RuneSelf
}

// tilde reads what stands between two moments.
func (m *moments) tilde() bool {
	for m.take(" ") { // it moves by itself
	}
	if !m.take("~") {
		return false
	}
	for m.take(" ") { // it moves by itself
	}
	return true
}

func (m *moments) ended() bool { return m.at == len(m.text) }

func (m *moments) back(to int) { m.at = to }

func (m *moments) reach(at int) { m.furthest = max(m.furthest, at) }
