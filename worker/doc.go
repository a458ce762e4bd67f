// Package worker takes notifications from their queues and sends them.
//
// Every app has an asynq server per lane (critical, default, bulk), so that a
// slow lane or app never holds another's tasks or goroutines; one more server
// runs the scheduled jobs. A task goes through
//
//	binder    reads it once and sets aside what is not ours to read
//	delivery  claim, token, turn, admission, call, settlement
//	outcomes  the one table that turns an answer into what happens next
//
// What a handler returns to asynq is decided by the recorded state alone: nil
// once an outcome stands, a *later while it does not, asynq.SkipRetry for a dead
// letter. So asynq's retry counts and clocks decide nothing: it only brings the
// task back.
package worker
