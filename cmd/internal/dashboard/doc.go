// Package dashboard serves asynqmon, the web page of the queues, in a form that
// may be shown to whoever operates wxnotify: it changes nothing, asks for a login,
// and shows neither who gets a message nor what the message says.
//
// asynqmon shows payloads in its lists of tasks, in a task's page, in the servers'
// active workers and in scheduler entries; all of them go through one formatter.
// Results go through another. The texts of errors have none, so the answers that
// hold them are rewritten.
package dashboard
