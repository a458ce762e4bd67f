package errcode

import (
	"strconv"
	"strings"
)

// MarkdownTable renders the whole table for a README: "zh" gives Chinese,
// anything else English.
func MarkdownTable(lang string) string {
	var b strings.Builder
	if lang == "zh" {
		b.WriteString("| 错误码 | 类别 | 含义 | 处理办法 |\n| --- | --- | --- | --- |\n")
		for _, e := range All() {
			writeRow(&b, e, "（使用 AppSecret 的接口）", e.MeaningZH, e.RemedyZH)
		}
		return b.String()
	}
	b.WriteString("| code | class | meaning | remedy |\n| --- | --- | --- | --- |\n")
	for _, e := range All() {
		writeRow(&b, e, " (calls with the AppSecret)", e.Meaning, e.Remedy)
	}
	return b.String()
}

func writeRow(b *strings.Builder, e Entry, tokenCalls, meaning, remedy string) {
	code := strconv.Itoa(e.Code)
	if e.TokenCalls {
		code += tokenCalls
	}
	for _, cell := range []string{code, string(e.Class), meaning, remedy} {
		b.WriteString("| " + cell + " ")
	}
	b.WriteString("|\n")
}
