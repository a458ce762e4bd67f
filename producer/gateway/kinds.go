package gateway

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/wxnotify/wxnotify/tasks"
)

// setOpenIDs reads the users of a device message.
func setOpenIDs(d *draft[tasks.Notification], field string, raw json.RawMessage) {
	const want = `an array of openids, such as ["o…", "o…"]`
	if raw[0] != '[' {
		d.add(field, "must be "+want+", not "+typeOf(raw))
		return
	}
	list := []string{}
	for element := range elements(raw) {
		if len(list) > tasks.MaxOpenIDs {
			break // too many already, which the contract says
		}
		s, ok := d.str(field, element, want)
		if !ok {
			return
		}
		list = append(list, s)
	}
	d.v.To.OpenIDs = list
	if len(list) == 0 {
		d.add(field, "must not be empty: leave it out if nothing is meant")
	}
}

// setNotifyType reads a card's type by its number or its name.
func setNotifyType(d *draft[tasks.Notification], field string, raw json.RawMessage) {
	word := string(raw)
	if raw[0] == '"' {
		word, _ = d.str(field, raw, "a string")
	}
	t, known := tasks.ParseNotifyType(word)
	if !known {
		d.add(field, fmt.Sprintf("must be a number of WeChat's list, such as %d, or one of the names %s", tasks.CardTrain, notifyTypeNames()))
	}
	d.v.NotifyType = t
}

func notifyTypeNames() string {
	var names []string
	for _, t := range tasks.NotifyTypes() {
		names = append(names, t.String())
	}
	return strings.Join(names, ", ")
}

// cardObject reads an object of a card. What is in it is WeChat's business, but that no
// name may come twice: nobody can tell which one it would take.
func cardObject(at func(*tasks.Notification) *json.RawMessage) setter[tasks.Notification] {
	return func(d *draft[tasks.Notification], field string, raw json.RawMessage) {
		if raw[0] != '{' {
			hint := ""
			if raw[0] == '"' {
				hint = ": give the object itself, it is put into a string here"
			}
			d.add(field, `must be an object, such as {"cur_status": 1}, not `+typeOf(raw)+hint)
			return
		}
		seen := map[string]bool{}
		for name := range members(raw) {
			if seen[name] {
				d.add(shown(field, name), "appears twice: say it once")
			}
			seen[name] = true
			if d.full() {
				return
			}
		}
		*at(&d.v) = raw
	}
}
