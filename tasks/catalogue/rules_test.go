package catalogue

import (
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	family   = "👨‍👩‍👧"   // five code points, eight UTF-16 units
	combined = "e\u0301" // two code points
	flag     = "🇨🇳"
	thumb    = "👍🏽"
	heart    = "❤\ufe0f"
)

func times(s string, n int) string { return strings.Repeat(s, n) }

// Each type with values at, below and above its limit. What is after a "|" must stand
// in what is said of the value.
var cases = map[string]struct{ good, bad []string }{
	"thing1": {
		good: []string{
			"字", times("字", 19), times("字", 20), times("a", 20), times("字a", 10), "咖啡豆 500g，中度烘焙", "0", "，。！",
			times(family, 20), times(combined, 20), times(flag, 20), times(thumb, 20), times(heart, 20), times("😀", 20), "字" + times("a", 18) + "😀",
			times("𠮷", 20),
		},
		bad: []string{
			times("字", 21) + "|21 characters, at most 20 (character 21 on is too much)", times("a", 23) + "|23 characters", times("字a", 10) + "b|21 characters",
			times("😀", 21) + "|21 characters", times(family, 21) + "|21 characters", times(combined, 21) + "|21 characters", times(flag, 21) + "|21 characters",
			times("a", 21) + "|shorten it or set truncate",
		},
	},
	"number2": {
		good: []string{"0", "7", "3.14", times("9", 31), times("9", 32), times("9", 32) + ".5", ".5", "5."},
		bad: []string{
			times("9", 33) + "|33 digits, at most 32", "-1|character 1", "1,000|character 2", "1.2.3|character 4", "12a|character 3", "１|character 1",
			"一|character 1", ".|no digit", "1 2|character 2", "1\ufe0f\u20e3|character 2", "1😀|character 2",
		},
	},
	"letter3": {
		good: []string{"a", "Z", times("a", 31), times("a", 32), "café", times(combined, 32)},
		bad:  []string{times("a", 33) + "|33 characters, at most 32", "a1|character 2", "a b|character 2", "字|character 1", "a😀|character 2", combined + "-|character 2"},
	},
	"symbol4": {
		good: []string{"*", "****", "*****", "！？…", "😀", times(family, 5), "+ +"},
		bad:  []string{"******|6 characters, at most 5", "*a|character 2", "*1|character 2", "*字|character 2", times("😀", 6) + "|6 characters"},
	},
	"character_string5": {
		good: []string{"A", "SF1234567890", times("a", 31), times("a", 32), "a-b/c_d@e", "！", "https://a.cn?x=1", times("😀", 32), times(combined, 32)},
		bad:  []string{times("a", 33) + "|33 characters, at most 32", "SF字|character 3", "单号1|character 1", combined + "字|character 2", times("😀", 33) + "|33 characters"},
	},
	"time6": {
		good: []string{
			"15:01", "9:05", "00:00", "23:59:59", "24:00", "2019年10月1日 15:01", "2019年10月1日15:01", "2019-10-01 15:01:30", "2019/10/1 15:01", "2019.10.1 15:01",
			"10月1日 15:01", "15:01~16:01", "15:01 ~ 16:01", "2019年10月1日 15:01~2019年10月2日 15:01", "2019年10月1日 15:01~16:01",
		},
		bad: []string{
			"25:00|character 1", "15:60|character 4", "15:1|character 4", "15：01|character 3", "3pm|character 2", "2019年10月1日|character 11", "2019-10-01|character 11",
			"15:01~|character 7", "15:01～16:01|character 6", "15:01-16:01|character 6", "2019-10-0115:01|character 11", "下午三点|character 1", "15:01😀|character 6",
			"15:01~16:01~17:01|character 12", "2019年13月1日 15:01|character 6",
		},
	},
	"date7": {
		good: []string{
			"2019年10月1日", "2019年10月01日", "2019年10月", "10月1日", "2019-10-01", "2019/10/1", "2019.10.1", "2019-10", "10-1", "2019年10月1日 15:01", "2019-10-01 15:01:30",
			"2019年10月1日~2019年10月7日", "10月1日 ~ 10月7日", "2019年10月~2019年11月",
		},
		bad: []string{
			"16:01|character 1", "2019年|character 6", "2019年0月1日|character 6", "2019年10月32日|character 9", "2019-10-01T15:01|character 11", "20191001|character 5",
			"tomorrow|character 1", "10月|character 4", "2019年10月1日~|character 12", "2019年10月1号|character 10", "明天|character 1", "2019年10月1日😀|character 11",
		},
	},
	"amount8": {
		good: []string{"1", "¥1", "￥12.50", "$0.99", "12元", "¥1234567890", "1234567890.99元", "€5"},
		bad: []string{
			"¥12345678901|11 digits, at most 10", "1,000|character 2", "-1|character 1", "¥|no digit", "元|no digit", "RMB5|character 1", "¥¥5|character 2", "5.|character 2",
			"五元|character 1", "5元整|character 2", "¥1 |character 3", "💰5|character 1", "¥.5|character 2",
		},
	},
	"phone_number9": {
		good: []string{"13800138000", "+86-0766-66888866", times("1", 17), "(010) 1234"},
		bad:  []string{times("1", 18) + "|18 characters, at most 17", "tel1|character 1", "电话1|character 1", "1x|character 2"},
	},
	"car_number10": {
		good: []string{"粤A8Z888挂", "粤A8Z888", "A1234567", "学", "沪AD12345"},
		bad:  []string{"粤A8Z8888挂|9 characters, at most 8", "粤粤8Z888|character 2", "粤A·12345|character 3", "粤A 8Z88|character 3", "😀A1|character 1", "A" + combined + "1|character 2"},
	},
	"name11": {
		good: []string{"张三", times("张", 10), times("a", 20), "John Smith", "O'Neil", "张三Zhang", times("é", 20), times("张", 9) + "😀"},
		bad: []string{
			times("张", 11) + "|11 characters, at most 10", times("a", 21) + "|21 characters, at most 20", "张" + times("a", 10) + "|11 characters, at most 10", "user1|character 5",
			"张3|character 2", times(combined, 21) + "|21 characters", "张" + times("😀", 10) + "|11 characters",
		},
	},
	"phrase12": {
		good: []string{"配", "配送中", "一二三四五", "〇"},
		bad:  []string{"一二三四五六|6 characters, at most 5", "ok|character 1", "配送!|character 3", "配 送|character 2", "配1|character 2", "配😀|character 2"},
	},
	"site01":        {good: []string{times("any", 100), "字"}},
	"enum_string13": {good: []string{"whatever the template lists"}},
	"nonsense":      {good: []string{times("x", 200)}},
}

func TestTypes(t *testing.T) {
	t.Parallel()
	for key, c := range cases {
		for _, value := range c.good {
			if wrong := CheckTypes(map[string]string{key: value}); len(wrong) > 0 {
				t.Errorf("%s refused %q: %v", key, value, wrong)
			}
		}
		for _, entry := range c.bad {
			value, says, _ := strings.Cut(entry, "|")
			wrong := CheckTypes(map[string]string{key: value})
			if len(wrong) != 1 || wrong[0].Field != "data."+key || !strings.Contains(wrong[0].Detail, says) {
				t.Errorf("%s with %q: %v, want %q", key, value, wrong, says)
				continue
			}
			if strings.Contains(wrong[0].Detail, value) && utf8.RuneCountInString(value) > 3 {
				t.Errorf("%s: the value stands in %q", key, wrong[0].Detail)
			}
		}
	}
}

// What is no more than a sample of a type passes as one.
func TestSamplesPass(t *testing.T) {
	t.Parallel()
	for _, r := range rules {
		if wrong := r.judge(r.sample); wrong != "" {
			t.Errorf("%s: %q: %s", r.name, r.sample, wrong)
		}
		if r.allowed == "" || ruleOf(r.name+"1") == nil || ruleOf(r.name+"1").name != r.name {
			t.Errorf("%s is not found, or not described", r.name)
		}
	}
}

func TestListedValues(t *testing.T) {
	t.Parallel()
	tmpl := Template{ID: "T", Fields: ParseFields("{{enum_string1.DATA}}{{phrase2.DATA}}", "", map[string][]string{
		"enum_string1.DATA": {"tip1", "tip2"}, "phrase2": {"配送中", "一二三四五六七"},
	})}
	for _, value := range []string{"tip1", "tip2", "tip3", "TIP1", "tip1 "} {
		good := value == "tip1" || value == "tip2"
		if wrong := tmpl.Check(map[string]string{"enum_string1": value, "phrase2": "一二三四五六七"}); (len(wrong) == 0) != good {
			t.Errorf("%q: %v", value, wrong)
		}
	}
	if wrong := tmpl.Check(map[string]string{"enum_string1": "tip1", "phrase2": "已到"}); len(wrong) != 1 || !strings.Contains(wrong[0].Detail, "配送中") {
		t.Errorf("%v, want the listed values", wrong)
	}
	many := judgeEnum("x", strings.Split("a,b,c,d,e,f,g,h,i,j,k,l", ","))
	if !strings.Contains(many, "12 values") || strings.Contains(many, "k") && strings.Contains(many, ", l") {
		t.Errorf("%s, want some of the values", many)
	}
}

func TestKeysOfATemplate(t *testing.T) {
	t.Parallel()
	tmpl := Template{ID: "T", Fields: ParseFields("品名:{{thing1.DATA}}\n数量:{{number2.DATA}}", "", nil)}
	for i, c := range []struct {
		data map[string]string
		want string
	}{
		{map[string]string{"thing1": "x", "number2": "1"}, ""},
		{map[string]string{"thing1": "x"}, "data.number2"},
		{map[string]string{}, "data.number2 data.thing1"},
		{map[string]string{"thing1": "x", "number2": "1", "thing3": "x"}, "data.thing3"},
		{map[string]string{"thing01": "x", "number2": "1"}, "data.thing01 data.thing1"},
		{map[string]string{"thing1": times("x", 21), "number2": "y"}, "data.number2 data.thing1"},
	} {
		var fields []string
		for _, f := range tmpl.Check(c.data) {
			fields = append(fields, f.Field)
		}
		if got := strings.Join(fields, " "); got != c.want {
			t.Errorf("case %d: %q, want %q", i, got, c.want)
		}
	}
	unread := Template{ID: "U"}
	if wrong := unread.Check(map[string]string{"thing9": "x"}); len(wrong) > 0 {
		t.Errorf("a template without fields: %v", wrong)
	}
}

func TestCharacters(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int{
		"": 0, "a": 1, "字": 1, "𠮷": 1, family: 1, combined: 1, flag: 1, flag + flag: 2, thumb: 1, heart: 1, "1\ufe0f\u20e3": 1, "👩‍💻a": 2,
		"a\u200db": 2, "字\u200d字": 2, "\u0301": 1, "🏴󠁧󠁢󠁥󠁮󠁧󠁿": 1, "नि": 1, "🇨字": 2, "\uac01": 1,
	} {
		if got := count(text); got != want {
			t.Errorf("%q (%+q) has %d characters, want %d", text, text, got, want)
		}
	}
}

func TestParseFields(t *testing.T) {
	t.Parallel()
	fields := ParseFields("会议时间：{{date2.DATA}}\n地点: {{thing1.DATA}} {{thing4.DATA}}\n\n{{enum_string3.DATA}}\n坏{{x}}{{.DATA}}{{thing9.DATA",
		"会议时间：2016年8月8日\n地点: TIT会议室\n", map[string][]string{"enum_string3.DATA": {"a"}})
	want := []Field{
		{Key: "date2", Label: "会议时间", Example: "2016年8月8日"}, {Key: "thing1", Label: "地点", Example: "TIT会议室"}, {Key: "thing4"},
		{Key: "enum_string3", Enum: []string{"a"}},
	}
	if len(fields) != len(want) {
		t.Fatalf("%+v, want %+v", fields, want)
	}
	for i, f := range fields {
		w := want[i]
		if f.Key != w.Key || f.Label != w.Label || f.Example != w.Example || len(f.Enum) != len(w.Enum) {
			t.Errorf("%+v, want %+v", f, w)
		}
	}
	for i, placeholder := range []string{"2016年8月8日", "TIT会议室", "示例", "a"} {
		if got := fields[i].Placeholder(); got != placeholder {
			t.Errorf("%s: placeholder %q, want %q", fields[i].Key, got, placeholder)
		}
	}
	if p := (Field{Key: "number1", Example: "seven"}).Placeholder(); p != "1" {
		t.Errorf("an example that does not pass became the placeholder %q", p)
	}
}

// Validation of a message of four fields, as every send does it.
func BenchmarkCheck(b *testing.B) {
	tmpl := decodeList(`{"v":1,"read":1,"templates":[{"id":"T","fields":[{"key":"thing1"},{"key":"time2"},{"key":"character_string3"},{"key":"name4"}]}]}`).Find("T")
	data := map[string]string{
		"thing1": "您的订单 A-4711 已发货，请查收", "time2": "2026年11月21日 15:01", "character_string3": "SF1234567890", "name4": "张三丰",
	}
	b.ReportAllocs()
	for b.Loop() {
		if wrong := tmpl.Check(data); wrong != nil {
			b.Fatal(wrong)
		}
	}
}

func TestTheValidPathAllocatesNothing(t *testing.T) {
	tmpl := template("T", "thing1", "time2", "amount3", "phone_number4", "car_number5", "phrase6", "name7", "character_string8", "date9")
	data := map[string]string{
		"thing1": "您的订单已发货 😀", "time2": "2026年11月21日 15:01~16:01", "amount3": "¥12.50", "phone_number4": "+86-13800138000", "car_number5": "粤A8Z888挂",
		"phrase6": "配送中", "name7": "张三丰", "character_string8": "SF1234567890", "date9": "2026-11-21",
	}
	if n := testing.AllocsPerRun(100, func() {
		if wrong := tmpl.Check(data); wrong != nil {
			t.Error(wrong)
		}
	}); n != 0 {
		t.Errorf("%v allocations, want none", n)
	}
}
