package sandbox

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"
)

// maxAnswerPushes bounds the pushes of one Answer.
const maxAnswerPushes = 10_000

// What a user can answer.
const (
	Accept = "accept"
	Reject = "reject"
)

// Where a user answers.
const (
	AnswerPopup  = "popup"  // in the dialog of wx.requestSubscribeMessage
	AnswerChange = "change" // in the message's own menu, where one can only refuse
)

// UserAnswer is what a user answers about some templates at once.
type UserAnswer struct {
	OpenID string `json:"openid"`
	// Results are Accept or Reject by template ID.
	Results map[string]string `json:"results"`
	// Event is AnswerPopup or AnswerChange. Default AnswerPopup.
	Event string `json:"event,omitempty"`
	// Time is the CreateTime of the event in Unix seconds. Default now, and for each answer of a user at least a second
	// after the one before: nobody answers two dialogs in one second, and two events of the same second may be taken for one.
	Time int64 `json:"time,omitempty"`
}

// Pushing says how the events of answers are pushed. The zero value is once, in order.
type Pushing struct {
	// Repeat is how often each event is pushed in all. Default 1.
	Repeat int `json:"repeat,omitempty"`
	// Shuffle pushes them in random order, the same one for the same seed.
	Shuffle bool `json:"shuffle,omitempty"`
	// Off pushes nothing.
	Off bool `json:"-"`
}

// Answer lets users answer, in the order given: it changes what they allow and pushes the events, one after another. An
// acceptance of a one-time template allows one more message, that of a long-term one any number until it is refused; a
// refusal leaves none. The openids become known to the app. Without a Callback nothing is pushed.
func (s *Server) Answer(appID string, answers []UserAnswer, how Pushing) error {
	a, err := s.known(appID)
	if err != nil {
		return err
	}
	switch {
	case how.Repeat < 0 || how.Repeat > maxRepeat:
		return fmt.Errorf("sandbox: repeat: must lie between 0 and %d", maxRepeat)
	case max(1, how.Repeat)*len(answers) > maxAnswerPushes:
		return fmt.Errorf("sandbox: answers, repeat: must lead to at most %d pushes", maxAnswerPushes)
	}
	events, t, err := a.answer(answers, how, s.now())
	if err != nil || t == nil || how.Off || len(events) == 0 {
		return err
	}
	a.courier.post(delivery{target: t, events: events})
	return nil
}

// answer takes the answers and returns what is to be pushed where.
func (a *app) answer(answers []UserAnswer, how Pushing, now time.Time) ([]event, *target, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, u := range answers {
		if err := a.checkAnswer(u); err != nil {
			return nil, nil, err
		}
	}
	var events []event
	for _, u := range answers {
		e, err := a.take(u, now)
		if err != nil {
			return nil, nil, err
		}
		events = append(events, e)
	}
	events = slices.Repeat(events, max(1, how.Repeat))
	if how.Shuffle {
		rand.New(a.pushDice).Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	}
	return events, a.target, nil
}

func (a *app) checkAnswer(u UserAnswer) error {
	switch {
	case u.OpenID == "":
		return errors.New("sandbox: openid: must not be empty")
	case len(u.Results) == 0:
		return errors.New("sandbox: results: must not be empty")
	case !oneOf(u.Event, "", AnswerPopup, AnswerChange):
		return fmt.Errorf("sandbox: event: must be %s or %s", AnswerPopup, AnswerChange)
	case u.Time < 0:
		return errors.New("sandbox: time: must not be negative")
	}
	for template, result := range u.Results {
		_, known := a.templates[template]
		switch {
		case !known && !a.anyTemplate(template):
			return errors.New("sandbox: results: has a template the app does not have")
		case !oneOf(result, Accept, Reject):
			return fmt.Errorf("sandbox: results: must be %s or %s", Accept, Reject)
		case result == Accept && u.Event == AnswerChange:
			return fmt.Errorf("sandbox: results: WeChat pushes only refusals as %s", AnswerChange)
		}
	}
	return nil
}

// take changes what a user allows and returns the event that says so.
func (a *app) take(u UserAnswer, now time.Time) (event, error) {
	if err := a.admitUser(u.OpenID); err != nil {
		return event{}, err
	}
	n := a.numerals()
	created := strconv.FormatInt(a.users.answerTime(u, now), 10)
	e := event{name: EventPopup, openid: u.OpenID, created: n.write(created)}
	if u.Event == AnswerChange {
		e.name = EventChange
	}
	for _, template := range slices.Sorted(maps.Keys(u.Results)) {
		if err := a.settle(subscription{u.OpenID, template}, u.Results[template]); err != nil {
			return event{}, err
		}
		item := map[string]any{"TemplateId": template, "SubscribeStatusString": u.Results[template]}
		if e.name == EventPopup {
			item["PopupScene"] = n.write("0")
		}
		e.list = append(e.list, item)
	}
	return e, nil
}

// settle changes what one user allows for one template.
func (a *app) settle(key subscription, result string) error {
	u := &a.users
	if _, ok := u.consents[key]; !ok && len(u.consents) >= maxUsers {
		return a.noRoom()
	}
	longTerm := a.longTerm(key.template)
	left := new(int64)
	switch {
	case result == Reject:
		u.consents[key] = &consent{refused: true, credits: left}
		return nil
	case longTerm:
		u.consents[key] = &consent{}
		return nil
	}
	if before := u.consent(key.openid, key.template, longTerm); before != nil && before.credits != nil {
		*left = *before.credits
	}
	*left++ // without end becomes one: from the first answer on the sandbox counts
	u.consents[key] = &consent{credits: left}
	return nil
}

// answerTime is the CreateTime of an answer.
func (u *users) answerTime(answer UserAnswer, now time.Time) int64 {
	if answer.Time > 0 {
		return answer.Time
	}
	last, ok := u.answered[answer.OpenID]
	t := max(now.Unix(), last+1)
	if ok || len(u.answered) < maxUsers {
		u.answered[answer.OpenID] = t
	}
	return t
}
