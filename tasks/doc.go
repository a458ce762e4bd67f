// Package tasks is the contract between the services that enqueue
// notifications and the workers that send them: words, ids, kinds, payloads,
// queues and policies, and the client that puts a task into Redis.
//
// It knows neither side: producers and workers both import it and never each
// other. What is stored about a notification after it was enqueued lives in
// tasks/ledger.
package tasks
