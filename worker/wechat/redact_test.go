package wechat

import (
	"encoding/json"
	"runtime"
	"slices"
	"strings"
	"testing"
)

func TestValuesOfJSON(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want []string
	}{
		{`{}`, nil},
		{`{"name":"value"}`, []string{"value", "value"}},
		{` { "a" : [ 1.50 , "x\/y" ] , "b":{"name":"value"}}`, []string{"", "1.50", "x/y", `x\/y`, "value", "value"}},
		{`[1e999,true,null,"a:b","{"]`, []string{"", "1e999", "", "true", "", "null", "a:b", "a:b", "{", "{"}},
		{`"alone"`, []string{"alone", "alone"}},
	} {
		if got := appendValues(nil, json.RawMessage(c.text)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", c.text, got, c.want)
		}
	}
}

// A card can nest as deep as it is long. What that costs must not grow with its square: one
// card that WeChat refuses would hold the worker's calls up for longer than their leases.
func TestDeepJSONIsReadOnce(t *testing.T) { // not parallel: it counts what is allocated
	const depth = 8000
	card := json.RawMessage(`{"cur_status":1,"a":` + strings.Repeat("[", depth) + `"bottom"` + strings.Repeat("]", depth) + `}`)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	message, _ := redactor{objects: []json.RawMessage{card}}.clean("content_json: bottom is wrong")
	runtime.ReadMemStats(&after)
	if strings.Contains(message, "bottom") {
		t.Errorf("shown: %s", message)
	}
	if most := uint64(200 * len(card)); after.TotalAlloc-before.TotalAlloc > most {
		t.Errorf("%d bytes allocated for a card of %d, want at most %d", after.TotalAlloc-before.TotalAlloc, len(card), most)
	}
}
