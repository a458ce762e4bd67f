package sandbox

import (
	"strings"
	"testing"
)

const templatesPath = "/wxaapi/newtmpl/gettemplate?access_token="

func TestGetTemplates(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) {
		a.AllowAnyTemplate = true
		a.Templates = []Template{
			{ID: "B", Keys: []string{"thing1", "time2"}},
			{ID: "A", Keys: []string{"enum_string1"}, Type: LongTerm, Title: "标题", Content: "c", Enums: map[string][]string{"enum_string1": {"x", "y"}}},
		}
	})
	token := b.stable(false).AccessToken
	b.must("PUT", "templates", `{"app":"wxtest","template_id":"C","keys":["thing1"],"type":3}`)
	b.must("PUT", "templates", `{"app":"wxtest","template_id":"B","keys":["thing1"]}`)
	b.wantCode(b.send(token, `{"touser":"oUser1","template_id":"X","data":{"thing1":{"value":"x"}}}`), 0) // is accepted, not listed
	const want = `{"errcode":0,"errmsg":"ok","data":[` +
		`{"priTmplId":"A","title":"标题","content":"c","example":"enum_string1:example\n","type":3,` +
		`"keywordEnumValueList":[{"keywordCode":"enum_string1.DATA","enumValueList":["x","y"]}]},` +
		`{"priTmplId":"B","title":"Template B","content":"thing1:{{thing1.DATA}}\n","example":"thing1:example\n","type":2},` +
		`{"priTmplId":"C","title":"Template C","content":"thing1:{{thing1.DATA}}\n","example":"thing1:example\n","type":3}]}`
	if r := b.do("GET", templatesPath+token, ""); r.text != want {
		t.Errorf("got  %s\nwant %s", r.text, want)
	}
	b.wantCode(b.do("GET", templatesPath, ""), 41001)
	b.wantCode(b.do("GET", templatesPath+"1_x", ""), 40014)
	b.wantCode(b.do("POST", templatesPath+token, "{}"), 404)
}

func TestGetTemplatesOfNone(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.Templates = nil })
	r := b.do("GET", templatesPath+b.stable(false).AccessToken, "")
	if !strings.HasSuffix(r.text, `"data":[]}`) {
		t.Errorf("%s", r.text)
	}
}

func TestGetTemplatesQuota(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	token := b.stable(false).AccessToken
	for range 300 {
		b.wantCode(b.do("GET", templatesPath+token, ""), 0)
	}
	b.wantCode(b.do("GET", templatesPath+token, ""), 45009)
	b.wantCode(b.send(token, sendBody("n1")), 0)
}

func TestTemplateBounds(t *testing.T) {
	t.Parallel()
	b := setup(t, func(a *App) { a.Templates = nil })
	for i := range maxTemplates {
		if err := b.s.SetTemplate(testApp, Template{ID: string(rune(0x4e00 + i)), Keys: []string{"thing1"}}); err != nil {
			t.Fatal(err)
		}
	}
	if b.s.SetTemplate(testApp, Template{ID: "more", Keys: []string{"thing1"}}) == nil {
		t.Error("one too many was taken")
	}
	if err := b.s.SetTemplate(testApp, Template{ID: "一", Keys: []string{"thing2"}}); err != nil {
		t.Errorf("a replacement: %v", err)
	}
}
