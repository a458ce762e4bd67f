package producer

import (
	"context"

	"github.com/wxnotify/wxnotify/tasks"
)

// KnowTypes makes the client know the types of every app's templates.
func (c *Client) KnowTypes(types map[string]tasks.TemplateType) {
	c.types = func(context.Context, string) map[string]tasks.TemplateType { return types }
}
