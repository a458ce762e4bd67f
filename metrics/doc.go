// Package metrics holds every Prometheus series of wxnotify: typed recorders
// for what the program does, a collector for the state of its queues, and the
// handler of the admin port.
//
// # Labels are closed sets
//
// A label value multiplies the number of series, and a label is the easiest
// way for personal data to leave the program. So no value reaches a label
// unseen: the values that exist are announced at start with
// [Metrics.InitializeFor], and a recorder that is given any other one counts it
// under [Other]. An AppID or a kind read from a request may therefore be passed
// as it came. No recorder takes an openid, a notification id, a template id, a
// URL or an error text.
//
// Announcing also creates the counters and histograms at zero, because rate()
// and increase() do not see the step from "no such series" to 1. Three things
// are not created ahead: the errcodes other than success, which are too many;
// the series under [Other]; and the gauges of moments, because 0 would read as
// 1970.
//
// # No globals
//
// Each Metrics has its own registry. All methods may be called on a nil
// *Metrics, where they do nothing, and by several goroutines at once.
package metrics
