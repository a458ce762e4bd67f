// Package producer is how another service enqueues WeChat Mini Program
// notifications. It needs a Redis URL and no WeChat secret:
//
//	client, err := producer.New("redis://localhost:6379/0")
//	receipt, err := client.Send(ctx, producer.Notification{App: "wx…", To: producer.Recipient{OpenID: "o…"}, …})
//
// Once Send returns without an error, the notification is stored in Redis and a
// worker will send it. The same id is sent once, however often and however many
// services enqueue it, so a caller that does not know whether its request
// arrived repeats it with the same id.
//
// It also takes in what users allow: GrantSubscription and GrantFormID; Credits
// tells what is left of it, and EraseUser forgets a user.
package producer
