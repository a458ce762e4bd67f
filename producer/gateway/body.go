package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/wxnotify/wxnotify/tasks"
)

// Bounds of a request. A notification that passes validation stays far below.
const (
	maxBody  = 64 << 10
	maxBatch = 1 << 20
	maxItems = 1000
)

// readPost returns the JSON object of a POST, which takes no query.
func (x *exchange) readPost(limit int64) (json.RawMessage, *problem) {
	query, p := readQuery(x.r.URL)
	if p != nil {
		return nil, p
	}
	if fields := checkQuery(query); len(fields) > 0 {
		return nil, invalid(fields...)
	}
	if p := checkMediaType(x.r.Header); p != nil {
		return nil, p
	}
	body, p := x.readBody(limit)
	if p != nil {
		return nil, p
	}
	return parseObject(body)
}

func tooLarge() *problem {
	return newProblem(http.StatusRequestEntityTooLarge,
		fmt.Sprintf("too large: a notification may have %d KiB, a batch %d MiB and %d notifications; split the batch",
			maxBody>>10, maxBatch>>20, maxItems))
}

func checkMediaType(h http.Header) *problem {
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	charset, given := params["charset"]
	if err != nil || media != "application/json" || given && !strings.EqualFold(charset, "utf-8") {
		return newProblem(http.StatusUnsupportedMediaType, "send JSON in UTF-8, with the header Content-Type: application/json")
	}
	if coding := h.Get("Content-Encoding"); coding != "" && !strings.EqualFold(coding, "identity") {
		return newProblem(http.StatusUnsupportedMediaType, "send the body uncompressed, without the header Content-Encoding")
	}
	return nil
}

// parseObject accepts exactly one object in UTF-8. encoding/json's own error
// texts quote the body, so only the place is told.
func parseObject(body []byte) (json.RawMessage, *problem) {
	if !utf8.Valid(body) {
		return nil, newProblem(http.StatusBadRequest, "the body is not UTF-8: encode the text as UTF-8, not as GBK or Latin-1")
	}
	if !json.Valid(body) {
		return nil, newProblem(http.StatusBadRequest,
			fmt.Sprintf("the body is not one JSON value: check it near byte %d of %d", errorOffset(body), len(body)))
	}
	value := bytes.Trim(body, " \t\r\n")
	if value[0] != '{' {
		return nil, newProblem(http.StatusBadRequest, "the body must be a JSON object: see /v1/openapi.json for its fields")
	}
	return value, nil
}

// errorOffset is where a body stops being JSON.
func errorOffset(body []byte) int64 {
	var value json.RawMessage
	if syntax, ok := errors.AsType[*json.SyntaxError](json.Unmarshal(body, &value)); ok {
		return syntax.Offset
	}
	return 0
}

// target returns the app and the id that a request for one notification names.
func (g *gateway) target(x *exchange) (app, id string, p *problem) {
	_, app, fields, p := g.asked(x)
	if p != nil {
		return "", "", p
	}
	id = x.r.PathValue("id")
	if !tasks.ValidID(id) {
		fields = append(fields, tasks.FieldError{Field: "id", Detail: "no id looks like this: 1 to 128 characters of A-Z a-z 0-9 . _ ~ -"})
	}
	if len(fields) > 0 {
		return "", "", invalid(fields...)
	}
	x.app, x.id = app, id
	return app, id, nil
}

// asked reads a query that may name an app, and no other parameter but those
// known. fields is what is wrong with it.
func (g *gateway) asked(x *exchange, known ...string) (query url.Values, app string, fields []tasks.FieldError, p *problem) {
	query, p = readQuery(x.r.URL)
	if p != nil {
		return nil, "", nil, p
	}
	fields = checkQuery(query, append(known, "app")...)
	app, wrong := g.chosenApp(query.Get("app"))
	if wrong != "" && len(query["app"]) < 2 {
		fields = append(fields, tasks.FieldError{Field: "app", Detail: wrong})
	}
	return query, app, fields, nil
}

func readQuery(u *url.URL) (url.Values, *problem) {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return nil, newProblem(http.StatusBadRequest, "the query cannot be read: escape its values")
	}
	return query, nil
}

// checkQuery refuses parameters nobody reads: they mean something to the caller.
func checkQuery(query url.Values, known ...string) []tasks.FieldError {
	var fields []tasks.FieldError
	for name, values := range query {
		switch {
		case !slices.Contains(known, name):
			fields = append(fields, tasks.FieldError{Field: shown("", name), Detail: "unknown query parameter: leave it out"})
		case len(values) > 1:
			fields = append(fields, tasks.FieldError{Field: name, Detail: "appears twice: say it once"})
		}
		if len(fields) == maxFieldErrors {
			break
		}
	}
	slices.SortFunc(fields, func(a, b tasks.FieldError) int { return strings.Compare(a.Field, b.Field) })
	return fields
}

// chosenApp returns the app a request means, or what is wrong with the one it named.
func (g *gateway) chosenApp(named string) (app, wrong string) {
	switch {
	case named == "" && len(g.apps) == 1:
		return g.apps[0], ""
	case named == "" && len(g.apps) > 1:
		return "", "required: this gateway serves several apps, say which AppID"
	case !tasks.ValidApp(named):
		return "", "required: the AppID, letters, digits, '_' or '-'"
	case len(g.apps) > 0 && !slices.Contains(g.apps, named):
		return "", "this gateway does not serve this app: check the AppID, or add it to WXNOTIFY_APPS"
	}
	return named, ""
}
