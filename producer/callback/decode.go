package callback

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
)

// envelope is what a body says before it is opened.
type envelope struct {
	XMLName      xml.Name `json:"-" xml:"xml"`
	Encrypt      text
	FromUserName text
	MsgType      text
	Event        text
}

// hasPlaintext reports whether the body is a push as it is. ToUserName proves
// nothing: it stands beside a sealed text too.
func (e *envelope) hasPlaintext() bool {
	return e.FromUserName != "" || e.MsgType != "" || e.Event != ""
}

// message is a push; see "订阅消息" in the WeChat documentation.
type message struct {
	XMLName      xml.Name `json:"-" xml:"xml"`
	FromUserName text     // the user's openid
	CreateTime   text     // Unix seconds
	Encrypt      text     `json:"Encrypt,omitempty"` // beside the rest in compatible mode
	MsgType      text     // "event", or the type of a user's message
	Event        text
	List         items   // where JSON has them
	Popup        wrapper `json:"SubscribeMsgPopupEvent" xml:"SubscribeMsgPopupEvent"`
	Change       wrapper `json:"SubscribeMsgChangeEvent" xml:"SubscribeMsgChangeEvent"`
	Sent         wrapper `json:"SubscribeMsgSentEvent" xml:"SubscribeMsgSentEvent"`
	card
}

// card is what a push about a service card says, beside the rest.
type card struct {
	OpenID     text `json:"openid" xml:"openid"`
	NotifyCode text `json:"notify_code" xml:"notify_code"`
	NotifyType text `json:"notify_type" xml:"notify_type"`
	CardStatus text `json:"card_status" xml:"card_status"`
	FailRet    text `json:"fail_ret" xml:"fail_ret"`
	FailMsg    text `json:"fail_msg" xml:"fail_msg"`
}

// wrapper is where XML has the items.
type wrapper struct{ List items }

// item is one entry of a List.
type item struct {
	TemplateID  text `json:"TemplateId" xml:"TemplateId"`
	Status      text `json:"SubscribeStatusString" xml:"SubscribeStatusString"` // accept or reject
	MsgID       text
	ErrorCode   text
	ErrorStatus text
}

var errUnreadable = errors.New("callback: neither JSON nor XML")

// decode reads body as what its first character says: WeChat's Content-Type is
// not to be relied on. A value of another type than expected is left empty.
func decode(body []byte, into any) error {
	body = bytes.TrimSpace(body)
	if len(body) == 0 {
		return errUnreadable
	}
	switch body[0] {
	case '{':
		return decodeJSON(body, into)
	case '<':
		return decodeXML(body, into)
	}
	return errUnreadable
}

func decodeJSON(body []byte, into any) error {
	err := json.Unmarshal(body, into)
	if _, mismatch := errors.AsType[*json.UnmarshalTypeError](err); mismatch {
		return nil // the rest of it is read
	}
	return err
}

// text is a string, or in JSON a number as it was written: as a float, a MsgID
// would lose its last digits.
type text string

// UnmarshalJSON never fails: what is neither string nor number reads as nothing.
func (t *text) UnmarshalJSON(value []byte) error {
	*t = ""
	switch c := value[0]; {
	case c == '"' && bytes.IndexByte(value, '\\') < 0:
		*t = text(value[1 : len(value)-1])
	case c == '"':
		return json.Unmarshal(value, (*string)(t))
	case c == '-' || c >= '0' && c <= '9':
		*t = text(value)
	}
	return nil
}

// items is a List: WeChat writes one item as an object and several as an array,
// or an array in any case.
type items []item

// UnmarshalJSON leaves a List of another type empty, and an item of another type
// without fields.
func (l *items) UnmarshalJSON(value []byte) error {
	*l = nil
	switch value[0] {
	case '{':
		*l = make(items, 1)
		return decodeJSON(value, &(*l)[0])
	case '[':
		return decodeJSON(value, (*[]item)(l))
	}
	return nil
}

// maxDepth bounds how deep elements nest. The items' fields are at depth 4.
const maxDepth = 8

var (
	errDocType  = errors.New("callback: xml: has a document type")
	errTooDeep  = errors.New("callback: xml: nests too deep")
	errTrailing = errors.New("callback: xml: goes on after its end")
)

// decodeXML knows no entities but the five of XML itself.
func decodeXML(body []byte, into any) error {
	d := xml.NewTokenDecoder(&guard{next: xml.NewDecoder(bytes.NewReader(body))})
	if err := d.Decode(into); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errTrailing
	}
	return nil
}

// guard refuses what no push has, before a decoder acts on it.
type guard struct {
	next  *xml.Decoder
	depth int
}

// Token returns the next token that may pass.
func (g *guard) Token() (xml.Token, error) {
	token, err := g.next.RawToken()
	if err != nil {
		return nil, err
	}
	switch token.(type) {
	case xml.Directive:
		return nil, errDocType
	case xml.StartElement:
		g.depth++
	case xml.EndElement:
		g.depth--
	}
	if g.depth > maxDepth {
		return nil, errTooDeep
	}
	return token, nil
}
