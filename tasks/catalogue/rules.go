package catalogue

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// rule is what WeChat says about one type of value.
type rule struct {
	// name is what keys of the type begin with.
	name string
	// limit is in characters, or digits; 0: none of its own.
	limit int
	// allowed says it in words.
	allowed string
	// sample is a value that passes.
	sample string
	// judge says what is wrong with a value, "" for nothing. It never repeats the value.
	judge func(value string) string
	// shorten cuts a value to what every way of counting allows. nil: shortening does
	// not help a value of this type.
	shorten func(value string) string
}

const (
	thingLimit     = 20
	digitsLimit    = 32
	letterLimit    = 32
	symbolLimit    = 5
	stringLimit    = 32
	amountLimit    = 10
	phoneLimit     = 17
	carLimit       = 8
	nameLimit      = 20
	hanNameLimit   = 10 // of a name with Chinese characters in it
	phraseLimit    = 5
	shortenOrAsk   = "shorten it or set truncate"
	shortenIt      = "shorten it"
	secondsExample = "15:01 or 15:01:30"
)

// rules is the table of types on WeChat's page on the send call. The values of enum
// and enum_string are the template's own.
var rules = []rule{
	{name: "thing", limit: thingLimit, allowed: "20 characters of any sort", sample: "示例", judge: judgeThing, shorten: cutTo(thingLimit)},
	{name: "character_string", limit: stringLimit, allowed: "32 digits, letters or symbols; nothing Chinese", sample: "A-001",
		judge: judgeString, shorten: cutTo(stringLimit)},
	{name: "time", allowed: "a time of the 24-hour clock, with its date or without; two with ~ between", sample: "15:01", judge: judgeTime},
	{name: "date", allowed: "a date, with its time or without; two with ~ between", sample: "2026年10月1日", judge: judgeDate},
	{name: "number", limit: digitsLimit, allowed: "32 digits, with a decimal point or without", sample: "1", judge: judgeNumber},
	{name: "amount", limit: amountLimit, allowed: "one currency sign and 10 digits, with decimals or without, and 元 at the end or not", sample: "¥1.00", judge: judgeAmount},
	{name: "phrase", limit: phraseLimit, allowed: "5 Chinese characters", sample: "示例", judge: judgePhrase},
	{name: "name", limit: nameLimit, allowed: "20 letters or symbols, or 10 characters where one is Chinese", sample: "示例", judge: judgeName, shorten: shortenName},
	{name: "phone_number", limit: phoneLimit, allowed: "17 digits and symbols", sample: "+86-0766-66888866", judge: judgePhone},
	{name: "car_number", limit: carLimit, allowed: "8 letters or digits; the first and the last may be Chinese", sample: "粤A8Z888", judge: judgeCar},
	{name: "letter", limit: letterLimit, allowed: "32 letters", sample: "ABC", judge: judgeLetter},
	{name: "symbol", limit: symbolLimit, allowed: "5 symbols: no Chinese character, letter or digit", sample: "***", judge: judgeSymbol},
}

// ruleOf is the rule of the type that a key names, nil if there is none.
func ruleOf(key string) *rule {
	name := Type(key)
	for i := range rules {
		if rules[i].name == name {
			return &rules[i]
		}
	}
	return nil
}

// tooLong says that a value has n characters.
func tooLong(n, limit int, remedy string) string {
	return fmt.Sprintf("%d characters, at most %d (character %d on is too much); %s", n, limit, limit+1, remedy)
}

// wrongAt says that character n of a value is not of the sort that it should be.
func wrongAt(n int, sort string) string { return fmt.Sprintf("character %d is wrong: %s", n, sort) }

// judgeChars takes at most limit characters that begin with a rune of a sort.
func judgeChars(value string, limit int, remedy string, ok func(rune) bool, sort string) string {
	c := chars{text: value}
	for c.next() {
		if !ok(c.first) {
			return wrongAt(c.n, sort)
		}
	}
	if c.n > limit {
		return tooLong(c.n, limit, remedy)
	}
	return ""
}

func judgeThing(value string) string {
	if len(value) <= thingLimit {
		return ""
	}
	if n := count(value); n > thingLimit {
		return tooLong(n, thingLimit, shortenOrAsk)
	}
	return ""
}

func judgeString(value string) string {
	return judgeChars(value, stringLimit, shortenOrAsk, notHan, "it must be a digit, a letter or a symbol, not Chinese")
}

func notHan(r rune) bool { return !isHan(r) }

func judgeLetter(value string) string {
	return judgeChars(value, letterLimit, shortenIt, isAlphabetic, "it must be a letter")
}

// isAlphabetic takes letters of alphabets, and what is written over or under them.
func isAlphabetic(r rune) bool {
	if r < utf8.RuneSelf {
		return isLetter(byte(r))
	}
	return unicode.IsLetter(r) && !isHan(r) || unicode.IsMark(r)
}

func judgeSymbol(value string) string {
	return judgeChars(value, symbolLimit, shortenIt, isSymbol, "it must be a symbol: no Chinese character, letter or digit")
}

func isSymbol(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !isHan(r) }

func judgePhrase(value string) string {
	return judgeChars(value, phraseLimit, shortenIt, isCJK, "it must be a Chinese character")
}

func judgePhone(value string) string {
	return judgeChars(value, phoneLimit, shortenIt, noLetter, "it must be a digit or a symbol")
}

func noLetter(r rune) bool { return !unicode.IsLetter(r) && !isHan(r) }

// judgeName: one Chinese character makes a name a Chinese one.
func judgeName(value string) string {
	limit := nameLimitOf(value)
	return judgeChars(value, limit, shortenOrAsk, noDigit, "it must be a Chinese character, a letter or a symbol, no digit")
}

func noDigit(r rune) bool { return isCommonHan(r) || !unicode.IsDigit(r) }

func nameLimitOf(value string) int {
	for _, r := range value {
		if isHan(r) {
			return hanNameLimit
		}
	}
	return nameLimit
}

// judgeNumber counts the digits before the decimal point alone: whether WeChat counts
// those behind it, too, its page does not say.
func judgeNumber(value string) string {
	const sort = "it must be a digit, or the only decimal point"
	digits, behind, point := 0, 0, false
	for i := range len(value) {
		switch {
		case isDigit(value[i]) && point:
			behind++
		case isDigit(value[i]):
			digits++
		case value[i] == '.' && !point:
			point = true
		default:
			return wrongAt(i+1, sort) // all before it is ASCII
		}
	}
	if digits == 0 && behind > 0 {
		return ""
	}
	return judgeDigits(digits, digitsLimit)
}

func judgeDigits(digits, limit int) string {
	switch {
	case digits == 0:
		return "there is no digit in it: write a number"
	case digits > limit:
		return fmt.Sprintf("%d digits, at most %d (digit %d on is too much); %s", digits, limit, limit+1, shortenIt)
	}
	return ""
}

// judgeAmount counts digits as judgeNumber does. Whether the sign may be missing,
// WeChat's page does not say, either.
func judgeAmount(value string) string {
	const sort = "write a currency sign and digits, such as ¥12.50 or 12.50元"
	rest, before := value, 0
	if r, size := utf8.DecodeRuneInString(rest); unicode.Is(unicode.Sc, r) {
		rest, before = rest[size:], 1
	}
	rest = strings.TrimSuffix(rest, "元")
	digits, behind, point := 0, 0, false
	for i := range len(rest) {
		switch {
		case isDigit(rest[i]) && point:
			behind++
		case isDigit(rest[i]):
			digits++
		case rest[i] == '.' && !point && digits > 0:
			point = true
		default:
			return wrongAt(before+i+1, sort)
		}
	}
	if point && behind == 0 {
		return wrongAt(before+digits+1, sort)
	}
	return judgeDigits(digits, amountLimit)
}

func judgeCar(value string) string {
	const sort = "it must be a letter or a digit; only the first and the last character may be Chinese"
	if n := count(value); n > carLimit {
		return tooLong(n, carLimit, shortenIt)
	}
	c := chars{text: value}
	for c.next() {
		plain := c.at == c.from+1 && (isDigit(value[c.from]) || isLetter(value[c.from]))
		outer := c.from == 0 || c.at == len(value)
		if !plain && (!outer || !isCJK(c.first)) {
			return wrongAt(c.n, sort)
		}
	}
	return ""
}

// judgeEnum takes the listed values alone. They are the template's, nobody's secret.
func judgeEnum(value string, values []string) string {
	const shown = 10
	if slices.Contains(values, value) {
		return ""
	}
	if len(values) > shown {
		return fmt.Sprintf("must be one of the template's %d values, such as %s; wxnotify templates show lists them",
			len(values), strings.Join(values[:shown], ", "))
	}
	return "must be one of " + strings.Join(values, ", ")
}
