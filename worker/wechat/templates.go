package wechat

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"

	"github.com/wxnotify/wxnotify/tasks/errcode"
)

// maxTemplatesBody bounds the list of templates, of which a real one has at most
// some dozens, each with its texts and enumerated values.
const maxTemplatesBody = 1 << 20

// Template is a template in the app's own list.
type Template struct {
	ID string // WeChat's priTmplId, the template_id of a send
	// Type is 2 for a one-time template (one acceptance, one message) and 3 for a
	// long-term one. Other numbers are kept as they are; 0 if none was told.
	Type    int
	Title   string
	Content string // with its placeholders, such as {{thing1.DATA}}
	Example string
	Enums   []Enum // the keywords that take listed values only
}

// Enum lists the values one keyword may take.
type Enum struct {
	KeywordCode string // the keyword as in Content, such as enum_string2.DATA
	Values      []string
}

// Templates reads the app's own list by GET /wxaapi/newtmpl/gettemplate. WeChat
// allows few of these calls a day (errcode 45009 is common here): keep the list.
// The error is an *Error; an answer without a list has class errcode.Unknown.
func (c *Client) Templates(ctx context.Context, accessToken string) ([]Template, error) {
	var list []Template
	_, err := c.call(ctx, request{
		api:      errcode.APIGetTemplates,
		endpoint: c.templatesURL,
		query:    "access_token=" + url.QueryEscape(accessToken),
		private:  redactor{secrets: [3]string{accessToken}},
		maxBody:  maxTemplatesBody,
		missing: func(a answer) (lacks string) {
			list, lacks = readTemplates(a.Data)
			return lacks
		},
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// wireTemplate is a template as WeChat writes it.
type wireTemplate struct {
	PriTmplID            scalar     `json:"priTmplId"`
	Title                scalar     `json:"title"`
	Content              scalar     `json:"content"`
	Example              scalar     `json:"example"`
	Type                 scalar     `json:"type"`
	KeywordEnumValueList []wireEnum `json:"keywordEnumValueList"`
}

type wireEnum struct {
	KeywordCode   scalar   `json:"keywordCode"`
	EnumValueList []scalar `json:"enumValueList"`
}

// readTemplates reads the list; a template without an id cannot be sent and is
// left out. lacks says what makes the answer useless, "" if nothing.
func readTemplates(data json.RawMessage) (list []Template, lacks string) {
	if !bytes.HasPrefix(data, []byte("[")) {
		return nil, "the answer has no list of templates"
	}
	var wire []wireTemplate
	_ = json.Unmarshal(data, &wire) // It is valid JSON: a member of an odd type is passed over, the rest read.
	for _, w := range wire {
		if w.PriTmplID.quoted && w.PriTmplID.text != "" {
			list = append(list, w.template())
		}
	}
	if len(wire) > 0 && len(list) == 0 {
		return nil, "the answer has no template with an id"
	}
	return list, ""
}

func (w wireTemplate) template() Template {
	kind, _ := strconv.Atoi(w.Type.text) // 0 where there is none
	t := Template{ID: w.PriTmplID.text, Type: kind, Title: w.Title.text, Content: w.Content.text, Example: w.Example.text}
	for _, e := range w.KeywordEnumValueList {
		enum := Enum{KeywordCode: e.KeywordCode.text}
		for _, value := range e.EnumValueList {
			enum.Values = append(enum.Values, value.text)
		}
		t.Enums = append(t.Enums, enum)
	}
	return t
}
