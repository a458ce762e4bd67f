package callback

import (
	"slices"

	"github.com/wxnotify/wxnotify/tasks"
)

// How a request ended, for Config.Observe.
const (
	Verified = "verified" // WeChat checked the address
	Accepted = "accepted" // an event was stored
	Ignored  = "ignored"  // genuine, and nothing in it to act on
	Refused  = "refused"  // not proven to be WeChat's, or unreadable
	Failed   = "failed"   // genuine, and could not be stored
	Crowded  = "crowded"  // large, as many others at the same time: not looked at
)

// Results lists the results that Config.Observe is called with.
func Results() []string { return []string{Verified, Accepted, Ignored, Refused, Failed, Crowded} }

// What became of a genuine push, for Config.ObserveEvent.
const (
	EventQueued  = "queued"  // stored for the workers
	EventIgnored = "ignored" // nobody acts on pushes of this name
	// EventMalformed: left out because its shape is wrong. It counts the items left
	// out of an event that is stored, or one event that holds nothing usable.
	EventMalformed = "malformed"
	EventFailed    = "failed" // could not be stored; WeChat will push it again
)

// EventResults lists the results that Config.ObserveEvent is called with.
func EventResults() []string {
	return []string{EventQueued, EventIgnored, EventMalformed, EventFailed}
}

// otherEvent stands for the events we do not know and for users' messages.
const otherEvent = "other"

// EventNames lists the event names that Config.ObserveEvent is called with.
func EventNames() []string {
	names := []string{otherEvent}
	for _, name := range tasks.EventNames() {
		names = append(names, string(name))
	}
	return names
}

// label is the name under which an event is counted and logged.
func label(event string) string {
	if slices.Contains(tasks.EventNames(), tasks.EventName(event)) {
		return event
	}
	return otherEvent
}
