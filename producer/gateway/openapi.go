package gateway

import (
	_ "embed"
	"net/http"
)

//go:embed openapi.json
var openAPI []byte

// document is GET /v1/openapi.json.
func document(*exchange) reply { return reply{status: http.StatusOK, body: openAPI} }
