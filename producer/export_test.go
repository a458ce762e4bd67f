package producer

import (
	"context"

	"github.com/wxnotify/wxnotify/tasks/ledger"
)

// KnowTypes makes the client know the types of every app's templates.
func (c *Client) KnowTypes(types map[string]ledger.TemplateType) {
	c.types = func(context.Context, string) map[string]ledger.TemplateType { return types }
}
